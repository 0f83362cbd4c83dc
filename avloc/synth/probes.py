"""Probes: numbers of a recording that say nothing of a forgery, and a tiny classifier on them.

Each sees one thing that a made set may give away by accident. None sees where a segment would be.
"""

from collections.abc import Callable, Sequence

import numpy as np

from avloc.features.audio import SAMPLE_RATE
from avloc.features.lossy import HALF, mdct
from avloc.synth.spans import frame_envelope

OPENING_S = 0.2
PENALTY = 0.02  # of the squared weights, relative to the mean loss
N_STEPS = 12  # of Newton's method; it stands still after six
QUIET = 1e-5  # RMS of half a step of 16 bits


def opening(samples: np.ndarray) -> list[float]:
    """Level, peak and spectrum in 16 bands of the first 200 ms."""
    first = samples[: int(OPENING_S * SAMPLE_RATE)]
    power = np.abs(np.fft.rfft(first * np.hanning(len(first)), 4096)) ** 2
    edges = np.unique(np.geomspace(12, len(power), 17).astype(int))
    bands = np.add.reduceat(power, edges[:-1]) / np.diff(edges)
    halves = [_db(_rms(half)) for half in np.array_split(first, 2)]
    return [*halves, _db(np.abs(first).max(initial=0.0)), *(10 * np.log10(bands + 1e-9))]


def silence(samples: np.ndarray) -> list[float]:
    """Digital zeros, and how long, how many and how deep the pauses are."""
    level = frame_envelope(samples)
    loud = np.percentile(level, 90) + QUIET
    paused = level < 0.05 * loud
    lengths = _runs(paused)
    zero_runs = _runs(samples == 0)
    return [
        float((samples == 0).mean()),
        float(np.log1p(zero_runs.max(initial=0))),
        float(paused.mean()),
        len(lengths) / len(level),
        float(lengths.max(initial=0)),
        float(lengths.mean()) if len(lengths) else 0.0,
        *(_db(np.percentile(level, q) / loud) for q in (0, 2, 5, 10, 25)),
        float(np.std(np.log(level[paused] + QUIET))) if paused.any() else 0.0,
    ]


def loudness(samples: np.ndarray) -> list[float]:
    """Level, peak, crest and range."""
    level = frame_envelope(samples)
    whole, peak = _rms(samples), float(np.abs(samples).max(initial=0.0))
    spread = [_db(np.percentile(level, q)) for q in (50, 75, 95, 100)]
    return [
        _db(whole),
        _db(peak),
        _db(peak / (whole + QUIET)),
        *spread,
        float((np.abs(samples) > 0.98).mean()),
    ]


def duration(samples: np.ndarray) -> list[float]:
    """Length, and what it leaves over on likely grids."""
    n = len(samples)
    return [float(n), *(float(n % grid) for grid in (160, 640, SAMPLE_RATE))]


def codec(samples: np.ndarray) -> list[float]:
    """Upper edge of the spectrum, coefficients of a coder's transform that are nearly zero, bits in use."""
    size = np.abs(mdct(samples.astype(np.float32)))
    power = (size**2).mean(axis=0)
    share = np.cumsum(power) / (power.sum() + 1e-12)
    edges = [float(np.searchsorted(share, q)) / HALF for q in (0.9, 0.99, 0.999, 0.9999)]
    frame = np.sqrt((size**2).mean(axis=1, keepdims=True)) + QUIET
    holes = [float((part < 1e-3 * frame).mean()) for part in np.array_split(size, 6, axis=1)]
    floor = [_db(np.sqrt(part.mean())) for part in np.array_split(power, 6)]
    steps = np.round(np.abs(samples) * 32768).astype(np.int64)
    used = np.count_nonzero(np.bincount(steps)) / (steps.max(initial=0) + 1)
    even = float((steps % 2 == 0).mean())
    return [*edges, *holes, *np.diff(floor), used, even]


def padding(samples: np.ndarray) -> list[float]:
    """Zeros and repeated values at both ends and the longest anywhere, levels of both ends."""
    same = np.diff(samples) == 0
    middle = np.median(frame_envelope(samples)) + QUIET
    ends = []
    for way in (samples, samples[::-1]):
        sounding = np.flatnonzero(way)
        changing = np.flatnonzero(np.diff(way))
        ends += [
            float(np.log1p(sounding[0] if len(sounding) else len(way))),
            float(np.log1p(changing[0] if len(changing) else len(way))),
            _db(abs(float(way[0]))),
            *(_db(_rms(way[:n]) / middle) for n in (32, 320, 1600)),
        ]
    return [*ends, float(np.log1p(_runs(same).max(initial=0)))]


PROBES: dict[str, Callable[[np.ndarray], list[float]]] = {
    "first 200 ms": opening,
    "silence": silence,
    "loudness": loudness,
    "duration": duration,
    "codec traces": codec,
    "padding": padding,
}
"""Name of each probe and what it measures of a recording (n,) at 16 kHz."""


def cross_validate(
    features: np.ndarray,
    is_forged: np.ndarray,
    groups: Sequence[str],
    *,
    seed: int,
    n_folds: int,
    n_rounds: int,
) -> np.ndarray:
    """Score each recording by a logistic regression that saw none of its group.

    Parameters
    ----------
    features : np.ndarray [shape=(n, d)]
        One row a recording.
    is_forged : np.ndarray [shape=(n,), bool]
        Truth.
    groups : sequence of str [length n]
        Recordings of a group are left out together.
    seed : int
        Of the partitions.
    n_folds, n_rounds : int
        Parts of a partition, and partitions whose scores are averaged.

    Returns
    -------
    np.ndarray [shape=(n,), range [0, 1]]
        Mean rank within the fold. Raw scores of different folds do not compare: each regression knows the
        share of forged recordings among the others, which is high where that of its own fold is low.
    """
    rng = np.random.default_rng(seed)
    names, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    n_folds = min(n_folds, len(names))
    total = np.zeros(len(features))
    for _ in range(n_rounds):
        fold = _partition(rng, np.bincount(group), n_folds)[group]
        for k in range(n_folds):
            left_out = fold == k
            weights = _fit(features[~left_out], is_forged[~left_out])
            scores = _expand(features[left_out], features[~left_out]) @ weights
            order = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
            total[left_out] += (order + 0.5) / len(order)
    return total / n_rounds


def _partition(rng: np.random.Generator, sizes: np.ndarray, n_folds: int) -> np.ndarray:
    """Put groups of ``sizes`` (G,) into folds (G,) of about the same number of recordings."""
    fold, filled = np.zeros(len(sizes), dtype=int), np.zeros(n_folds)
    shuffled = rng.permutation(len(sizes))
    for k in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold[k] = filled.argmin()
        filled[fold[k]] += sizes[k]
    return fold


def _expand(features: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Ranks among ``known`` in [-1, 1], their squares and a constant: outliers and units do not matter."""
    columns = [np.ones(len(features))]
    for column, reference in zip(features.T, np.sort(known, axis=0).T, strict=True):
        below = np.searchsorted(reference, column, side="left") + np.searchsorted(reference, column, "right")
        rank = below / len(reference) - 1
        columns += [rank, rank**2 - 1 / 3]
    return np.stack(columns, axis=1)


def _fit(features: np.ndarray, is_forged: np.ndarray) -> np.ndarray:
    x = _expand(features, features)
    weights = np.zeros(x.shape[1])
    penalty = PENALTY * np.eye(len(weights))
    penalty[0, 0] = 1e-9
    for _ in range(N_STEPS):
        p = 1 / (1 + np.exp(-x @ weights))
        slope = x.T @ (p - is_forged) / len(x) + penalty @ weights
        bend = (x * (p * (1 - p))[:, None]).T @ x / len(x) + penalty
        weights -= np.linalg.solve(bend, slope)
    return weights


def _runs(mask: np.ndarray) -> np.ndarray:
    """Lengths of the stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges[1::2] - edges[::2]


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt((samples.astype(np.float64) ** 2).mean())) if len(samples) else 0.0


def _db(amplitude: float) -> float:
    return float(20 * np.log10(amplitude + QUIET))
