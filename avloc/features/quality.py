"""What a channel is worth: bandwidth, signal-to-noise ratio, clipping, and how channels relate to each other.

Everything here is deterministic arithmetic on NumPy arrays and cheap enough to run on every window.
"""

import numpy as np

BIN_HZ = 31.25  # resolution of the long-term spectrum: 512 samples at 16 kHz
EDGE_DROP_DB = (
    25.0  # speech rolls off more gently than this within EDGE_SPAN_HZ; a codec or a filter does not
)
EDGE_SPAN_HZ = 750.0
LOWEST_EDGE_HZ = 2500.0  # between the formants of a vowel below it speech may fall as steeply as any filter
TELEPHONE_NYQUIST_HZ = 4000.0  # fast resamplers leave mirror images of an 8 kHz source just above it
IMAGES_END_HZ = 4500.0
SMOOTHING_HZ = 100.0
ACTIVE_RANGE_DB = 30.0  # frames this far below the loud ones say nothing about the band

FULL_SCALE = 0.999
RELATED = 0.99  # correlation from which two channels carry one signal
SILENT_RMS = 10.0 ** (-80.0 / 20.0)
POWER_FLOOR = 1e-20


def measure_bandwidth(waveform: np.ndarray, sample_rate: int) -> float:
    """Frequency above which the recording holds nothing of its signal.

    The lowest frequency f such that the long-term spectrum of the loud frames stays, everywhere above f, at
    least 25 dB below its maximum in the 750 Hz under f. A steep edge is what a codec, a telephone line or a
    resampler leaves; the gentle slope of speech is no edge, and noise above an edge counts as signal when it
    is as strong.

    Parameters
    ----------
    waveform : float (N,) [-1, 1]
    sample_rate : int [Hz]

    Returns
    -------
    float [Hz]
        ``sample_rate / 2`` when there is no edge, 0.0 for digital silence or less than one frame.

    Raises
    ------
    ValueError
        If the waveform is not one-dimensional.
    """
    spectrum = _long_term_spectrum(waveform, sample_rate)
    if spectrum is None:
        return 0.0
    bin_hz = sample_rate / 2 / (len(spectrum) - 1)
    half = max(1, round(SMOOTHING_HZ / bin_hz / 2))
    kernel = np.ones(2 * half + 1) / (2 * half + 1)
    level_db = 10.0 * np.log10(np.convolve(np.pad(spectrum, half, mode="edge"), kernel, mode="valid"))
    span = round(EDGE_SPAN_HZ / bin_hz)
    above = np.maximum.accumulate(level_db[::-1])[::-1]  # (bins,) loudest at or above each bin
    padded = np.concatenate([np.full(span, -np.inf), level_db[:-1]])
    below = np.lib.stride_tricks.sliding_window_view(padded, span).max(
        axis=1
    )  # loudest of the bins under each
    edges = np.flatnonzero(below - above >= EDGE_DROP_DB)
    edges = edges[edges * bin_hz >= LOWEST_EDGE_HZ]
    edge_hz = float(edges[0] * bin_hz) if len(edges) else sample_rate / 2
    return TELEPHONE_NYQUIST_HZ if TELEPHONE_NYQUIST_HZ < edge_hz <= IMAGES_END_HZ else edge_hz


def _long_term_spectrum(waveform: np.ndarray, sample_rate: int) -> np.ndarray | None:
    """Mean power spectrum of the loud frames, (bins,) > 0; None when there is no signal."""
    if waveform.ndim != 1:
        raise ValueError(f"expected a waveform (N,), got {waveform.shape}; measure one channel at a time")
    n_fft = 2 * round(sample_rate / BIN_HZ / 2)
    n_frames = len(waveform) // n_fft
    if n_frames == 0:
        return None
    frames = np.asarray(waveform[: n_frames * n_fft], dtype=np.float32).reshape(n_frames, n_fft)
    energy = np.einsum("ij,ij->i", frames, frames)
    loud = np.quantile(energy, 0.95) * 10.0 ** (-ACTIVE_RANGE_DB / 10.0)
    frames = frames[(energy > 0) & (energy >= loud)]
    if len(frames) == 0:
        return None
    spectrum = np.fft.rfft(frames * np.hanning(n_fft).astype(np.float32))
    return (spectrum.real**2 + spectrum.imag**2).mean(axis=0, dtype=np.float64) + POWER_FLOOR
