"""Percentile intervals by resampling source recordings.

Conventions
-----------
Items cut or made from one source recording are not independent, so whole sources are drawn, with replacement,
as many as there are; every item of a source then counts as often as its source was drawn. Replicates where a
figure does not exist (no forged item was drawn, say) are left out of that figure's interval. The interval is
the 2.5th to the 97.5th percentile (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section
13.3).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

LEVEL = 0.95


def bootstrap_intervals(
    figures: Callable[[np.ndarray], dict[str, float]],
    sources: Sequence[str],
    *,
    n_replicates: int,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, tuple[float, float] | None]:
    """Interval of every figure, of 95 % unless ``level`` says another.

    Parameters
    ----------
    figures : callable
        Takes how often each recording counts, shape (R,), float64, and gives the figures; NaN where
        undefined.
    sources : sequence of str [length R]
        Source of each recording; recordings with one source are drawn together.
    n_replicates : int [>= 1]
        Draws.
    seed : int
        Of a generator of its own.
    level : float [(0, 1)]
        Share of the replicates inside the interval, as many above as below.

    Returns
    -------
    dict
        (low, high) of each figure, or None where no replicate had it.

    Raises
    ------
    ValueError
        If ``n_replicates`` is below 1.
    """
    if n_replicates < 1:
        raise ValueError(f"n_replicates must be at least 1, got {n_replicates}")
    if not len(sources):
        return {}
    names, group = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
    generator = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {}
    for _ in range(n_replicates):
        counts = np.bincount(generator.integers(len(names), size=len(names)), minlength=len(names))
        for name, value in figures(counts[group].astype(np.float64)).items():
            drawn.setdefault(name, []).append(value)
    return {name: _interval(np.array(values), level) for name, values in drawn.items()}


def sources_of(ids: Sequence[str], sources: Mapping[str, str] | None) -> list[str]:
    """Source of each recording; itself where none is known."""
    return [recording if sources is None else sources.get(recording, recording) for recording in ids]


def _interval(values: np.ndarray, level: float) -> tuple[float, float] | None:
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)
