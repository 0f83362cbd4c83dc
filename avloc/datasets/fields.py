"""Values of an entry of an annotation, each of the kind that was published or refused with file and key.

A ``where`` names the file and the recording. A text that looks like a number is no number, and true is none.
"""

import math
import sys
from collections.abc import Iterable, Mapping

from avloc.errors import AnnotationError

Rows = tuple[tuple[float, float], ...]


def shown(value: object) -> str:
    """Write a value for a message, in at most 100 characters.

    Examples
    --------
    >>> shown("a"), len(shown("a" * 1000))
    ("'a'", 100)
    """
    try:
        return f"{value!r:.100}"
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deep"


def text_of(entry: Mapping, key: str, where: str) -> str:
    """Text under ``key``; AnnotationError with file and key if there is none."""
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise AnnotationError(f"{where}: expected text under {key!r}, got {shown(value)}")
    return value


def word_of(entry: Mapping, key: str, where: str) -> str | None:
    """Text under ``key``, kept once however often it stands; None where it is absent, null or empty."""
    value = entry.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise AnnotationError(f"{where}: {key} must be text or null, got {shown(value)}")
    return sys.intern(value)


def choice_of(entry: Mapping, key: str, where: str, choices: Iterable[str]) -> str | None:
    """One of ``choices`` under ``key``, or None where it is absent, null or empty; else AnnotationError."""
    word = word_of(entry, key, where)
    if word is not None and word not in choices:
        raise AnnotationError(f"{where}: {key} must be one of {sorted(choices)}, got {word!r}")
    return word


def flag_of(entry: Mapping, key: str, where: str) -> bool | None:
    """Flag under ``key``, also as 1 or 0; None where it is absent or null; else AnnotationError."""
    value = entry.get(key)
    if value is not None and not (isinstance(value, int) and value in (0, 1)):
        raise AnnotationError(f"{where}: {key} must be true or false, got {shown(value)}")
    return None if value is None else bool(value)


def number_of(entry: Mapping, key: str, where: str) -> float | None:
    """Finite number >= 0 under ``key``, or None where it is absent, null or empty; else AnnotationError."""
    value = entry.get(key)
    if value is None or value == "":
        return None
    number = _finite(value)
    if number is None or number < 0:
        raise AnnotationError(f"{where}: {key} must be a number of at least 0, got {shown(value)}")
    return number


def spans_of(entry: Mapping, key: str, where: str) -> Rows:
    """Rows [start_s, end_s] under ``key``; none where it is absent or null.

    Raises
    ------
    AnnotationError
        With file, recording and key, for anything but finite numbers with end >= start.
    """
    value = entry.get(key)
    if value == []:
        return ()
    if value is not None and not isinstance(value, list | tuple):
        raise AnnotationError(f"{where}: {key} must be [[start_s, end_s], ...], got {shown(value)}")
    rows = []
    for row in value or ():
        if type(row) is list and len(row) == 2:  # what files hold; a set has a million of them
            start, end = row
            if type(start) is float and type(end) is float and -math.inf < start <= end < math.inf:
                rows.append((start, end))
                continue
        start, end = map(_finite, row) if isinstance(row, list | tuple) and len(row) == 2 else (None, None)
        if start is None or end is None or start > end:
            raise AnnotationError(
                f"{where}: {key} must be [[start_s, end_s], ...] with end >= start, got {shown(row)}"
            )
        rows.append((start, end))
    return tuple(rows)


def _finite(value: object) -> float | None:
    """Give a finite number as a float, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # JSON may hold a whole number of any length
        return None
    return number if math.isfinite(number) else None
