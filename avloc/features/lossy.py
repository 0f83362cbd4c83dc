"""What lossy coders do to sound, in one vectorised step: coarse steps and holes in a lapped cosine spectrum.

It stands in for MP3 and AAC where a real encoder would be too slow or would shift the sound by its delay. The
transform is exactly invertible and the result is aligned to the sample.
"""

from functools import lru_cache

import numpy as np
from scipy.fft import dct

from avloc.features.audio import SAMPLE_RATE

HALF = 576  # coefficients of a frame: a granule of MPEG-2 layer III at 16 kHz
N_BANDS = 24


def mdct(samples: np.ndarray) -> np.ndarray:
    """Transform (n,) float32 to (T, 576) lapped cosine coefficients: sine window, orthonormal.

    References
    ----------
    .. [1] Princen, Johnson and Bradley, "Subband/transform coding using filter bank designs based on time
       domain aliasing cancellation", ICASSP 1987.
    """
    n_frames = -(-len(samples) // HALF) + 1
    padded = np.zeros((n_frames + 1) * HALF, dtype=np.float32)
    padded[HALF : HALF + len(samples)] = samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * HALF)[::HALF] * _window()
    a, b, c, d = np.split(frames, 4, axis=1)
    return dct(np.concatenate([-c[:, ::-1] - d, a - b[:, ::-1]], axis=1), type=4, norm="ortho", axis=1)


def inverse_mdct(coefficients: np.ndarray, n_samples: int) -> np.ndarray:
    """Invert :func:`mdct`: (T, 576) to (n_samples,) float32."""
    folded = dct(coefficients, type=4, norm="ortho", axis=1)
    u, v = np.split(folded, 2, axis=1)
    frames = np.concatenate([v, -v[:, ::-1], -u[:, ::-1], -u], axis=1) * _window()
    total = np.zeros((len(frames) + 1, HALF), dtype=np.float32)
    total[:-1] += frames[:, :HALF]
    total[1:] += frames[:, HALF:]
    return total.reshape(-1)[HALF : HALF + n_samples]


def code_lossily(
    samples: np.ndarray, *, step: float, mask_db: float, bandwidth_hz: float = 8000.0
) -> np.ndarray:
    """Quantise the spectrum of ``samples`` as a coder of few bits does.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,), float32]
        Sound at 16 kHz.
    step : float [> 0]
        Step of quantisation as a fraction of a band's amplitude in a frame; 0.3 is fine, 2 is harsh.
    mask_db : float [dB, > 0]
        A band that lies this far below the frame's loudest band, allowing for its neighbours, is left out.
    bandwidth_hz : float [Hz]
        Everything above is left out.

    Returns
    -------
    np.ndarray [shape=(n,), float32]
        Aligned with the input.
    """
    spectrum = mdct(samples)
    edges = _band_edges()
    energy = np.add.reduceat(spectrum**2, edges[:-1], axis=1) / np.diff(edges)  # (T, 24)
    near = energy.copy()
    near[:, 1:] = np.maximum(near[:, 1:], energy[:, :-1] * 0.1)
    kept = near > energy.max(axis=1, keepdims=True) * 10 ** (-mask_db / 10)
    width = np.repeat(np.sqrt(energy) * step + 1e-9, np.diff(edges), axis=1)
    # Layer III quantises powers of 3/4: loud coefficients get coarser steps.
    scaled = np.abs(spectrum) / width
    quantised = np.floor(scaled**0.75 + 0.4054) ** (4 / 3) * width
    coded = np.copysign(quantised, spectrum) * np.repeat(kept, np.diff(edges), axis=1)
    coded[:, int(bandwidth_hz / (SAMPLE_RATE / 2) * HALF) :] = 0
    return inverse_mdct(coded.astype(np.float32), len(samples))


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    return np.sin(np.pi * (np.arange(2 * HALF) + 0.5) / (2 * HALF)).astype(np.float32)


@lru_cache(maxsize=1)
def _band_edges() -> np.ndarray:
    """25 edges, 4 coefficients wide at the bottom and growing like critical bands."""
    bark = np.linspace(0, 1, N_BANDS + 1)
    edges = np.round(HALF * (np.exp(bark * 3.2) - 1) / (np.exp(3.2) - 1)).astype(int)
    return np.maximum.accumulate(np.maximum(edges, np.arange(N_BANDS + 1) * 4))
