"""SegmentTable: the rows that are scored, exactly as they were read.

Conventions
-----------
Times in seconds, float64. Rows keep file order inside a recording. Zero-length rows, rows before zero or
beyond the end of the recording, duplicates and overlapping rows are legal, because the published evaluators
score them; a row that ends before it starts, or that holds NaN or infinity, is not.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from avloc.errors import AnnotationError
from avloc.structures import Prediction, Reference


@dataclass(frozen=True, slots=True, eq=False)
class SegmentTable:
    """Segments of many recordings in flat arrays.

    Parameters
    ----------
    starts, ends : np.ndarray [shape=(N,), s, float64]
        Rows of recording 0 in file order, then those of recording 1, and so on.
    scores : np.ndarray or None [shape=(N,), float64]
        Larger means more likely forged; None for references.
    splits : np.ndarray [shape=(R + 1,), int64]
        Rows of recording ``r`` are ``splits[r]`` to ``splits[r + 1]``.
    ids : tuple of str [length R]
        Recording ids, each once.
    n_skipped : int [>= 0]
        Invalid rows that the reader was told to drop.

    Raises
    ------
    ValueError
        If the arrays do not fit each other.

    Examples
    --------
    >>> table = SegmentTable.from_rows({"a": [[0.9, 1.0, 2.0]], "b": []})
    >>> table.ids, table.splits.tolist()
    (('a', 'b'), [0, 1, 1])
    """

    starts: np.ndarray
    ends: np.ndarray
    scores: np.ndarray | None
    splits: np.ndarray
    ids: tuple[str, ...]
    n_skipped: int = 0

    def __post_init__(self) -> None:
        n = len(self.starts)
        lengths = (len(self.ends), n if self.scores is None else len(self.scores))
        if lengths != (n, n):
            raise ValueError(
                f"starts, ends and scores must have one length, got {n}, {lengths[0]}, {lengths[1]}"
            )
        splits = self.splits
        if (
            len(splits) != len(self.ids) + 1
            or splits[0] != 0
            or splits[-1] != n
            or np.any(np.diff(splits) < 0)
        ):
            raise ValueError(f"splits must rise from 0 to {n} in {len(self.ids) + 1} entries, got {splits!r}")
        if twice := repeated(self.ids):
            raise ValueError(f"every recording id must stand once, got {twice} more than once")

    @classmethod
    def from_rows(
        cls,
        rows: Mapping[str, Iterable[Sequence[float]]],
        *,
        source: str = "predictions",
        skip_invalid: bool = False,
    ) -> "SegmentTable":
        """Table of ``{id: [[score, start_s, end_s], ...]}``, the rows of a prediction file.

        Raises
        ------
        AnnotationError
            For a row that is not three finite numbers with start <= end, naming ``source`` and the id;
            with ``skip_invalid`` such rows are dropped and counted.
        """
        return _build(rows, 3, source, skip_invalid)

    @classmethod
    def from_spans(
        cls,
        rows: Mapping[str, Iterable[Sequence[float]]],
        *,
        source: str = "references",
        skip_invalid: bool = False,
    ) -> "SegmentTable":
        """Table of ``{id: [[start_s, end_s], ...]}``, without scores; errors as in ``from_rows``."""
        return _build(rows, 2, source, skip_invalid)

    @classmethod
    def from_references(cls, references: Iterable[Reference]) -> "SegmentTable":
        """Table of reference segments in file order; no segment means a genuine recording."""
        ids, rows = [], []
        for r in references:
            ids.append(r.recording_id)
            rows.append([(s.start, s.end) for s in r.segments] if r.rows is None else r.rows)
        _refuse_duplicates(ids, "references")
        return cls.from_spans(dict(zip(ids, rows, strict=True)))

    @classmethod
    def from_predictions(cls, predictions: Iterable[Prediction]) -> "SegmentTable":
        """Table of detections (after suppression), under the id of each recording.

        Run the localizer with a minimum score of 0: detections that were cut off cannot be scored.
        """
        pairs = [
            (p.recording.id, [(d.score, d.segment.start, d.segment.end) for d in p.detections])
            for p in predictions
        ]
        _refuse_duplicates([recording for recording, _ in pairs], "predictions")
        return cls.from_rows(dict(pairs))

    @classmethod
    def joined(cls, tables: Sequence["SegmentTable"], *, source: str = "predictions") -> "SegmentTable":
        """Table of the recordings of several tables in turn; AnnotationError if one stands twice."""
        ids = [recording for table in tables for recording in table.ids]
        _refuse_duplicates(ids, source)
        columns = [
            np.concatenate([getattr(table, name) for table in tables])
            for name in ("starts", "ends", "scores")
        ]
        splits = np.concatenate([[0], np.cumsum(np.concatenate([table.counts for table in tables]))])
        n_skipped = sum(table.n_skipped for table in tables)
        return cls(*columns, splits.astype(np.int64), tuple(ids), n_skipped)

    @property
    def counts(self) -> np.ndarray:
        """Rows per recording, shape (R,), int64."""
        return np.diff(self.splits)

    @property
    def recordings(self) -> np.ndarray:
        """Index into ``ids`` of every row, shape (N,), int32."""
        return np.repeat(np.arange(len(self.ids), dtype=np.int32), self.counts)

    def spans(self, dtype: type) -> np.ndarray:
        """Start and end of every row beside each other, shape (N, 2), of type ``dtype``."""
        spans = np.empty((len(self.starts), 2), dtype=dtype)
        spans[:, 0], spans[:, 1] = self.starts, self.ends
        return spans

    def select(self, ids: Sequence[str], *, overwrite: bool = False) -> "SegmentTable":
        """Return the table of ``ids`` in that order; an id that has no entry here gets no rows.

        With ``overwrite`` it takes the memory of this table, which cannot be used again: of a hundred million
        rows a copy more counts.
        """
        ids = tuple(ids)
        if ids == self.ids:
            return self
        place = {recording: i for i, recording in enumerate(self.ids)}
        found = np.array([place.get(recording, -1) for recording in ids], dtype=np.int64)
        counts = np.where(found >= 0, self.counts[found], 0) if len(self.ids) else np.zeros_like(found)
        splits = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        firsts = self.splits[found] if len(self.ids) else splits[:-1]
        index = np.int32 if max(len(self.starts), splits[-1]) < 2**31 else np.int64
        rows = np.repeat((firsts - splits[:-1]).astype(index), counts)
        rows += np.arange(splits[-1], dtype=index)

        def taken(column: np.ndarray) -> np.ndarray:
            if not overwrite or len(rows) > len(column):
                return column[rows]
            column[: len(rows)] = column[rows]
            return column[: len(rows)]

        scores = None if self.scores is None else taken(self.scores)
        return SegmentTable(taken(self.starts), taken(self.ends), scores, splits, ids, self.n_skipped)

    def by_score(self) -> "SegmentTable":
        """Return the table with the rows of every recording by descending score, ties in file order."""
        rows = np.lexsort((-self.scores, self.recordings))
        return SegmentTable(
            self.starts[rows], self.ends[rows], self.scores[rows], self.splits, self.ids, self.n_skipped
        )

    def from_frames(self, rate: float) -> "SegmentTable":
        """Return the table in seconds where times are frames: divided by ``rate`` (Hz) in float32."""
        starts, ends = (
            (times.astype(np.float32) / np.float32(rate)).astype(np.float64)
            for times in (self.starts, self.ends)
        )
        return SegmentTable(starts, ends, self.scores, self.splits, self.ids, self.n_skipped)

    def unsorted(self) -> tuple[str, ...]:
        """Ids of recordings whose rows are not in order of descending score."""
        if self.scores is None or len(self.scores) < 2:
            return ()
        owner = self.recordings
        rises = (np.diff(self.scores) > 0) & (owner[1:] == owner[:-1])
        return tuple(self.ids[i] for i in np.unique(owner[1:][rises]))


def repeated(ids: Sequence[str]) -> list[str]:
    """Return the first five ids, in order of the text, that stand more than once."""
    if len(set(ids)) == len(ids):
        return []
    return sorted(recording for recording, n in Counter(ids).items() if n > 1)[:5]


def _refuse_duplicates(ids: Sequence[str], source: str) -> None:
    if twice := repeated(ids):
        raise AnnotationError(f"{source}: every recording must stand once, got {twice} more than once")


def _build(
    rows: Mapping[str, Iterable[Sequence[float]]], width: int, source: str, skip_invalid: bool
) -> SegmentTable:
    """Check every row and lay them out flat; ``width`` 3 has the score in front."""
    rows = {recording: list(entries) for recording, entries in rows.items()}
    flat: list[tuple[float, ...]] = [entry for entries in rows.values() for entry in entries]
    if all(type(entry) is tuple and tuple(map(type, entry)) == (float,) * width for entry in flat):
        values = np.array(flat, dtype=np.float64).reshape(-1, width)
        if np.isfinite(values).all() and (values[:, -1] >= values[:, -2]).all():
            splits = np.concatenate([[0], np.cumsum([len(entries) for entries in rows.values()])])
            return _laid_out(values, splits, rows, 0)
    flat, splits, n_skipped = [], [0], 0
    for recording, entries in rows.items():
        for k, entry in enumerate(entries):
            problem = row_problem(entry, width)
            if problem is None:
                flat.append(tuple(float(value) for value in entry))
            elif skip_invalid:
                n_skipped += 1
            else:
                raise AnnotationError(f"{source}: {recording!r} row {k}: {problem}, got {entry!r}")
        splits.append(len(flat))
    values = np.array(flat, dtype=np.float64).reshape(-1, width)
    return _laid_out(values, splits, rows, n_skipped)


def _laid_out(
    values: np.ndarray, splits: Sequence[int] | np.ndarray, ids: Iterable[str], n_skipped: int
) -> SegmentTable:
    scores = values[:, 0].copy() if values.shape[1] == 3 else None
    starts, ends = values[:, -2].copy(), values[:, -1].copy()
    return SegmentTable(starts, ends, scores, np.asarray(splits, dtype=np.int64), tuple(ids), n_skipped)


def row_problem(entry: Sequence[float], width: int) -> str | None:
    """Say what is wrong with a row, or None."""
    names = "[score, start_s, end_s]" if width == 3 else "[start_s, end_s]"
    values = [] if isinstance(entry, str | bytes) else list(entry) if isinstance(entry, Iterable) else []
    # float() would take text and True for numbers.
    if not values or not all(isinstance(value, Real) and not isinstance(value, bool) for value in values):
        return f"expected {names} as numbers"
    if len(values) != width or not all(map(math.isfinite, values)):
        return f"expected {names}, all finite"
    if values[-1] < values[-2]:
        return "expected end >= start"
    return None
