"""From scores to evidence."""
