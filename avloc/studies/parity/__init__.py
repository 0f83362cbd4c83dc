"""Public networks and transforms against what the authors' own implementations answered."""
