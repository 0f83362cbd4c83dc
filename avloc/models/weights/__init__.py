"""Weights: cards, store and importers."""
