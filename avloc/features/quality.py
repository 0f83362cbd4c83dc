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
SNR_BLOCK_SAMPLES = 320
SNR_MIN_BLOCKS = 10
SNR_RANGE_DB = (-20.0, 100.0)


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
    frames = frames - frames.mean(axis=1, keepdims=True)  # an offset would make every frame a loud one
    energy = np.einsum("ij,ij->i", frames, frames)
    loud = np.quantile(energy, 0.95) * 10.0 ** (-ACTIVE_RANGE_DB / 10.0)
    frames = frames[(energy > 0) & (energy >= loud)]
    if len(frames) == 0:
        return None
    spectrum = np.fft.rfft(frames * np.hanning(n_fft).astype(np.float32))
    return (spectrum.real**2 + spectrum.imag**2).mean(axis=0, dtype=np.float64) + POWER_FLOOR


def measure_snr(waveform: np.ndarray, speech_mask: np.ndarray) -> float | None:
    """Ratio of speech to what is heard between speech.

    Parameters
    ----------
    waveform : float (N,) [-1, 1]
    speech_mask : bool (N,)
        Samples that hold speech.

    Returns
    -------
    float [dB, -20 to 100] or None
        The noise is the median power of the blocks of 320 samples without speech, so a door or the end of a
        word among them does not count; it is taken off the power of speech. A constant offset is neither.
        None without ten such blocks of each kind, and for silence between silence.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if waveform.ndim != 1 or waveform.shape != speech_mask.shape:
        raise ValueError(f"expected two arrays (N,), got {waveform.shape} and {speech_mask.shape}")
    n_blocks = len(waveform) // SNR_BLOCK_SAMPLES
    blocks = np.asarray(waveform[: n_blocks * SNR_BLOCK_SAMPLES], dtype=np.float64)
    if len(blocks):
        blocks = blocks - np.median(blocks)  # an offset; a slam on one side would move the mean
    power = np.square(blocks).reshape(n_blocks, SNR_BLOCK_SAMPLES).mean(axis=1)
    mask = speech_mask[: n_blocks * SNR_BLOCK_SAMPLES].reshape(n_blocks, SNR_BLOCK_SAMPLES)
    speech, noise = power[mask.all(axis=1)], power[~mask.any(axis=1)]
    if min(len(speech), len(noise)) < SNR_MIN_BLOCKS or speech.mean() <= 0.0:
        return None
    noise_power = max(float(np.median(noise)), float(speech.mean()) * 10.0 ** (-SNR_RANGE_DB[1] / 10.0))
    ratio = max(float(speech.mean()) / noise_power - 1.0, 10.0 ** (SNR_RANGE_DB[0] / 10.0))
    return float(np.clip(10.0 * np.log10(ratio), *SNR_RANGE_DB))


def clipping_fraction(waveform: np.ndarray) -> float:
    """Share of samples at full scale, in [0, 1]; 0.0 for an empty waveform.

    Examples
    --------
    >>> clipping_fraction(np.array([0.0, 1.0, -1.0, 0.5]))
    0.5
    """
    return float(np.mean(np.abs(waveform) >= FULL_SCALE)) if waveform.size else 0.0


def channel_relations(samples: np.ndarray) -> list[str]:
    """Say of each channel whether it holds something that no channel before it held.

    Parameters
    ----------
    samples : float (C, N) [-1, 1]

    Returns
    -------
    list of str
        For each channel ``"silent"`` (RMS below -80 dB of full scale, offset apart), ``"identical"`` or
        ``"inverted"`` (correlation with an earlier channel above 0.99 or below -0.99, gain and offset
        apart), else ``"distinct"``.

    Raises
    ------
    ValueError
        If the samples are not two-dimensional.
    """
    if samples.ndim != 2:
        raise ValueError(f"expected samples (C, N), got {samples.shape}")
    if samples.shape[1] == 0:
        return ["silent"] * len(samples)
    centred = samples.astype(np.float64)
    centred -= centred.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.einsum("ij,ij->i", centred, centred))
    relations: list[str] = []
    kept: list[int] = []
    for channel, norm in enumerate(norms):
        if norm <= SILENT_RMS * samples.shape[1] ** 0.5:
            relations.append("silent")
            continue
        correlations = [float(centred[channel] @ centred[other]) / (norm * norms[other]) for other in kept]
        if any(correlation > RELATED for correlation in correlations):
            relations.append("identical")
        elif any(correlation < -RELATED for correlation in correlations):
            relations.append("inverted")
        else:
            relations.append("distinct")
            kept.append(channel)
    return relations
