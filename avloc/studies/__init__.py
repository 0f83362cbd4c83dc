"""Whole experiments: several packages at work on one question."""
