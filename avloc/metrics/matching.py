"""Which proposal serves which reference, at many IoU thresholds at once.

Conventions
-----------
Matching never crosses recordings, so it is done once; the curves, the recalls and every bootstrap replicate
are sums over its result. A reference serves at most one proposal, except with ``assignment="any"``.

- ``by_score``: proposals in order of descending score; each takes the free reference that it overlaps most,
  if that IoU is a hit. Equal IoU: the reference that stands first in the file.
- ``by_reference``: references in file order; each takes the first unused proposal in *file* order that is a
  hit (evaluators of LAV-DF and AV-Deepfake1M).
- ``any``: a reference counts as found by the best-ranked proposal that is a hit; proposals are not used up
  (average recall of the same evaluators). No row is a hit in the sense of a precision then.

Arithmetic: an IoU that equals the threshold on paper may fall on either side after rounding (0.1-0.2 s
against 0.1-0.3 s gives 0.5000000000000001 in float64). ``union="hull"`` is max end - min start: of
overlapping segments it is the exact union with one rounding; ``"exact"`` is the same, and segments that do
not overlap have IoU 0. ``"lengths"`` is length + length - intersection, with three roundings. A zero-length
row overlaps nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avloc.metrics.compiled import jit
from avloc.metrics.ranking import by_descending_score, rank_rows
from avloc.metrics.table import SegmentTable

NEVER = np.iinfo(np.int64).max
"""Rank of a reference that no proposal serves."""

ASSIGNMENTS = ("by_score", "by_reference", "any")
UNIONS = ("exact", "hull", "lengths")
HITS = ("greater", "greater_equal")
ARITHMETIC = ("float64", "float32")
ORDERS = ("sorted", "as_given")


@jit
def _iou(start: float, end: float, other_start: float, other_end: float, by_lengths: bool) -> float:
    overlap = min(end, other_end) - max(start, other_start)
    if overlap <= 0:
        return overlap - overlap  # zero of the same type: float32 where the times are
    if by_lengths:
        return overlap / ((end - start) + (other_end - other_start) - overlap)
    return overlap / (max(end, other_end) - min(start, other_start))


@jit
def _by_score(
    spans: np.ndarray,  # (N, 2) s, proposals by recording
    splits: np.ndarray,  # (R + 1,)
    ranks: np.ndarray,  # (N,), or (0,): the rank is the place in the recording
    truth: np.ndarray,  # (K, 2) s, references by recording
    truth_splits: np.ndarray,  # (R + 1,)
    thresholds: np.ndarray,  # (n_iou,)
    inclusive: bool,
    by_lengths: bool,
    hits: np.ndarray,  # (n_iou, N), written
    found_at: np.ndarray,  # (n_iou, K), written
) -> None:
    for r in range(len(splits) - 1):
        if truth_splits[r] == truth_splits[r + 1]:
            continue
        rows = np.arange(splits[r], splits[r + 1])
        if len(ranks):
            rows = splits[r] + np.argsort(ranks[splits[r] : splits[r + 1]])
        for rank, row in enumerate(rows):
            for t in range(len(thresholds)):
                best, best_iou = -1, thresholds[t]
                for k in range(truth_splits[r], truth_splits[r + 1]):
                    if found_at[t, k] != NEVER:
                        continue
                    iou = _iou(spans[row, 0], spans[row, 1], truth[k, 0], truth[k, 1], by_lengths)
                    if iou > best_iou or (inclusive and best < 0 and iou == best_iou):
                        best, best_iou = k, iou
                if best >= 0:
                    hits[t, row] = True
                    found_at[t, best] = rank


@jit
def _by_reference(
    spans: np.ndarray,  # as in _by_score, and so on
    splits: np.ndarray,
    ranks: np.ndarray,
    truth: np.ndarray,
    truth_splits: np.ndarray,
    thresholds: np.ndarray,
    inclusive: bool,
    by_lengths: bool,
    hits: np.ndarray,
    found_at: np.ndarray,
) -> None:
    for r in range(len(splits) - 1):
        for k in range(truth_splits[r], truth_splits[r + 1]):
            n_open = len(thresholds)
            for row in range(splits[r], splits[r + 1]):
                iou = _iou(spans[row, 0], spans[row, 1], truth[k, 0], truth[k, 1], by_lengths)
                if iou <= 0:  # thresholds are above it
                    continue
                for t in range(len(thresholds)):
                    exceeds = iou > thresholds[t] or (inclusive and iou == thresholds[t])
                    if exceeds and found_at[t, k] == NEVER and not hits[t, row]:
                        hits[t, row] = True
                        found_at[t, k] = ranks[row] if len(ranks) else row - splits[r]
                        n_open -= 1
                if n_open == 0:
                    break


@jit
def _any(
    spans: np.ndarray,  # as in _by_score, and so on
    splits: np.ndarray,
    ranks: np.ndarray,
    truth: np.ndarray,
    truth_splits: np.ndarray,
    thresholds: np.ndarray,
    inclusive: bool,
    by_lengths: bool,
    hits: np.ndarray,  # left as it is
    found_at: np.ndarray,
) -> None:
    for r in range(len(splits) - 1):
        for k in range(truth_splits[r], truth_splits[r + 1]):
            for row in range(splits[r], splits[r + 1]):
                iou = _iou(spans[row, 0], spans[row, 1], truth[k, 0], truth[k, 1], by_lengths)
                if iou <= 0:
                    continue
                rank = ranks[row] if len(ranks) else row - splits[r]
                for t in range(len(thresholds)):
                    if iou > thresholds[t] or (inclusive and iou == thresholds[t]):
                        found_at[t, k] = min(found_at[t, k], rank)


_KERNELS = {"by_score": _by_score, "by_reference": _by_reference, "any": _any}


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Outcome of ``match``, rows in order of descending score over all recordings.

    Parameters
    ----------
    hits : np.ndarray [shape=(n_iou, N), bool]
        Whether the row serves a reference.
    rows : np.ndarray [shape=(N,), int64]
        Row of ``proposals`` that each is.
    recordings : np.ndarray [shape=(N,), int32]
        Recording of each row.
    ranks : np.ndarray [shape=(N,) or (0,), int32]
        Rank (0 first) of each row of ``proposals`` inside its recording; empty: its place there.
    found_at : np.ndarray [shape=(n_iou, K), int64]
        Rank (0 first) inside its recording of the proposal that serves each reference; ``NEVER`` for a miss.
    proposals, references : SegmentTable
        What was matched.
    """

    hits: np.ndarray
    rows: np.ndarray
    recordings: np.ndarray
    ranks: np.ndarray
    found_at: np.ndarray
    proposals: SegmentTable
    references: SegmentTable

    @property
    def scores(self) -> np.ndarray:
        """Score of each row, descending, shape (N,), float64."""
        return self.proposals.scores[self.rows]

    @property
    def reference_recordings(self) -> np.ndarray:
        """Recording of each reference, shape (K,), int32."""
        return self.references.recordings

    @property
    def n_recordings(self) -> int:
        """Recordings of the two tables."""
        return len(self.references.ids)


def match(
    proposals: SegmentTable,
    references: SegmentTable,
    *,
    iou_thresholds: Sequence[float],
    assignment: str = "by_score",
    hit: str = "greater",
    union: str = "exact",
    arithmetic: str = "float64",
    order: str = "sorted",
    sorted_like: Matches | None = None,
) -> Matches:
    """Match the proposals of every recording to its references.

    Parameters
    ----------
    proposals, references : SegmentTable
        With the same ``ids`` in the same order (see ``SegmentTable.select``).
    iou_thresholds : sequence of float [(0, 1)]
        Thresholds of intersection over union.
    assignment, hit, union, arithmetic : str
        See the module's conventions; ``hit="greater"`` is strict.
    order : str
        Rank of a proposal inside its recording: ``"sorted"`` by descending score, then start, then end, then
        file order; ``"as_given"``: file order. Rows of the result are sorted by score either way; equal
        scores by recording id, then rank (``"sorted"``), or in file order (``"as_given"``).
    sorted_like : Matches or None
        Another match of the same tables, arithmetic and order, whose sorted rows are taken over.

    Returns
    -------
    Matches

    Raises
    ------
    ValueError
        If the tables name different recordings, proposals have no scores, or an option is unknown.
    """
    _check_options(assignment=assignment, hit=hit, union=union, arithmetic=arithmetic, order=order)
    if proposals.ids != references.ids:
        raise ValueError(
            "proposals and references must name the same recordings in the same order; use select()"
        )
    if proposals.scores is None:
        raise ValueError("proposals must have scores, got a table without")
    dtype = np.float64 if arithmetic == "float64" else np.float32
    if sorted_like is not None:
        ranks = sorted_like.ranks
    else:
        ranks = np.zeros(0, dtype=np.int32) if order == "as_given" else rank_rows(proposals)
    thresholds = np.asarray(iou_thresholds, dtype=dtype)
    shape = (len(thresholds), len(proposals.starts))
    # Nothing is a hit without an assignment, and nothing times a hundred million rows is still a lot.
    any_serves = assignment == "any"
    hits = np.broadcast_to(np.False_, shape) if any_serves else np.zeros(shape, dtype=np.bool_)
    found_at = np.full((len(thresholds), len(references.starts)), NEVER, dtype=np.int64)
    _KERNELS[assignment](
        proposals.spans(dtype),
        proposals.splits,
        ranks,
        references.spans(dtype),
        references.splits,
        thresholds,
        hit == "greater_equal",
        union == "lengths",
        np.zeros((0, 0), dtype=np.bool_) if any_serves else hits,
        found_at,
    )
    rows = by_descending_score(proposals, ranks, dtype, order) if sorted_like is None else sorted_like.rows
    if not any_serves:
        for of_threshold in hits:  # one at a time: all of them once more would be as large as the table
            of_threshold[:] = of_threshold[rows]
    recordings = proposals.recordings[rows] if sorted_like is None else sorted_like.recordings
    return Matches(hits, rows, recordings, ranks, found_at, proposals, references)


def _check_options(**chosen: str) -> None:
    allowed = {
        "assignment": ASSIGNMENTS,
        "hit": HITS,
        "union": UNIONS,
        "arithmetic": ARITHMETIC,
        "order": ORDERS,
    }
    for name, value in chosen.items():
        if value not in allowed[name]:
            raise ValueError(f"{name} must be one of {allowed[name]}, got {value!r}")
