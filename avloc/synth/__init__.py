"""Partially forged corpora with exact truth."""
