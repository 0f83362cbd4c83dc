"""Average precision of segments.

Conventions
-----------
Proposals of all recordings form one list by descending score. Precision after each row is hits / rows; it is
made monotone from the right, and the area under precision over recall takes every step (all-points
interpolation, Everingham et al., "The Pascal Visual Object Classes Challenge 2010 development kit").
Proposals of genuine recordings are false positives. With ``curve_start="zero_recall"`` the area starts at
recall 0; with ``"after_first"`` at the recall after the single best-scored row, whose own step is lost
(evaluators of LAV-DF and AV-Deepfake1M): a perfect answer to one reference is 1 and 0.

The area is summed as precision at hits, divided by the number of references once at the end, so a perfect
answer is exactly 1.0.
"""

import numpy as np

from avloc.metrics.matching import Matches

CURVE_STARTS = ("zero_recall", "after_first")


def average_precision(
    matches: Matches, *, curve_start: str = "zero_recall", weights: np.ndarray | None = None
) -> np.ndarray:
    """Area under precision over recall at each IoU threshold of ``matches``.

    Parameters
    ----------
    matches : Matches
        Made with ``assignment="by_score"`` or ``"by_reference"``.
    curve_start : str
        ``"zero_recall"`` or ``"after_first"``.
    weights : np.ndarray or None [shape=(R,), >= 0]
        How often each recording counts (a bootstrap replicate); None: once.

    Returns
    -------
    np.ndarray [shape=(n_iou,), range [0, 1]]
        NaN where there is no reference.

    Raises
    ------
    ValueError
        If ``curve_start`` is unknown.
    """
    if curve_start not in CURVE_STARTS:
        raise ValueError(f"curve_start must be one of {CURVE_STARTS}, got {curve_start!r}")
    if weights is None:
        weights = np.ones(matches.n_recordings)
    n_references = weights[matches.reference_recordings].sum()
    if n_references == 0:
        return np.full(len(matches.hits), np.nan)
    row_weights = weights[matches.recordings]
    hit_weights = matches.hits * row_weights  # (n_iou, N)
    n_rows = np.cumsum(row_weights)
    precision = np.cumsum(hit_weights, axis=1) / np.where(n_rows > 0, n_rows, 1.0)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    if curve_start == "after_first" and hit_weights.shape[1]:
        first = int(np.argmax(row_weights > 0))
        hit_weights[:, first] = np.maximum(hit_weights[:, first] - 1.0, 0.0)
    return (hit_weights * envelope).sum(axis=1) / n_references
