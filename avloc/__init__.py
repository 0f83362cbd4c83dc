"""avloc finds the time intervals of a recording whose sound, picture or both were forged."""

__version__ = "0.1.0"
