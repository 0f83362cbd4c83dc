"""What a value from the other side may be: checks that tables are made of, for fields and for arrays."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from avloc.media.protocol import ProtocolError

NAME_CHARACTERS = 256
N_NOTES = 1 << 13  # one for each stream that the demuxer may open, and a few
LARGEST = 1 << 53  # whole numbers up to it are exact in float64
LARGEST_TERM = 1 << 128  # of a fraction: 64-bit timestamps times 32-bit time bases, summed

Check = Callable[[Any], bool]


def whole(low: int, high: int = LARGEST) -> Check:
    """Check for an integer in [low, high]; True and False are none."""
    return lambda value: type(value) is int and low <= value <= high


def number(low: float, high: float) -> Check:
    """Check for a number in [low, high]; NaN is in no range."""
    return lambda value: type(value) in (int, float) and low <= value <= high


def maybe(check: Check) -> Check:
    """Check for None or what ``check`` allows."""
    return lambda value: value is None or check(value)


def one_of(*allowed: str) -> Check:
    """Check for one of these words."""
    return lambda value: isinstance(value, str) and value in allowed


def some_of(*allowed: str) -> Check:
    """Check for a list of these words, each at most once."""
    one = one_of(*allowed)
    return lambda value: isinstance(value, list) and all(map(one, value)) and len(set(value)) == len(value)


def is_name(value: Any) -> bool:
    """Whether the value is a short printable text."""
    return isinstance(value, str) and len(value) <= NAME_CHARACTERS and value.isprintable()


def is_notes(value: Any) -> bool:
    """Whether the value is a list of names."""
    return isinstance(value, list) and len(value) <= N_NOTES and all(map(is_name, value))


def is_ratio(value: Any) -> bool:
    """Whether two whole numbers make a fraction that a float can hold."""
    term = whole(-LARGEST_TERM, LARGEST_TERM)
    return isinstance(value, list) and len(value) == 2 and all(map(term, value)) and value[1] > 0


def check_table(what: str, values: Any, table: Mapping[str, Check]) -> None:
    """Raise a ``ProtocolError`` unless ``values`` has the keys of the table and each passes its check."""
    if not isinstance(values, Mapping) or set(values) != set(table):
        raise ProtocolError(f"{what} has the keys {sorted(table)}, got {show(values)}")
    for key, check in table.items():
        if not check(values[key]):
            raise ProtocolError(f"{what}: {key} cannot be {show(values[key])}")


def check_arrays(
    what: str, arrays: Mapping[str, np.ndarray], table: Mapping[str, tuple[str, tuple[str | int, ...]]]
) -> dict[str, int]:
    """Raise a ``ProtocolError`` unless the arrays have the names, types and shapes of the table.

    Parameters
    ----------
    what : str
        Whose arrays they are, for the message.
    arrays : mapping of np.ndarray
        By name.
    table : mapping
        From the name to the type, as ``dtype.str``, and the shape. A length is a number, or a letter that
        stands for the same length wherever it occurs.

    Returns
    -------
    dict of int
        What the letters stand for.

    Examples
    --------
    >>> check_arrays("sound", {"x": np.zeros((2, 3), np.float32)}, {"x": ("<f4", ("c", "n"))})
    {'c': 2, 'n': 3}
    """
    if set(arrays) != set(table):
        raise ProtocolError(f"{what} has the arrays {sorted(table)}, got {show(sorted(arrays))}")
    lengths: dict[str, int] = {}
    for name, (dtype, shape) in table.items():
        array = arrays[name]
        fits = array.dtype.str == dtype and array.ndim == len(shape)
        if not fits or any(
            lengths.setdefault(expected, length) != length
            if isinstance(expected, str)
            else length != expected
            for expected, length in zip(shape, array.shape, strict=True)
        ):
            expected = "x".join(map(str, (lengths.get(length, length) for length in shape)))
            got = f"{array.dtype.str} of {'x'.join(map(str, array.shape))}"
            raise ProtocolError(f"{what}: {name} is {dtype} of {expected}, got {got}")
    return lengths


def show(value: Any) -> str:
    """Give a value in few words, whatever it is."""
    try:
        return repr(value)[:80]
    except RecursionError:
        return "values in values without end"
