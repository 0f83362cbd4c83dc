"""Average recall of segments at a number of proposals per recording.

Conventions
-----------
At each IoU threshold, recall = references served by one of the first N proposals of their recording /
references; the average over thresholds is AR@N (Hosang et al., "What makes for effective detection
proposals?", 2015). Ranks and matching come from ``matching.match``: one to one by score (``corrected``), or
any proposal (the evaluators of LAV-DF and AV-Deepfake1M). A recording with fewer than N proposals uses all it
has; genuine recordings have no effect.

That is ``budget="own"``. With ``"shared"`` N is the average over the labelled recordings (those with a
reference), as ActivityNet's "average recall against average number of proposals" has it: where all P
proposals, those of genuine recordings included, are more than 100 for each of the L labelled recordings, a
recording with n of them first keeps the best int(n * 100 * L / P); of these, the best int(n * N * L / kept)
count, where ``kept`` is the sum of what the labelled recordings keep. The more recordings are genuine, the
fewer proposals count.
"""

import numpy as np

from avloc.metrics.matching import Matches

BUDGETS = ("own", "shared")
SHARED_MOST = 100  # proposals per labelled recording at which the shared budget's curve ends


def average_recall(
    matches: Matches, n_proposals: int, *, budget: str = "own", weights: np.ndarray | None = None
) -> float:
    """Recall of the first ``n_proposals`` of each recording, averaged over the IoU thresholds of ``matches``.

    Parameters
    ----------
    matches : Matches
        At the thresholds to average over.
    n_proposals : int [>= 1]
        Proposals per recording that count.
    budget : str
        ``"own"`` or ``"shared"``.
    weights : np.ndarray or None [shape=(R,), >= 0]
        How often each recording counts; None: once.

    Returns
    -------
    float [range [0, 1]]
        NaN without any reference.

    Raises
    ------
    ValueError
        If ``n_proposals`` is below 1, or above 100 with a shared budget, or ``budget`` is unknown.
    """
    if n_proposals < 1:
        raise ValueError(f"n_proposals must be at least 1, got {n_proposals}")
    if budget not in BUDGETS:
        raise ValueError(f"budget must be one of {BUDGETS}, got {budget!r}")
    if weights is None:
        weights = np.ones(matches.n_recordings)
    owner = matches.reference_recordings
    reference_weights = weights[owner]
    n_references = reference_weights.sum()
    if n_references == 0:
        return float("nan")
    counted = n_proposals if budget == "own" else shared_budget(matches, n_proposals, weights)[owner]
    found = (matches.found_at < counted) * reference_weights  # (n_iou, K)
    return float(found.sum() / (n_references * len(matches.found_at)))


def shared_budget(matches: Matches, n_proposals: int, weights: np.ndarray) -> np.ndarray:
    """Proposals of each recording that count at an average of ``n_proposals``, shape (R,), int64."""
    if n_proposals > SHARED_MOST:
        raise ValueError(f"a shared budget ends at {SHARED_MOST} proposals, got n_proposals={n_proposals}")
    counts = matches.proposals.counts
    is_labelled = matches.references.counts > 0
    most = SHARED_MOST * weights[is_labelled].sum()
    kept = np.minimum((counts * (most / max((counts * weights).sum(), 1.0))).astype(np.int64), counts)
    n_kept = max((kept * weights)[is_labelled].sum(), 1.0)
    # In this order of operations, which decides where a product falls just below a whole number.
    share = n_proposals / SHARED_MOST * (most / n_kept)
    return np.minimum((kept * share).astype(np.int64), kept)
