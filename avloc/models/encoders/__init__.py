"""Encoders behind one interface."""
