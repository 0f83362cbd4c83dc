"""Copy synthesis from mel bands with phases that are found frame by frame, each from those before it."""

import numpy as np
from scipy.fft import irfft, rfft

from avloc.features.audio import SAMPLE_RATE
from avloc.synth.stft import Stft

LINEAR_HZ, MEL_HZ = 1000.0, 200.0 / 3  # Slaney's scale: linear up to 1 kHz, then 27 bands a factor of 6.4
LOG_STEP = np.log(6.4) / 27


def draw_rtisi(rng: np.random.Generator) -> dict:
    """Random parameters: transform, mel bands, rounds a frame."""
    n_fft = int(rng.choice([480, 640, 960]))
    return {
        "n_fft": n_fft,
        "hop": n_fft // int(rng.choice([4, 6, 8])),
        "n_mels": int(rng.choice([60, 80, 100, 120])),
        "n_rounds": int(rng.integers(2, 7)),
    }


def rtisi(
    rng: np.random.Generator, samples: np.ndarray, *, n_fft: int, hop: int, n_mels: int, n_rounds: int
) -> np.ndarray:
    """Speak ``samples`` (n,) again from its mel powers, in one pass through time.

    References
    ----------
    .. [1] Beauregard, Zhu and Wyse, "An efficient algorithm for real-time spectrogram inversion", DAFx 2005.
    .. [2] Slaney, "Auditory toolbox", technical report 1998 (scale of the bands).
    """
    transform = Stft(n_fft, hop, len(samples))
    window = transform.window
    magnitude = _through_bands(np.abs(transform.forward(samples)), n_fft, n_mels)
    out = np.zeros(transform.n_padded, dtype=np.float32)
    turns = np.exp(2j * np.pi * rng.random(magnitude.shape, dtype=np.float32)).astype(np.complex64)
    phases = np.empty_like(turns)
    for t, wanted in enumerate(magnitude):
        before = out[t * hop : t * hop + n_fft]  # what the frames before reach into this one
        spectrum = rfft(before * window)
        unknown = np.abs(spectrum) < 1e-6
        for _ in range(n_rounds):
            phase = np.where(unknown, turns[t], spectrum / (np.abs(spectrum) + 1e-12))
            frame = irfft(wanted * phase, n_fft).astype(np.float32) * window
            spectrum = rfft((before + frame) * window)
        phases[t] = phase
        before += frame
    return transform.inverse(magnitude * phases)


def _through_bands(magnitude: np.ndarray, n_fft: int, n_mels: int) -> np.ndarray:
    """Magnitudes (T, F) from the powers of mel bands alone: log power is straight between their middles."""
    frequency = np.arange(n_fft // 2 + 1) * SAMPLE_RATE / n_fft
    edges = np.linspace(0, _mel(np.array(SAMPLE_RATE / 2)), n_mels + 2)
    place = np.interp(_mel(frequency), edges, np.arange(n_mels + 2)) - 1  # in bands; -1 at 0 Hz
    triangles = np.maximum(1 - np.abs(place[:, None] - np.arange(n_mels)), 0)  # (F, M)
    nearest = np.clip(np.round(place), 0, n_mels - 1).astype(int)
    centre_bins = [np.abs(place - m).argmin() for m in range(n_mels)]
    empty = triangles.sum(axis=0) < 1e-3  # between two bins: the nearest one stands for it
    triangles[np.array(centre_bins)[empty], np.flatnonzero(empty)] = 1
    bands = (magnitude.astype(np.float64) ** 2) @ (triangles / triangles.sum(axis=0))  # (T, M)
    log_power = np.log(bands + 1e-12)
    below = np.clip(np.floor(place), 0, n_mels - 2).astype(int)
    share = np.clip(place - below, 0, 1)
    found = log_power[:, below] * (1 - share) + log_power[:, below + 1] * share
    ends = (place < 0) | (place > n_mels - 1)
    found[:, ends] = log_power[:, nearest[ends]]
    return np.exp(0.5 * found).astype(np.float32)


def _mel(hertz: np.ndarray) -> np.ndarray:
    above = LINEAR_HZ / MEL_HZ + np.log(np.maximum(hertz, LINEAR_HZ) / LINEAR_HZ) / LOG_STEP
    return np.where(hertz < LINEAR_HZ, hertz / MEL_HZ, above)
