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
    n_references = (
        len(matches.reference_recordings) if weights is None else weights[matches.reference_recordings].sum()
    )
    if n_references == 0:
        return np.full(len(matches.hits), np.nan)
    # Precision falls from one hit to the next, so the curve is made monotone at the hits alone.
    row_weights = None if weights is None else weights[matches.recordings]
    n_rows = None if row_weights is None else np.cumsum(row_weights)
    first = 0 if row_weights is None else int(np.argmax(row_weights > 0)) if len(row_weights) else 0
    areas = np.empty(len(matches.hits))
    for t, hits in enumerate(matches.hits):
        at = np.flatnonzero(hits)
        gained = np.ones(len(at)) if row_weights is None else row_weights[at].astype(np.float64)
        seen = at + 1.0 if n_rows is None else np.maximum(n_rows[at], 1.0)
        precision = np.cumsum(gained) / seen
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        if curve_start == "after_first":
            gained[at == first] -= 1.0
        areas[t] = (gained * envelope).sum() / n_references
    return areas
