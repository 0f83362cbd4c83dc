"""How the loops of this package are compiled."""

from collections.abc import Callable

import numba


def jit(function: Callable) -> Callable:
    """Compile with an on-disk cache, or without one where neither the package nor the home can be written."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no place for its cache: a read-only installation
        return numba.njit(nogil=True)(function)
