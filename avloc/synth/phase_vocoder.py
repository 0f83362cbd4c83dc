"""Changing pitch, tempo or formants of a span with the short-time spectrum."""

import numpy as np
from scipy.fft import irfft, rfft

from avloc.synth.stft import Stft


def stretch(samples: np.ndarray, factor: float, *, n_fft: int = 1024, hop: int = 256) -> np.ndarray:
    """Make ``samples`` (n,) ``factor`` times as long at the same pitch, by a phase vocoder.

    References
    ----------
    .. [1] Flanagan and Golden, "Phase vocoder", Bell System Technical Journal 1966.
    """
    spectrum = Stft(n_fft, hop, len(samples)).forward(samples)
    n_out = round(len(samples) * factor)
    target = Stft(n_fft, hop, n_out)
    place = np.minimum(np.arange(target.n_frames) / factor, len(spectrum) - 1.001)
    before = place.astype(int)
    share = (place - before)[:, None].astype(np.float32)
    magnitude = np.abs(spectrum[before]) * (1 - share) + np.abs(spectrum[before + 1]) * share
    advance = 2 * np.pi * hop * np.arange(spectrum.shape[1]) / n_fft
    step = np.angle(spectrum[before + 1]) - np.angle(spectrum[before]) - advance
    step = step - 2 * np.pi * np.round(step / (2 * np.pi)) + advance
    phase = np.cumsum(np.concatenate([np.angle(spectrum[:1]), step[:-1]]), axis=0)
    return target.inverse((magnitude * np.exp(1j * phase)).astype(np.complex64))


def shift_pitch(samples: np.ndarray, semitones: float, *, n_fft: int = 1024, hop: int = 256) -> np.ndarray:
    """Raise the pitch, and the formants with it, by ``semitones``; the length stays."""
    factor = 2 ** (semitones / 12)
    longer = stretch(samples, factor, n_fft=n_fft, hop=hop)
    return resample_to(longer, len(samples))


def resample_to(samples: np.ndarray, n_samples: int) -> np.ndarray:
    """Resample (n,) to exactly ``n_samples`` by cutting or padding its spectrum.

    The signal is mirrored at its ends first, so that the circular transform sees no step.
    """
    n = len(samples)
    if n == n_samples:
        return samples.astype(np.float32)
    mirrored = np.concatenate([samples, samples[::-1]])
    spectrum = rfft(mirrored.astype(np.float32))
    out = np.zeros(n_samples + 1, dtype=np.complex64)
    keep = min(len(spectrum), len(out))
    out[:keep] = spectrum[:keep]
    return (irfft(out, 2 * n_samples)[:n_samples] * (n_samples / n)).astype(np.float32)


def shift_formants(samples: np.ndarray, factor: float, *, n_fft: int = 512, order: int = 30) -> np.ndarray:
    """Stretch the spectral envelope of ``samples`` (n,) by ``factor`` in frequency; the pitch stays."""
    transform = Stft(n_fft, n_fft // 4, len(samples))
    spectrum = transform.forward(samples)
    cepstrum = irfft(np.log(np.abs(spectrum) + 1e-6), n_fft, axis=1)
    cepstrum[:, order : n_fft - order + 1] = 0
    envelope = rfft(cepstrum, axis=1).real  # log magnitude, smooth
    place = np.minimum(np.arange(envelope.shape[1]) / factor, envelope.shape[1] - 1.001)
    before = place.astype(int)
    share = (place - before).astype(np.float32)
    moved = envelope[:, before] * (1 - share) + envelope[:, before + 1] * share
    return transform.inverse(spectrum * np.exp(np.clip(moved - envelope, -4, 4)).astype(np.float32))
