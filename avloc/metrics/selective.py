"""How often verdicts are wrong where the least certain recordings are left undecided.

Conventions
-----------
A recording is called forged from the threshold on; how certain that is, is the distance of its score from the
threshold. Coverage is the share of recordings that are decided, the most certain first; risk is the share of
wrong verdicts among them (El-Yaniv and Wiener, "On the Foundations of Noise-free Selective Classification",
JMLR 2010). Recordings that are equally certain share their errors evenly, so that the order of a file decides
nothing. The area is the mean risk over all coverages (AURC; Geifman, Uziel and El-Yaniv, "Bias-Reduced
Uncertainty Estimation for Deep Neural Classifiers", ICLR 2019): 0 is perfect, the risk at full coverage is
what a certainty that says nothing gives.
"""

import numpy as np

COVERAGES = tuple(round(0.1 * i, 1) for i in range(1, 11))


def risk_coverage(scores: np.ndarray, is_forged: np.ndarray, threshold: float) -> dict | None:
    """Risk at each of ``COVERAGES``, and the area under the curve.

    Parameters
    ----------
    scores : np.ndarray [shape=(n,)]
        Of recordings; -inf (nothing was proposed) counts as 0, or as the lowest score if that is below.
    is_forged : np.ndarray [shape=(n,), bool]
        Truth.
    threshold : float
        From which a recording is called forged.

    Returns
    -------
    dict or None
        ``coverage`` and ``risk``, lists of the same length, and ``area``; None without a recording.

    Examples
    --------
    >>> found = risk_coverage(np.array([0.9, 0.8, 0.4, 0.45]), np.array([True, True, False, True]), 0.5)
    >>> found["risk"][-1], found["risk"][4], found["area"]
    (0.25, 0.0, 0.0625)
    """
    if not len(scores):
        return None
    lowest = min(0.0, float(np.min(scores, initial=0.0, where=np.isfinite(scores))))
    scores = np.where(np.isneginf(scores), lowest, scores)
    wrong = (scores >= threshold) != is_forged
    distinct, step = np.unique(-np.abs(scores - threshold), return_inverse=True)
    ends = np.cumsum(np.bincount(step, minlength=len(distinct)))
    errors = np.cumsum(np.bincount(step, weights=wrong, minlength=len(distinct)))
    n = len(scores)
    decided = np.arange(1, n + 1)
    risk = np.interp(decided, [0, *ends], [0, *errors]) / decided
    return {
        "coverage": list(COVERAGES),
        "risk": [float(risk[int(np.ceil(c * n - 1e-9)) - 1]) for c in COVERAGES],
        "area": float(risk.mean()),
    }
