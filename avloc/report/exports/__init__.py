"""One file a format that other programs read."""
