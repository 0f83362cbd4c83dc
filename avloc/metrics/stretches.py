"""Equal error rate of short stretches of time, as PartialSpoof counts it.

Conventions
-----------
A recording of a duration is cut into stretches of one length from zero on, the last one shorter (Zhang et
al., "The PartialSpoof Database and Countermeasures", 2023, section III). A stretch is forged if any of it
lies in a reference segment, and its score is that of the best proposal that reaches into it; one that no
proposal reaches ranks last. Stretches of all recordings are pooled. More than ``MAX_LEVELS`` distinct scores
are counted in as many quantiles, which moves an error rate by less than 1 / ``MAX_LEVELS``.
"""

import math
from collections.abc import Mapping

import numpy as np

from avloc.metrics.compiled import jit
from avloc.metrics.recording import equal_error_rate
from avloc.metrics.table import SegmentTable

STEPS_S = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
MAX_LEVELS = 2**16
SNAP = 1e-6  # of a stretch: an edge on a border, written in decimals, does not reach into the next one


def stretch_error_rates(
    proposals: SegmentTable, references: SegmentTable, durations_s: Mapping[str, float]
) -> dict[str, float]:
    """Equal error rate of stretches of 20 to 640 ms.

    Parameters
    ----------
    proposals, references : SegmentTable
        With the same ``ids`` in the same order.
    durations_s : mapping of str to float [s]
        Of each recording. Where it is missing, the last end of a proposal or reference is taken.

    Returns
    -------
    dict
        ``segment_EER@20ms`` and so on; NaN without both kinds of stretches.
    """
    levels, level_of = _levels(proposals.scores)
    lengths = np.array([durations_s.get(i) or 0.0 for i in references.ids], dtype=np.float64)
    for table in (proposals, references):
        has_rows = table.counts > 0
        if has_rows.any():
            last = np.maximum.reduceat(table.ends, table.splits[:-1][has_rows])
            lengths[has_rows] = np.where(lengths[has_rows] > 0, lengths[has_rows], np.maximum(last, 0.0))
    found = {}
    for step in STEPS_S:
        counts = np.zeros((2, len(levels) + 1), dtype=np.int64)
        _count(
            proposals.starts, proposals.ends, level_of, proposals.splits,
            references.starts, references.ends, references.splits, lengths, step, counts,
        )  # fmt: skip
        found[f"segment_EER@{round(step * 1000)}ms"] = _rate(counts)
    return found


def _levels(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct scores, or quantiles of them, rising, and the level (1 first) of each row."""
    sample = (
        scores if len(scores) <= 64 * MAX_LEVELS else scores[:: math.ceil(len(scores) / (64 * MAX_LEVELS))]
    )
    levels = np.unique(sample)
    if len(levels) > MAX_LEVELS or len(sample) < len(scores):
        places = np.linspace(0, len(levels) - 1, min(MAX_LEVELS, len(levels))).astype(np.int64)
        levels = levels[places]
    return levels, np.searchsorted(levels, scores, side="right").astype(np.int32)


def _rate(counts: np.ndarray) -> float:
    """Rate of stretches counted by kind (genuine, forged) and level."""
    scores = np.tile(np.arange(counts.shape[1], dtype=np.float64), 2)
    is_forged = np.repeat([False, True], counts.shape[1])
    return equal_error_rate(scores, is_forged, counts.reshape(-1).astype(np.float64))


@jit
def _count(
    starts: np.ndarray,  # (N,) s
    ends: np.ndarray,
    levels: np.ndarray,  # (N,)
    splits: np.ndarray,  # (R + 1,)
    true_starts: np.ndarray,  # (K,) s
    true_ends: np.ndarray,
    true_splits: np.ndarray,  # (R + 1,)
    lengths: np.ndarray,  # (R,) s
    step: float,
    counts: np.ndarray,  # (2, levels + 1), added to
) -> None:
    for r in range(len(lengths)):
        n = int(np.ceil(lengths[r] / step - SNAP))
        best = np.zeros(n, dtype=np.int32)
        forged = np.zeros(n, dtype=np.bool_)
        for row in range(splits[r], splits[r + 1]):
            first = max(0, int(np.floor(starts[row] / step + SNAP)))
            for i in range(first, min(n, int(np.ceil(ends[row] / step - SNAP)))):
                best[i] = max(best[i], levels[row])
        for k in range(true_splits[r], true_splits[r + 1]):
            first = max(0, int(np.floor(true_starts[k] / step + SNAP)))
            for i in range(first, min(n, int(np.ceil(true_ends[k] / step - SNAP)))):
                forged[i] = True
        for i in range(n):
            counts[1 if forged[i] else 0, best[i]] += 1
