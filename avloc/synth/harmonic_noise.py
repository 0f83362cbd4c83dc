"""Copy synthesis by sinusoids at multiples of the pitch, and noise where there are none."""

import numpy as np
from scipy.signal import medfilt

from avloc.features.audio import SAMPLE_RATE
from avloc.synth.source_filter import LOWEST_HZ, pitch
from avloc.synth.stft import Stft


def draw_harmonic_noise(rng: np.random.Generator) -> dict:
    """Random parameters: frames, up to where voice is harmonic, width of the noise's bands, its share."""
    return {
        "n_fft": int(rng.choice([640, 800, 1024])),
        "hop": int(rng.choice([80, 120, 160])),
        "voiced_to_hz": float(rng.uniform(2800, 5500)),
        "noise_bins": int(rng.integers(3, 12)),
        "breath": float(rng.uniform(0.02, 0.2)),
    }


def harmonic_noise(
    rng: np.random.Generator,
    samples: np.ndarray,
    *,
    n_fft: int,
    hop: int,
    voiced_to_hz: float,
    noise_bins: int,
    breath: float,
) -> np.ndarray:
    """Speak ``samples`` (n,) again as a sum of harmonics up to ``voiced_to_hz`` and shaped noise.

    References
    ----------
    .. [1] Stylianou, "Applying the harmonic plus noise model in concatenative speech synthesis",
       IEEE TSAP 2001.
    """
    transform = Stft(n_fft, hop, len(samples))
    magnitude = np.abs(transform.forward(samples))
    f0 = medfilt(pitch(samples, hop, transform.n_frames), 5).astype(np.float32)
    voiced = f0 > 0
    harmonic = _harmonics(rng, magnitude, f0, transform, voiced_to_hz)
    bins = np.arange(magnitude.shape[1]) * SAMPLE_RATE / n_fft
    share = np.where(voiced[:, None] & (bins < voiced_to_hz), breath, 1.0).astype(np.float32)
    noise = transform.forward(rng.standard_normal(len(samples), dtype=np.float32))
    kernel = np.ones(2 * noise_bins + 1) / (2 * noise_bins + 1)
    power = np.apply_along_axis(np.convolve, 1, magnitude.astype(np.float64) ** 2, kernel, mode="same")
    shape = np.sqrt(power / (transform.window**2).sum()) * share
    return (harmonic + transform.inverse((noise * shape).astype(np.complex64))).astype(np.float32)


def _harmonics(
    rng: np.random.Generator, magnitude: np.ndarray, f0: np.ndarray, transform: Stft, voiced_to_hz: float
) -> np.ndarray:
    """Sum (n,) of sinusoids with the amplitudes that ``magnitude`` (T, F) has at multiples of ``f0`` (T,)."""
    n = transform.n_samples
    voiced = f0 > 0
    if not voiced.any():
        return np.zeros(n, dtype=np.float32)
    frames = np.arange(len(f0))
    steady = np.interp(frames, frames[voiced], f0[voiced])  # pitch glides through what is unvoiced
    place = np.arange(n) / transform.hop
    cycles = np.cumsum(np.interp(place, frames, steady)) / SAMPLE_RATE
    scale = 2 / transform.window.sum()  # a sinusoid of amplitude 1 has half of the window's sum as its peak
    out = np.zeros(n, dtype=np.float64)
    for k in range(1, int(voiced_to_hz / LOWEST_HZ) + 1):
        hertz = k * steady
        present = voiced & (hertz < voiced_to_hz)
        if not present.any():
            break
        centre = np.round(hertz * transform.n_fft / SAMPLE_RATE).astype(int)
        near = np.clip(centre[:, None] + np.arange(-1, 2), 0, magnitude.shape[1] - 1)
        amplitude = magnitude[frames[:, None], near].max(axis=1) * scale * present
        out += np.interp(place, frames, amplitude) * np.cos(2 * np.pi * (k * cycles + rng.random()))
    return out.astype(np.float32)
