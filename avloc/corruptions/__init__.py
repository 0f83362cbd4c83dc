"""Degradations of whole recordings."""
