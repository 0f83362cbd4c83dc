"""Learned parts."""
