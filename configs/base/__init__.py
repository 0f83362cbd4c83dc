"""Bases that experiment files name."""
