"""Experiment configurations, found by name."""
