"""A miniature of a whole study: from genuine recordings to one table of several networks."""
