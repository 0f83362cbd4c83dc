"""Copy synthesis by a source-filter vocoder: pulses and noise through an all-pole or cepstral envelope."""

import numpy as np
from scipy.fft import irfft, rfft

from avloc.features.audio import SAMPLE_RATE
from avloc.synth.stft import Stft

LOWEST_HZ, HIGHEST_HZ = 65.0, 420.0


def draw_source_filter(rng: np.random.Generator) -> dict:
    """Random parameters: envelope, its order, frames, pitch scale and breathiness."""
    return {
        "envelope": str(rng.choice(["lpc", "cepstrum"])),
        "order": int(rng.integers(16, 31)),
        "n_fft": int(rng.choice([512, 640, 800])),
        "hops": int(rng.choice([4, 5, 8])),
        "pitch_scale": float(np.exp(rng.normal(0, 0.03)) if rng.random() < 0.5 else 1.0),
        "breath": float(rng.uniform(0.05, 0.5)),
        "mixed": bool(rng.random() < 0.6),
    }


def source_filter(
    rng: np.random.Generator,
    samples: np.ndarray,
    *,
    envelope: str,
    order: int,
    n_fft: int,
    hops: int,
    pitch_scale: float,
    breath: float,
    mixed: bool,
) -> np.ndarray:
    """Speak ``samples`` (n,) again from pitch and spectral envelope alone.

    ``mixed`` adds noise above about 3 kHz in voiced frames too; otherwise voiced frames are pulses with
    ``breath`` times white noise of the same power.
    """
    transform = Stft(n_fft, n_fft // hops, len(samples))
    spectrum = transform.forward(samples)
    power = np.abs(spectrum) ** 2 + 1e-10
    f0 = pitch(samples, transform.hop, transform.n_frames)
    shape = (
        _lpc_envelope(power, order, n_fft) if envelope == "lpc" else _cepstral_envelope(power, order, n_fft)
    )
    pulses, noise = _excitation(rng, f0 * pitch_scale, transform)
    voiced = (f0 > 0)[:, None].astype(np.float32)
    ramp = np.linspace(0, SAMPLE_RATE / 2, power.shape[1], dtype=np.float32)
    noisy = np.clip((ramp - 2000) / 4000, 0, 1) if mixed else np.zeros_like(ramp)
    share = np.maximum(noisy, breath)[None] * voiced + (1 - voiced)
    excited = transform.forward(pulses) * np.sqrt(1 - share**2) + transform.forward(noise) * share
    # The envelope carries the level: each frame is brought to the power that it had.
    made = excited * shape
    gain = np.sqrt(power.sum(axis=1) / ((np.abs(made) ** 2).sum(axis=1) + 1e-9))
    return transform.inverse((made * np.minimum(gain, 1e4)[:, None]).astype(np.complex64))


def pitch(samples: np.ndarray, hop: int, n_frames: int) -> np.ndarray:
    """Fundamental frequency per frame in Hz (n_frames,), 0 where unvoiced, by normalised autocorrelation."""
    length = 1024  # 64 ms: two periods of the lowest voice with room for the lag
    padded = np.pad(samples, (length // 2, length + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[::hop][:n_frames]
    if len(frames) < n_frames:
        frames = np.concatenate([frames, np.zeros((n_frames - len(frames), length), dtype=frames.dtype)])
    window = np.hanning(length).astype(np.float32)
    low_passed = rfft((frames - frames.mean(axis=1, keepdims=True)) * window, 2048, axis=1)
    low_passed[:, 2048 * 1200 // SAMPLE_RATE :] = 0
    correlation = irfft(np.abs(low_passed) ** 2, axis=1)
    own = irfft(np.abs(rfft(window, 2048)) ** 2)
    first, last = int(SAMPLE_RATE / HIGHEST_HZ), int(SAMPLE_RATE / LOWEST_HZ)
    normal = correlation[:, first:last] / (correlation[:, :1] + 1e-8) * (own[0] / own[first:last])
    normal = normal * np.linspace(1, 0.9, last - first)  # the shorter lag wins among multiples
    lag = normal.argmax(axis=1)
    strength = normal[np.arange(len(lag)), lag]
    voiced = (strength > 0.5) & (correlation[:, 0] > 0.02 * np.percentile(correlation[:, 0], 90))
    return np.where(voiced, SAMPLE_RATE / (lag + first), 0.0).astype(np.float32)


def _excitation(rng: np.random.Generator, f0: np.ndarray, transform: Stft) -> tuple[np.ndarray, np.ndarray]:
    n = transform.n_samples
    per_sample = np.repeat(np.where(f0 > 0, f0, 100.0), transform.hop)[:n]
    cycles = np.cumsum(per_sample / SAMPLE_RATE)
    beats = np.flatnonzero(np.diff(np.floor(cycles)) > 0)
    pulses = np.zeros(n, dtype=np.float32)
    pulses[beats] = np.sqrt(SAMPLE_RATE / per_sample[beats])  # unit power at any pitch
    return pulses, rng.standard_normal(n, dtype=np.float32)


def linear_prediction(power: np.ndarray, order: int, n_fft: int) -> np.ndarray:
    """Coefficients of A (T, order + 1) of frames with ``power`` (T, F), by Levinson's recursion on all."""
    correlation = irfft(power, n_fft, axis=1)[:, : order + 1].astype(np.float64)
    correlation[:, 0] *= 1.0001
    error = correlation[:, 0].copy()
    a = np.zeros((len(power), order + 1))
    a[:, 0] = 1
    for i in range(1, order + 1):
        reflection = -(a[:, :i] * correlation[:, i:0:-1]).sum(axis=1) / error
        a[:, 1 : i + 1] += reflection[:, None] * a[:, i - 1 :: -1][:, :i]
        error *= 1 - reflection**2
    return a


def _lpc_envelope(power: np.ndarray, order: int, n_fft: int) -> np.ndarray:
    """1 / A of each frame (T, F), minimum phase."""
    a = linear_prediction(power, order, n_fft)
    return (1 / rfft(a.astype(np.float32), n_fft, axis=1)).astype(np.complex64)


def _cepstral_envelope(power: np.ndarray, order: int, n_fft: int) -> np.ndarray:
    """Smoothed spectrum (T, F) with minimum phase, from the first ``order`` cepstral coefficients."""
    cepstrum = irfft(0.5 * np.log(power), n_fft, axis=1)
    folded = np.zeros_like(cepstrum)
    folded[:, 0] = cepstrum[:, 0]
    folded[:, 1:order] = 2 * cepstrum[:, 1:order]
    return np.exp(rfft(folded, n_fft, axis=1)).astype(np.complex64)
