"""Recording-level figures: whether anything is forged in it.

Conventions
-----------
Truth is "the reference list is not empty". A recording's score is its highest proposal unless scores are
given; a recording without any proposal ranks below all others (-inf). Equal scores: AUC counts half, AP and
EER treat the tied recordings as one step. All three also score frames, whose weights count them more than
once in a bootstrap.
"""

import numpy as np


def auc(scores: np.ndarray, is_forged: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Area under the ROC curve: chance that a forged item scores above a genuine one, ties half.

    Parameters
    ----------
    scores : np.ndarray [shape=(n,)]
        Larger means more likely forged; -inf is allowed, NaN is not.
    is_forged : np.ndarray [shape=(n,), bool]
        Truth.
    weights : np.ndarray or None [shape=(n,), >= 0]
        How often each item counts; None: once.

    Returns
    -------
    float [range [0, 1]]
        NaN unless both kinds are there.

    Raises
    ------
    ValueError
        For NaN scores or arrays of different length.

    Examples
    --------
    >>> auc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True]))
    0.875
    """
    forged, genuine, _ = _steps(scores, is_forged, weights)
    if forged.sum() == 0 or genuine.sum() == 0:
        return float("nan")
    genuine_below = genuine.sum() - np.cumsum(genuine)
    return float((forged * (genuine_below + 0.5 * genuine)).sum() / (forged.sum() * genuine.sum()))


def average_precision_of_items(
    scores: np.ndarray, is_forged: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Sum over score steps of (recall gained) × precision, without interpolation; arguments as in ``auc``.

    Returns
    -------
    float [range [0, 1]]
        NaN without a forged item.
    """
    forged, genuine, _ = _steps(scores, is_forged, weights)
    if forged.sum() == 0:
        return float("nan")
    hits, alarms = np.cumsum(forged), np.cumsum(genuine)
    total = hits + alarms
    return float((forged * hits / np.where(total > 0, total, 1.0)).sum() / forged.sum())


def equal_error_rate(scores: np.ndarray, is_forged: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Rate at which misses and false alarms are equal, on the line between neighbouring ROC points.

    Arguments as in ``auc``. The ROC has one point before the best score and one after each distinct score.

    Returns
    -------
    float [range [0, 1]]
        NaN unless both kinds are there.
    """
    forged, genuine, _ = _steps(scores, is_forged, weights)
    if forged.sum() == 0 or genuine.sum() == 0:
        return float("nan")
    misses = 1.0 - np.concatenate([[0.0], np.cumsum(forged)]) / forged.sum()
    alarms = np.concatenate([[0.0], np.cumsum(genuine)]) / genuine.sum()
    after = int(np.argmax(alarms >= misses))  # alarms rise to 1 and misses fall to 0, so there is one
    if after == 0 or alarms[after] == misses[after]:
        return float(alarms[after])
    gap_before = misses[after - 1] - alarms[after - 1]
    gap_after = alarms[after] - misses[after]
    share = gap_before / (gap_before + gap_after)
    return float(alarms[after - 1] + share * (alarms[after] - alarms[after - 1]))


def _steps(
    scores: np.ndarray, is_forged: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forged weight, genuine weight and score of every distinct score, best first."""
    scores, is_forged = np.asarray(scores, dtype=np.float64), np.asarray(is_forged, dtype=bool)
    if scores.shape != is_forged.shape or scores.ndim != 1:
        raise ValueError(f"scores and is_forged must both be (n,), got {scores.shape} and {is_forged.shape}")
    if np.isnan(scores).any():
        raise ValueError(f"scores must not be NaN, got {int(np.isnan(scores).sum())} of {len(scores)}")
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights, dtype=np.float64)
    distinct, step = np.unique(-scores, return_inverse=True)
    forged = np.bincount(step, weights=weights * is_forged, minlength=len(distinct))
    genuine = np.bincount(step, weights=weights * ~is_forged, minlength=len(distinct))
    return forged, genuine, -distinct
