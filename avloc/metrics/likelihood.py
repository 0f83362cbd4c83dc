"""Cost of log-likelihood ratios: how much a score is worth as evidence.

Conventions
-----------
Cllr is ½ (mean of log2(1 + 1/LR) over forged + mean of log2(1 + LR) over genuine recordings): 0 is perfect, 1
is what a score that says nothing costs (Brümmer and du Preez, "Application-independent evaluation of speaker
detection", 2006). A score s in [0, 1] is taken as the probability at even odds, so its ratio is s / (1 - s);
scores are held between 1e-6 and 1 - 1e-6. Minimum Cllr is that of the best monotone map of the scores, found
by pooling adjacent violators; it does not depend on the scale of the scores.
"""

import numpy as np

SMALLEST = 1e-6


def cllr(scores: np.ndarray, is_forged: np.ndarray) -> float:
    """Cllr of scores taken as probabilities at even odds.

    Parameters
    ----------
    scores : np.ndarray [shape=(n,)]
        In [0, 1]; -inf (nothing was proposed) counts as 0.
    is_forged : np.ndarray [shape=(n,), bool]
        Truth.

    Returns
    -------
    float [>= 0]
        NaN unless both kinds are there, or if a score is above 1 or below 0.

    Examples
    --------
    >>> cllr(np.array([0.5, 0.5]), np.array([True, False]))
    1.0
    """
    scores = np.where(np.isneginf(scores), 0.0, scores)
    if _lacks_a_kind(is_forged) or scores.min() < 0 or scores.max() > 1:
        return float("nan")
    held = np.clip(scores, SMALLEST, 1 - SMALLEST)
    return _cost(np.log(held) - np.log1p(-held), is_forged)


def minimum_cllr(scores: np.ndarray, is_forged: np.ndarray) -> float:
    """Cllr after the best monotone map; arguments as in ``cllr``, on any scale.

    Returns
    -------
    float [range [0, 1]]
        NaN unless both kinds are there.
    """
    if _lacks_a_kind(is_forged):
        return float("nan")
    distinct, step = np.unique(scores, return_inverse=True)
    forged = np.bincount(step, weights=is_forged, minlength=len(distinct))
    total = np.bincount(step, minlength=len(distinct)).astype(np.float64)
    share = _pool_adjacent_violators(forged, total)[step]
    odds = is_forged.sum() / (~is_forged).sum()
    with np.errstate(divide="ignore"):
        return _cost(np.log(share) - np.log1p(-share) - np.log(odds), is_forged)


def _lacks_a_kind(is_forged: np.ndarray) -> bool:
    return not is_forged.any() or bool(is_forged.all())


def _cost(llr: np.ndarray, is_forged: np.ndarray) -> float:
    """Cllr of natural log-likelihood ratios; infinite ones that are right cost nothing."""
    misses, alarms = np.logaddexp(0.0, -llr[is_forged]), np.logaddexp(0.0, llr[~is_forged])
    return float((misses.mean() + alarms.mean()) / 2 / np.log(2))


def _pool_adjacent_violators(forged: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Share of forged items at each step, made to rise by pooling neighbours (isotonic regression)."""
    sums: list[list[float]] = []  # forged, total, number of steps
    for f, n in zip(forged.tolist(), total.tolist(), strict=True):
        sums.append([f, n, 1])
        while len(sums) > 1 and sums[-2][0] * sums[-1][1] >= sums[-1][0] * sums[-2][1]:
            f_last, n_last, steps = sums.pop()
            sums[-1] = [sums[-1][0] + f_last, sums[-1][1] + n_last, sums[-1][2] + steps]
    return np.repeat([f / n for f, n, _ in sums], [int(steps) for _, _, steps in sums])
