"""Moving formants by moving the poles of an all-pole filter."""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from avloc.synth.source_filter import linear_prediction

PRE_EMPHASIS = 0.97
LARGEST_RADIUS = 0.985
KNEE = 0.75  # of the band: above, poles move less and less, so that none is pushed out at the top
SLOPE_TAKEN = (
    0.65  # so read speech keeps its balance of what is above and below 3 kHz, whichever way it moves
)


def shift_poles(samples: np.ndarray, factor: float, *, n_frame: int = 512, order: int = 18) -> np.ndarray:
    """Raise the formants of ``samples`` (n,) ``factor`` times; the pitch stays.

    Each frame is whitened by its own linear prediction and coloured again by the filter whose poles have
    moved.

    References
    ----------
    .. [1] Makhoul, "Linear prediction: a tutorial review", Proceedings of the IEEE 1975.
    """
    hop = n_frame // 4
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_frame) / n_frame)).astype(np.float32)
    n_frames = -(-len(samples) // hop) + 4
    padded = np.pad(samples, (n_frame, n_frame + 4 * hop)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_frame)[::hop][:n_frames] * window
    n_fft = next_fast_len(4 * n_frame, real=True)  # room for the ringing of the poles
    spectrum = rfft(frames, n_fft, axis=1)
    emphasis = np.abs(1 - PRE_EMPHASIS * np.exp(-2j * np.pi * np.arange(spectrum.shape[1]) / n_fft))
    power = np.abs(spectrum) ** 2 * emphasis**2 + 1e-8
    a = linear_prediction(power, order, n_fft)
    response = rfft(a, n_fft, axis=1) / rfft(move_poles(a, factor), n_fft, axis=1)
    moved = spectrum * _level(response)
    gain = np.sqrt((np.abs(spectrum) ** 2).sum(axis=1) / ((np.abs(moved) ** 2).sum(axis=1) + 1e-12))
    pieces = irfft(moved * gain[:, None], n_fft, axis=1)
    out = np.zeros((n_frames - 1) * hop + n_fft)
    for t, piece in enumerate(pieces):
        out[t * hop : t * hop + n_fft] += piece
    # Four windows overlap everywhere, and their sum is two.
    return (out[n_frame : n_frame + len(samples)] / 2).astype(np.float32)


def _level(response: np.ndarray) -> np.ndarray:
    """Take most of the slope, a half cosine, out of ``response`` (T, F): formants move, the tilt stays."""
    half_wave = np.cos(np.pi * np.linspace(0, 1, response.shape[1]))
    slope = SLOPE_TAKEN * 2 * (np.log(np.abs(response) + 1e-9) * half_wave).mean(axis=1, keepdims=True)
    return response * np.exp(-slope * half_wave)


def move_poles(a: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the angle of the complex zeros of A (T, order + 1) by ``factor``, by less at the top."""
    order = a.shape[1] - 1
    companion = np.zeros((len(a), order, order))
    companion[:, 0] = -a[:, 1:] / a[:, :1]
    companion[:, np.arange(1, order), np.arange(order - 1)] = 1
    poles = np.linalg.eigvals(companion).astype(np.complex128)  # (T, order)
    radius, angle = np.minimum(np.abs(poles), LARGEST_RADIUS), np.angle(poles)
    is_real = np.abs(poles.imag) < 1e-9
    knee = KNEE * np.pi / max(factor, 1.0)
    turned = np.sign(angle) * np.interp(np.abs(angle), [0, knee, np.pi], [0, knee * factor, np.pi])
    poles = radius * np.exp(1j * np.where(is_real, angle, turned))
    moved = np.ones((len(a), 1), dtype=np.complex128)
    for k in range(order):
        moved = np.pad(moved, ((0, 0), (0, 1))) - poles[:, k : k + 1] * np.pad(moved, ((0, 0), (1, 0)))
    return moved.real
