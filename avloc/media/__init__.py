"""Files: the only users of av and soundfile."""
