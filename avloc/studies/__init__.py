"""Whole experiments: files in, tables out."""
