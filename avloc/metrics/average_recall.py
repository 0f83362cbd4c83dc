"""Average recall of segments at a number of proposals per recording.

Conventions
-----------
At each IoU threshold, recall = references served by one of the first N proposals of their recording /
references; the average over thresholds is AR@N (Hosang et al., "What makes for effective detection
proposals?", 2015). Ranks and matching come from ``matching.match``: one to one by score (``corrected``), or
any proposal (the evaluators of LAV-DF and AV-Deepfake1M). A recording with fewer than N proposals uses all it
has; genuine recordings have no effect.
"""

import numpy as np

from avloc.metrics.matching import Matches


def average_recall(matches: Matches, n_proposals: int, *, weights: np.ndarray | None = None) -> float:
    """Recall of the first ``n_proposals`` of each recording, averaged over the IoU thresholds of ``matches``.

    Parameters
    ----------
    matches : Matches
        At the thresholds to average over.
    n_proposals : int [>= 1]
        Proposals per recording that count.
    weights : np.ndarray or None [shape=(R,), >= 0]
        How often each recording counts; None: once.

    Returns
    -------
    float [range [0, 1]]
        NaN without any reference.

    Raises
    ------
    ValueError
        If ``n_proposals`` is below 1.
    """
    if n_proposals < 1:
        raise ValueError(f"n_proposals must be at least 1, got {n_proposals}")
    if weights is None:
        weights = np.ones(matches.n_recordings)
    reference_weights = weights[matches.reference_recordings]
    n_references = reference_weights.sum()
    if n_references == 0:
        return float("nan")
    found = (matches.found_at < n_proposals) * reference_weights  # (n_iou, K)
    return float(found.sum() / (n_references * len(matches.found_at)))
