"""Recall of each recording against a false-alarm rate that all share, and its comparison between two systems.

Conventions
-----------
After Bertoldo et al., "AUPIMO: Redefining Visual Anomaly Detection Benchmarks with High Speed and Low
Tolerance" (2024), with recordings in place of images. The threshold comes from genuine recordings alone: at a
false-alarm rate F it is the lowest that at most a share F of them exceeds with any proposal. The recall of a
forged recording is the share of its forged time that proposals above the threshold cover. Its figure is the
mean recall over ``RATES``, ten rates from 1 to 10 % evenly spaced on a logarithmic scale. Two systems are
compared recording by recording with Wilcoxon's signed-rank test ("Individual comparisons by ranking methods",
1945), two-sided.
"""

import numpy as np

from avloc.metrics.compiled import jit
from avloc.metrics.figures import highest_scores
from avloc.metrics.table import SegmentTable

RATES = tuple(np.round(np.geomspace(0.01, 0.1, 10), 6).tolist())


def shared_thresholds(proposals: SegmentTable, references: SegmentTable) -> np.ndarray:
    """Threshold that proposals must exceed at each rate of ``RATES``, shape (10,).

    Parameters
    ----------
    proposals, references : SegmentTable
        With the same ``ids`` in the same order.

    Returns
    -------
    np.ndarray
        Falling; NaN without a genuine recording.
    """
    genuine = np.sort(highest_scores(proposals)[references.counts == 0])[::-1]
    if not len(genuine):
        return np.full(len(RATES), np.nan)
    n_allowed = [int(rate * len(genuine) + 1e-9) for rate in RATES]
    return genuine[n_allowed]


def recall_by_recording(
    proposals: SegmentTable, references: SegmentTable, thresholds: np.ndarray
) -> np.ndarray:
    """Share of forged time that proposals above each threshold cover.

    Parameters
    ----------
    proposals, references : SegmentTable
        With the same ``ids`` in the same order.
    thresholds : np.ndarray [shape=(n,)]
        Of scores, exceeded strictly.

    Returns
    -------
    np.ndarray [shape=(R, n), range [0, 1]]
        NaN for recordings without forged time.
    """
    recall = np.full((len(references.ids), len(thresholds)), np.nan)
    _cover(
        proposals.spans(np.float64), proposals.scores, proposals.splits,
        references.spans(np.float64), references.splits, np.asarray(thresholds, dtype=np.float64), recall,
    )  # fmt: skip
    return recall


def shared_rate_recall(proposals: SegmentTable, references: SegmentTable) -> np.ndarray:
    """Mean recall of each recording over the shared rates, shape (R,); NaN for genuine recordings."""
    return recall_by_recording(proposals, references, shared_thresholds(proposals, references)).mean(axis=1)


def signed_rank_test(first: np.ndarray, second: np.ndarray) -> dict[str, float | int | None]:
    """Compare two systems recording by recording.

    Parameters
    ----------
    first, second : np.ndarray [shape=(R,)]
        Figures of the same recordings; those where either is NaN are left out.

    Returns
    -------
    dict
        ``n`` recordings, ``mean`` and ``mean_other``, ``better``, ``worse`` and ``equal`` recordings of the
        first, ``p`` two-sided, None where no recording differs.
    """
    from scipy.stats import wilcoxon

    known = ~(np.isnan(first) | np.isnan(second))
    first, second = first[known], second[known]
    differs = first != second
    return {
        "n": int(known.sum()),
        "mean": float(first.mean()) if len(first) else None,
        "mean_other": float(second.mean()) if len(second) else None,
        "better": int((first > second).sum()),
        "worse": int((first < second).sum()),
        "equal": int((~differs).sum()),
        "p": float(wilcoxon(first[differs], second[differs]).pvalue) if differs.any() else None,
    }


@jit
def _cover(
    spans: np.ndarray,  # (N, 2) s
    scores: np.ndarray,  # (N,)
    splits: np.ndarray,  # (R + 1,)
    truth: np.ndarray,  # (K, 2) s
    truth_splits: np.ndarray,  # (R + 1,)
    thresholds: np.ndarray,  # (n,)
    recall: np.ndarray,  # (R, n), written where there is forged time
) -> None:
    for r in range(len(splits) - 1):
        first, last = truth_splits[r], truth_splits[r + 1]
        forged = _common_time(truth[first:last], truth[first:last])
        if forged <= 0:
            continue
        for t in range(len(thresholds)):
            above = scores[splits[r] : splits[r + 1]] > thresholds[t]
            recall[r, t] = _common_time(truth[first:last], spans[splits[r] : splits[r + 1]][above]) / forged


@jit
def _common_time(one: np.ndarray, other: np.ndarray) -> float:
    """Length of what the unions of two sets of spans have in common."""
    total = 0.0
    ones, others = one[np.argsort(one[:, 0])], other[np.argsort(other[:, 0])]
    reached = -np.inf  # of the union of the first set
    for i in range(len(ones)):
        start, end = max(ones[i, 0], reached), ones[i, 1]
        if end <= start:
            continue
        reached = end
        at = start
        for j in range(len(others)):
            low, high = max(at, others[j, 0]), min(end, others[j, 1])
            if high > low:
                total += high - low
                at = high
    return total
