"""Parser of prediction files: the bytes of ``{file: [[score, start, end], ...]}`` into a ``SegmentTable``.

A file of the AV-Deepfake1M test set has 34 million rows; as Python objects they would take 9 GB. The bytes go
through a compiled automaton (``json_rows``) in blocks. Only what is outside its grammar goes through
``json``: entries that are no list of three numbers, which are refused or dropped, and digits that take more
than one rounding. Every number is the double nearest to its decimal text, as ``float`` gives it.
"""

import codecs
import json
from io import SEEK_END
from typing import BinaryIO

import numpy as np

from avloc.errors import AnnotationError
from avloc.metrics import json_rows
from avloc.metrics.table import SegmentTable, repeated, row_problem

BLOCK_BYTES = 4 * 2**20
SHORTEST_ROW = len("[0,0,0]")
SHORTEST_ENTRY = len('"":[]')
LONGEST_TOGETHER = 40  # characters; a longer number is converted by itself
FIRST_WINDOW = 2**16  # bytes of an entry that goes through json; doubled until it fits
LONGEST_TOKEN = 32  # characters; an error so near to the end of a text may come from its being cut off
LONGEST_SHOWN = 120  # characters of what a message quotes
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_rows(
    stream: BinaryIO,
    *,
    source: str = "predictions",
    skip_invalid: bool = False,
    block_bytes: int = BLOCK_BYTES,
) -> SegmentTable:
    """Read the JSON object ``{file: [[score, start_s, end_s], ...]}``.

    Parameters
    ----------
    stream : binary file
        Read from where it stands to its end.
    source : str
        What messages call it.
    skip_invalid : bool
        Drop rows that are not three finite numbers with end >= start, and count them, instead of refusing
        them.
    block_bytes : int [>= 1]
        Read at once. No figure depends on it.

    Returns
    -------
    SegmentTable
        Recordings and rows in the order of the file; the same as
        ``SegmentTable.from_rows(json.load(stream))``.

    Raises
    ------
    AnnotationError
        If the bytes are not such an object, a name stands twice, or a row is invalid, with source and name.
    """
    reader = _Reader(stream, source, skip_invalid, block_bytes)
    reader.read()
    return reader.table()


class _Reader:
    """Bytes that are not read yet, and what was found so far."""

    def __init__(self, stream: BinaryIO, source: str, skip_invalid: bool, block_bytes: int) -> None:
        self.stream, self.source, self.skip_invalid = stream, source, skip_invalid
        self.block_bytes = block_bytes
        self.data = b""
        self.n_passed = 0  # bytes before data
        self.is_whole = False  # nothing comes after data
        self.where = json_rows.FIRST
        self.ids: list[str] = []
        self.counts: list[np.ndarray] = []
        self.columns = [np.empty(0) for _ in range(3)]  # score, start, end; longer than what was read
        self.n_rows = 0
        self.n_bytes = _size_of(stream)
        self.n_skipped = 0

    def read(self) -> None:
        """Read the object and see that nothing follows it."""
        self._fill(self.block_bytes)
        self._open()
        while True:
            stopped, n_entries = self._plain_entries()
            if stopped == json_rows.END:
                break
            if n_entries == 0 and self._other_entry():
                continue
            self._fill(max(self.block_bytes, len(self.data)))
        while not self.data.strip() and not self.is_whole:
            self._pass(len(self.data))
            self._fill(self.block_bytes)
        if self.data.strip():
            raise self._error("there is more after the brace that closes it")

    def table(self) -> SegmentTable:
        """Lay out what was read."""
        if twice := repeated(self.ids):
            raise AnnotationError(
                f"{self.source}: every recording must stand once, got {twice} more than once"
            )
        splits = np.concatenate([[0], np.cumsum(np.concatenate([[], *self.counts]))]).astype(np.int64)
        scores, starts, ends = (column[: self.n_rows] for column in self.columns)
        return SegmentTable(starts, ends, scores, splits, tuple(self.ids), self.n_skipped)

    def _fill(self, n_bytes: int) -> None:
        try:
            block = self.stream.read(n_bytes)
        except OSError as error:
            raise AnnotationError(f"{self.source}: cannot be read: {error.strerror or error}") from error
        self.is_whole = not block
        self.data += block

    def _pass(self, n_bytes: int) -> None:
        self.data = self.data[n_bytes:]
        self.n_passed += n_bytes

    def _open(self) -> None:
        self._pass(len(BYTE_ORDER_MARK) if self.data.startswith(BYTE_ORDER_MARK) else 0)
        self._pass(len(self.data) - len(self.data.lstrip()))
        if not self.data.startswith(b"{"):
            raise self._error(f"it begins with {self.data[:1].decode(errors='replace')!r}")
        self._pass(1)

    def _plain_entries(self) -> tuple[int, int]:
        """Pass over as many entries as the automaton knows; what stopped it, and how many."""
        data = np.frombuffer(self.data, dtype=np.uint8)
        values = np.empty((len(data) // SHORTEST_ROW + 1, 3))
        slow = np.empty((3 * len(values), 3), dtype=np.int64)
        keys = np.empty((len(data) // SHORTEST_ENTRY + 1, 2), dtype=np.int64)
        counts = np.empty(len(keys), dtype=np.int64)
        stopped, at, self.where, n_rows, n_entries, n_slow = json_rows.read_entries(
            data,
            0,
            self.where,
            values,
            slow,
            keys,
            counts,
            json_rows.POWERS,
            json_rows.NAN,
            json_rows.INFINITY,
        )
        values, counts = values[:n_rows], counts[:n_entries].copy()
        _convert(self.data, slow[:n_slow], values)
        names = self._names(keys[:n_entries])
        self._keep(names, values, counts)
        self._pass(at)
        return stopped, n_entries

    def _names(self, keys: np.ndarray) -> list[str]:
        """Decode the names of a block at once."""
        try:
            return json.loads(b"[" + b",".join(self.data[first:end] for first, end in keys.tolist()) + b"]")
        except ValueError:  # which of them it is
            for first, end in keys.tolist():
                try:
                    json.loads(self.data[first:end])
                except ValueError as error:
                    raise self._error(f"a name is no JSON string in UTF-8: {error}", first) from error
            raise

    def _keep(self, names: list[str], values: np.ndarray, counts: np.ndarray) -> None:
        """Take rows that are three numbers each; invalid ones are refused or dropped."""
        scores, starts, ends = values.T
        with np.errstate(invalid="ignore"):
            is_valid = np.isfinite(values).all(axis=1) & (ends >= starts)
        if not is_valid.all():
            owner = np.repeat(np.arange(len(counts)), counts)
            if not self.skip_invalid:
                bad = int(np.argmin(is_valid))
                row = bad - int(np.searchsorted(owner, owner[bad]))
                raise self._invalid(names[owner[bad]], row, values[bad].tolist())
            self.n_skipped += int((~is_valid).sum())
            counts = np.bincount(owner[is_valid], minlength=len(counts))
            scores, starts, ends = values[is_valid].T
        self.ids += names
        self.counts.append(counts)
        end = self.n_rows + len(scores)
        self._reserve(end)
        for column, new in zip(self.columns, (scores, starts, ends), strict=True):
            column[self.n_rows : end] = new
        self.n_rows = end

    def _reserve(self, n_rows: int) -> None:
        """Make room for ``n_rows``, and for as many as the file should have by the share that was read.

        Memory that is not written is not taken; parts that are joined at the end would need it twice.
        """
        if n_rows <= len(self.columns[0]):
            return
        share = self.n_bytes / max(self.n_passed + len(self.data), 1)
        capacity = int(n_rows * max(1.02 * share, 1.5))
        for c, column in enumerate(self.columns):
            self.columns[c] = np.empty(capacity)
            self.columns[c][: self.n_rows] = column[: self.n_rows]

    def _other_entry(self) -> bool:
        """Pass over one entry with ``json``; False where it is cut off and more bytes may come."""
        n_bytes = FIRST_WINDOW
        while True:
            text = self._text(n_bytes)
            try:
                name, value, end = json_rows.read_any_entry(text, self.where)
            except RecursionError as error:
                raise self._error("it is nested too deeply") from error
            except json.JSONDecodeError as error:
                may_go_on = (
                    error.msg.startswith("Unterminated string") or error.pos >= len(text) - LONGEST_TOKEN
                )
                if not may_go_on or (self.is_whole and n_bytes >= len(self.data)):
                    raise self._error(error.msg, len(text[: error.pos].encode())) from error
            else:
                if end < len(text) or self.is_whole:
                    self._keep_checked(name, value)
                    self._pass(len(text[:end].encode()))
                    self.where = json_rows.NEXT
                    return True
            if n_bytes >= len(self.data):
                return False
            n_bytes *= 2

    def _text(self, n_bytes: int) -> str:
        """Decode the next bytes, without a character that is cut off at their end."""
        try:
            return codecs.getincrementaldecoder("utf-8")().decode(self.data[:n_bytes])
        except UnicodeDecodeError as error:
            raise self._error("it is not in UTF-8", error.start) from error

    def _keep_checked(self, name: str, value: object) -> None:
        """Take the rows of an entry that the automaton does not know, one by one."""
        rows = value if isinstance(value, list) else [value]
        good = []
        for k, row in enumerate(rows):
            if row_problem(row, 3) is None:
                good.append([float(number) for number in row])
            elif self.skip_invalid:
                self.n_skipped += 1
            else:
                raise self._invalid(name, k, row)
        self._keep([name], np.array(good, dtype=np.float64).reshape(-1, 3), np.array([len(good)]))

    def _invalid(self, name: str, row: int, entry: object) -> AnnotationError:
        shown = repr(entry)
        shown = shown if len(shown) <= LONGEST_SHOWN else shown[:LONGEST_SHOWN] + "..."
        return AnnotationError(f"{self.source}: {name!r} row {row}: {row_problem(entry, 3)}, got {shown}")

    def _error(self, what: str, at: int = 0) -> AnnotationError:
        return AnnotationError(
            f"{self.source}: expected a JSON object {{file: [[score, start_s, end_s], ...]}}, "
            f"but at byte {self.n_passed + at}: {what}"
        )


def _size_of(stream: BinaryIO) -> int:
    """Bytes from here to the end; 0 where that cannot be told."""
    try:
        at = stream.tell()
        end = stream.seek(0, SEEK_END)
        stream.seek(at)
    except (OSError, ValueError):
        return 0
    return end - at


def _convert(data: bytes, slow: np.ndarray, values: np.ndarray) -> None:
    """Fill in numbers that take more than one rounding; ``slow`` has place, first byte, number of bytes."""
    places, firsts, lengths = slow.T
    flat = values.reshape(-1)
    short = lengths <= LONGEST_TOGETHER
    if short.any():
        width = int(lengths[short].max())
        columns = np.arange(width)
        digits = np.frombuffer(data + b"\0" * width, dtype=np.uint8)[firsts[short, None] + columns]
        digits[columns >= lengths[short, None]] = 0
        flat[places[short]] = digits.view(f"S{width}")[:, 0].astype(np.float64)
    for place, first, length in slow[~short].tolist():
        flat[place] = float(data[first : first + length])
