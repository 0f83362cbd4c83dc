"""Pseudo-random weights and inputs that anyone can make again: the recipes of the parity fixtures.

Every entry of a state dict has a seed of its own, the CRC-32 of its name. Every input is white noise that was
box-summed along its axes, from a seed of the case.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from avloc.models.encoders.whisper import sinusoid_positions

# Centre and spread of what is no matrix: embeddings, biases, norm scales, PReLU slopes, running means.
SPREADS = {"e": (0, 0.3), "b": (0, 0.05), "g": (1, 0.1), "p": (0.25, 0.05), "m": (0, 0.1)}
KINDS = (*SPREADS, "w", "r", "v", "c", "s")
UNUSED = "-"  # in the checkpoint, without influence on the outputs


def make_weight(key: str, shape: Sequence[int], kind: str) -> np.ndarray:
    """Make the values of one entry of a state dict.

    Parameters
    ----------
    key : str
        Name as the public state dict spells it; it is the seed.
    shape : sequence of int
    kind : str
        Of ``KINDS``: ``w`` and ``r`` matrices with the gains 1 and 1.4, ``v`` running variance, ``c`` a
        counter, ``s`` sinusoid positions, and those of ``SPREADS``.

    Returns
    -------
    float32, or int64 for a counter, of that shape

    Examples
    --------
    >>> make_weight("norm.weight", [2], "g").dtype.name, make_weight("n", [], "c").item()
    ('float32', 0)
    """
    f = np.float32
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r} for {key!r}")
    if kind == "c":
        return np.zeros(tuple(shape), np.int64)
    if kind == "s":
        return sinusoid_positions(shape[0], shape[1]).numpy()
    noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(tuple(shape), dtype=f)
    if kind in "wr":
        return noise * f((1.4 if kind == "r" else 1.0) / np.sqrt(int(np.prod(shape[1:]))))
    if kind == "v":
        return f(1) + f(0.2) * np.abs(noise)
    centre, spread = SPREADS[kind]
    return f(centre) + f(spread) * noise


def smooth(seed: Sequence[int], shape: Sequence[int], windows: Sequence[int]) -> np.ndarray:
    """Make white noise, box-summed over ``windows`` along each axis, of unit variance: float64."""
    rng = np.random.default_rng(list(seed))
    x = rng.standard_normal(tuple(size + w - 1 for size, w in zip(shape, windows, strict=True)))
    for axis, w in enumerate(windows):
        if w > 1:
            taken = (np.take(x, np.arange(j, j + shape[axis]), axis=axis) for j in range(w))
            x = sum(taken) / np.sqrt(float(w))
    return x


def video(seed: int, n_rows: int, n_frames: int) -> np.ndarray:
    """Make mouth crops, float32 (B, T, 88, 88)."""
    return smooth([seed, 0], (n_rows, n_frames, 88, 88), (1, 2, 17, 17)).astype(np.float32)


def product(seed: int, n_rows: int, n_samples: int) -> np.ndarray:
    """Make fast noise that slow noise opens and closes, float64 (B, N)."""
    rows = range(n_rows)
    fast = [smooth([seed, row, 0], (n_samples,), (5,)) for row in rows]
    slow = [smooth([seed, row, 1], (n_samples,), (1600,)) for row in rows]
    return np.stack([a * b for a, b in zip(fast, slow, strict=True)])


def waveform(seed: int, n_rows: int, n_samples: int) -> np.ndarray:
    """Make ``product`` of zero mean and unit variance in each row, float32 (B, N)."""
    x = product(seed, n_rows, n_samples)
    return ((x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)).astype(np.float32)


def filter_banks(seed: int, n_rows: int, n_frames: int) -> np.ndarray:
    """Make stacked log filter-banks, float32 (B, T, 104)."""
    return smooth([seed, 0], (n_rows, n_frames, 104), (1, 5, 1)).astype(np.float32)


def log_mel(seed: int, n_rows: int, n_steps: int) -> np.ndarray:
    """Make Whisper's input, float32 (B, 80, 2 T)."""
    return (0.5 * smooth([seed, 0], (n_rows, 80, 2 * n_steps), (1, 3, 5))).astype(np.float32)


def embeddings(
    seed: int, n_rows: int, n_frames: int, valid_steps: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Make embeddings of the picture and of the sound, float32 (B, T, 768), zero from ``valid_steps`` on."""
    pair = [smooth([seed, i], (n_rows, n_frames, 768), (1, 5, 1)).astype(np.float32) for i in (0, 1)]
    for x in pair:
        for row, n_valid in enumerate(valid_steps):
            x[row, n_valid:] = 0
    return pair[0], pair[1]
