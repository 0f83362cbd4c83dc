"""Automaton that reads ``{file: [[score, start, end], ...]}`` from bytes, compiled.

It knows the grammar of JSON (RFC 8259) with Python's ``NaN``, ``Infinity`` and ``-Infinity``, for objects of
lists of three numbers; anything else is ``ODD`` and left to the caller (``parsing``). Every index is held
against the length of the data before it is used: compiled code does not check.

Conventions
-----------
A number of at most 19 digits, a mantissa up to 2^53 and a power of ten up to 22 is converted here: both
factors are exact, so one division or product rounds once, to the double nearest to the text (Clinger, "How to
read floating point numbers accurately", 1990, section 4). All others are noted for the caller.
"""

import json
from json.decoder import scanstring

import numpy as np

from avloc.metrics.compiled import jit

# What the automaton says.
MORE, ODD, END = 0, 1, 2
# Where it stands: after the brace that opens the object, or after an entry.
FIRST, NEXT = 0, 1

WHITE = " \t\r\n"
POWERS = np.array([float(10**k) for k in range(23)])


@jit
def _skip(data: np.ndarray, at: int) -> int:
    """Position of the next byte that is no white space."""
    while at < len(data) and (data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 9):
        at += 1
    return at


@jit
def _word(data: np.ndarray, at: int, word: np.ndarray) -> int:
    """Position after ``word`` if it stands here, else -1; bytes that are not there yet differ."""
    if at + len(word) > len(data):
        return -1
    for i in range(len(word)):
        if data[at + i] != word[i]:
            return -1
    return at + len(word)


@jit
def _number(
    data: np.ndarray, at: int, powers: np.ndarray, nan: np.ndarray, infinity: np.ndarray
) -> tuple[int, float, bool]:
    """Read one number: position after it (-1: no number), its value, whether NumPy has to convert it."""
    n = len(data)
    negative = at < n and data[at] == 45
    if negative:
        at += 1
    if at < n and data[at] == 73:
        return _word(data, at, infinity), -np.inf if negative else np.inf, False
    if at < n and data[at] == 78 and not negative:
        return _word(data, at, nan), np.nan, False
    mantissa, n_digits, exponent = np.uint64(0), 0, 0
    first = at
    while at < n and 48 <= data[at] <= 57:
        if n_digits or data[at] != 48:
            n_digits += 1
            mantissa = mantissa * np.uint64(10) + np.uint64(data[at] - 48)
        at += 1
    if at == first or (data[first] == 48 and at - first > 1):
        return -1, 0.0, False
    if at < n and data[at] == 46:
        at += 1
        first = at
        while at < n and 48 <= data[at] <= 57:
            if n_digits or data[at] != 48:
                n_digits += 1
                mantissa = mantissa * np.uint64(10) + np.uint64(data[at] - 48)
            at += 1
        exponent = first - at
        if at == first:
            return -1, 0.0, False
    if at < n and (data[at] == 101 or data[at] == 69):
        at += 1
        falls = at < n and data[at] == 45
        if at < n and (data[at] == 45 or data[at] == 43):
            at += 1
        first, written = at, 0
        while at < n and 48 <= data[at] <= 57:
            written = min(written * 10 + np.int64(data[at] - 48), 100000)
            at += 1
        if at == first:
            return -1, 0.0, False
        exponent += -written if falls else written
    if n_digits > 19 or mantissa > np.uint64(2**53) or abs(exponent) >= len(powers):
        return at, 0.0, True
    value = np.float64(mantissa)
    value = value / powers[-exponent] if exponent < 0 else value * powers[exponent]
    return at, -value if negative else value, False


@jit
def _row(
    data: np.ndarray,
    at: int,
    values: np.ndarray,  # (capacity, 3), written
    row: int,
    slow: np.ndarray,  # (capacity, 3), written: place in values, first byte, number of bytes
    n_slow: int,
    powers: np.ndarray,
    nan: np.ndarray,
    infinity: np.ndarray,
) -> tuple[int, int]:
    """Read ``[number, number, number]``: position after it (-1: it is not that) and how many are slow."""
    if at >= len(data) or data[at] != 91:
        return -1, n_slow
    for column in range(3):
        at = _skip(data, at + 1)
        first = at
        at, value, is_slow = _number(data, at, powers, nan, infinity)
        if at < 0:
            return -1, n_slow
        values[row, column] = value
        if is_slow:
            slow[n_slow, 0], slow[n_slow, 1], slow[n_slow, 2] = 3 * row + column, first, at - first
            n_slow += 1
        at = _skip(data, at)
        if at >= len(data) or data[at] != (93 if column == 2 else 44):
            return -1, n_slow
    return at + 1, n_slow


@jit
def _key(data: np.ndarray, at: int) -> tuple[int, int]:
    """Read a string and the colon after it: end of the string and position of the value; -1: not that."""
    if at >= len(data) or data[at] != 34:
        return -1, -1
    at += 1
    while at < len(data) and data[at] != 34:
        if data[at] < 32:
            return -1, -1
        at += 2 if data[at] == 92 else 1
    end = at + 1
    at = _skip(data, end)
    if at >= len(data) or data[at] != 58:
        return -1, -1
    return end, _skip(data, at + 1)


@jit
def read_entries(
    data: np.ndarray,  # (n,) uint8
    at: int,
    where: int,
    values: np.ndarray,  # (capacity, 3), written
    slow: np.ndarray,  # (3 * capacity, 3), written
    keys: np.ndarray,  # (capacity of entries, 2), written: first byte and end, quotes included
    counts: np.ndarray,  # (capacity of entries,), written
    powers: np.ndarray,
    nan: np.ndarray,
    infinity: np.ndarray,
) -> tuple[int, int, int, int, int, int]:
    """Read whole entries: what stopped it, position, where it stands, numbers of rows, entries, slow ones.

    An entry that is cut off, outside the grammar or beyond the capacity is ``ODD`` and left unread; which of
    these it is, only a reader of JSON can tell.
    """
    n_rows = n_entries = n_slow = 0
    while True:
        now = _skip(data, at)
        if now >= len(data):
            return MORE, at, where, n_rows, n_entries, n_slow
        if data[now] == 125:
            return END, now + 1, where, n_rows, n_entries, n_slow
        if n_entries == len(keys):
            return ODD, at, where, n_rows, n_entries, n_slow
        if where == NEXT:
            if data[now] != 44:
                return ODD, at, where, n_rows, n_entries, n_slow
            now = _skip(data, now + 1)
        key = now
        key_end, now = _key(data, now)
        if key_end < 0 or now >= len(data) or data[now] != 91:
            return ODD, at, where, n_rows, n_entries, n_slow
        row, row_slow = n_rows, n_slow
        now = _skip(data, now + 1)
        if now < len(data) and data[now] == 93:
            now += 1
        else:
            while True:
                if row == len(values):
                    return ODD, at, where, n_rows, n_entries, n_slow
                now, row_slow = _row(data, now, values, row, slow, row_slow, powers, nan, infinity)
                if now < 0:
                    return ODD, at, where, n_rows, n_entries, n_slow
                row += 1
                now = _skip(data, now)
                if now >= len(data) or (data[now] != 44 and data[now] != 93):
                    return ODD, at, where, n_rows, n_entries, n_slow
                now += 1
                if data[now - 1] == 93:
                    break
                now = _skip(data, now)
        keys[n_entries, 0], keys[n_entries, 1] = key, key_end
        counts[n_entries] = row - n_rows
        n_rows, n_slow, at, where = row, row_slow, now, NEXT
        n_entries += 1


NAN, INFINITY = (np.frombuffer(word, dtype=np.uint8) for word in (b"NaN", b"Infinity"))


def read_any_entry(text: str, where: int) -> tuple[str, object, int]:
    """Read one name and its value with ``json``: both, and the position after them.

    Raises
    ------
    json.JSONDecodeError
        If that is not what stands there.
    RecursionError
        If it is nested too deeply.
    """
    at = _after_white(text, 0)
    if where == NEXT:
        at = _after(text, at, ",")
    name, at = scanstring(text, _after(text, at, '"'))
    at = _after(text, _after_white(text, at), ":")
    value, at = json.JSONDecoder().raw_decode(text, at)
    return name, value, at


def _after(text: str, at: int, mark: str) -> int:
    if text[at : at + 1] != mark:
        raise json.JSONDecodeError(f"expected {mark!r}, got {text[at : at + 1]!r}", text, at)
    return _after_white(text, at + 1) if mark != '"' else at + 1


def _after_white(text: str, at: int) -> int:
    while text[at : at + 1] in WHITE and at < len(text):
        at += 1
    return at
