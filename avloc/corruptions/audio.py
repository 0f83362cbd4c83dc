"""Degradations of the sound of a whole recording, aligned to the sample: the truth stays where it is."""

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from avloc.datasets.speech_pool import SpeechPool
from avloc.features.audio import SAMPLE_RATE
from avloc.features.lossy import code_lossily

QUIET_END = 1600  # samples, 0.1 s of zeros after the sound, so that nothing wraps round a circular filter


@dataclass(frozen=True, slots=True)
class Severity:
    """How probable each degradation is (all in [0, 1]) and how strong noise may be (dB)."""

    colour: float = 0.4
    reverberation: float = 0.2
    noise: float = 0.6
    band: float = 0.25
    narrowest_hz: float = 3000.0
    telephone: float = 0.0
    coding: float = 0.3
    clipping: float = 0.05
    gain: float = 0.8
    snr_db: tuple[float, float] = (5.0, 40.0)


TRAINING = Severity()
WIDE = Severity(narrowest_hz=5000.0)


def augment(
    rng: np.random.Generator,
    waveform: np.ndarray,
    sample_rate: int = SAMPLE_RATE,
    *,
    pool: SpeechPool | None = None,
    severity: Severity = TRAINING,
) -> np.ndarray:
    """Degrade a whole recording at random; nothing moves in time. Parameters as ``augment_and_tell``."""
    return augment_and_tell(rng, waveform, sample_rate, pool=pool, severity=severity)[0]


def augment_and_tell(
    rng: np.random.Generator,
    waveform: np.ndarray,
    sample_rate: int = SAMPLE_RATE,
    *,
    pool: SpeechPool | None = None,
    severity: Severity = TRAINING,
) -> tuple[np.ndarray, dict[str, object]]:
    """Degrade a whole recording at random, nothing moves in time; and tell what was drawn.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    waveform : np.ndarray [shape=(1, N) or (N,), float32, range [-1, 1]]
        Genuine or forged, complete.
    sample_rate : int [Hz]
        16000.
    pool : SpeechPool or None
        Where babble comes from, of the same use as the recording; None for no babble.
    severity : Severity
        Probabilities and ranges.

    Returns
    -------
    np.ndarray [shape and type of ``waveform``]
        With the values of 16-bit samples.
    dict
        What was done: ``colour`` and ``reverberation`` true, ``band_hz`` its upper edge, ``noise`` its kind
        and ``snr_db`` how far it is under the speech, ``telephone`` as :func:`telephone_and_tell`,
        ``coding_step``, ``clipping_db`` under the peak. What was not drawn has no key.

    Raises
    ------
    ValueError
        If ``sample_rate`` is not 16000 or there is more than one channel.
    """
    if sample_rate != SAMPLE_RATE:
        raise ValueError(f"augment works at {SAMPLE_RATE} Hz, got {sample_rate}; resample first")
    if waveform.ndim == 2 and len(waveform) != 1:
        raise ValueError(f"waveform must be (1, N) or (N,), got {waveform.shape}; pass channels one by one")
    samples = waveform.reshape(-1).astype(np.float32)
    samples, told = filter_at_random(rng, samples, severity)
    if rng.random() < severity.noise:
        snr_db = float(rng.uniform(*severity.snr_db))
        samples, kind = add_noise(rng, samples, snr_db, pool=pool)
        told |= {"noise": kind, "snr_db": snr_db}
    if rng.random() < severity.telephone:
        samples, line = telephone_and_tell(rng, samples)
        told |= line
    elif rng.random() < severity.coding:
        told["coding_step"] = float(np.exp(rng.uniform(np.log(0.15), np.log(1.2))))
        samples = code_lossily(
            samples,
            step=told["coding_step"],
            mask_db=float(rng.uniform(30, 65)),
            bandwidth_hz=float(rng.choice([8000, 7500, 7000, 6000])),
        )
    samples, clipped = scale(rng, samples, severity)
    return as_16_bit(samples).reshape(waveform.shape), told | clipped


def wide(
    rng: np.random.Generator, waveform: np.ndarray, *, pool: SpeechPool | None = None
) -> tuple[np.ndarray, dict[str, object]]:
    """Degrade and tell as :func:`augment_and_tell`, but keep at least 5 kHz: "16 kHz, augmented"."""
    return augment_and_tell(rng, waveform, pool=pool, severity=WIDE)


def filter_at_random(
    rng: np.random.Generator, samples: np.ndarray, severity: Severity
) -> tuple[np.ndarray, dict[str, object]]:
    """Apply colour, room and band to (n,) in one pass; the filters have no phase, the room is causal."""
    colour, room, band = (rng.random() < p for p in (severity.colour, severity.reverberation, severity.band))
    told: dict[str, object] = {}
    if not (colour or room or band):
        return samples, told
    n_fft = next_fast_len(len(samples) + SAMPLE_RATE // 2, real=True)
    frequency = np.linspace(0, SAMPLE_RATE / 2, n_fft // 2 + 1, dtype=np.float32)
    spectrum = rfft(samples, n_fft)
    if colour:
        spectrum *= _random_curve(rng, frequency)
        told["colour"] = True
    if room:
        spectrum *= rfft(_room(rng), n_fft)
        told["reverberation"] = True
    if band:
        cut = np.exp(rng.uniform(np.log(severity.narrowest_hz), np.log(7800.0)))
        width = np.exp(rng.uniform(np.log(30.0), np.log(800.0)))
        spectrum *= np.clip((cut + width - frequency) / width, 1e-4, 1)
        told["band_hz"] = float(cut)
    return irfft(spectrum, n_fft)[: len(samples)].astype(np.float32), told


def _random_curve(rng: np.random.Generator, frequency: np.ndarray) -> np.ndarray:
    """Smooth gain over log frequency: a tilt of up to 3 dB an octave, bumps of up to 4 dB."""
    knots = np.log2(np.array([20, 150, 400, 900, 1800, 3500, 6000, 8000], dtype=np.float32))
    gain_db = rng.uniform(-3, 3) * (knots - np.log2(1000.0)) + rng.uniform(-4, 4, len(knots))
    gain_db = np.clip(gain_db - gain_db.max(), -25, 0)
    curve = np.interp(np.log2(np.maximum(frequency, 20)), knots, gain_db)
    return (10 ** (curve / 20)).astype(np.float32)


def _room(rng: np.random.Generator) -> np.ndarray:
    """Impulse response: direct sound at zero, then noise 0 to 15 dB below it that decays in 0.1 to 0.6 s."""
    t60 = rng.uniform(0.1, 0.6)
    n = int(min(t60, 0.45) * SAMPLE_RATE)
    tail = rng.standard_normal(n, dtype=np.float32) * 10 ** (-3 * np.arange(n) / (t60 * SAMPLE_RATE))
    tail[: int(rng.uniform(0.001, 0.02) * SAMPLE_RATE)] = 0
    tail *= 10 ** (-rng.uniform(0, 15) / 20) / np.sqrt((tail**2).sum() + 1e-12)
    tail[0] = 1.0
    return tail.astype(np.float32)


def add_noise(
    rng: np.random.Generator, samples: np.ndarray, snr_db: float, *, pool: SpeechPool | None = None
) -> tuple[np.ndarray, str]:
    """Add white, pink, brown or humming noise or babble from ``pool``, ``snr_db`` under the speech; which."""
    kind = str(rng.choice(["white", "pink", "brown", "hum", *(["babble", "babble"] if pool else [])]))
    n = len(samples)
    if kind == "babble":
        noise = np.zeros(n, dtype=np.float32)
        for _ in range(int(rng.integers(3, 7))):
            noise += _loop(rng, pool, n)
    else:
        n_fft = next_fast_len(n, real=True)
        spectrum = rfft(rng.standard_normal(n_fft, dtype=np.float32))
        frequency = np.linspace(0, SAMPLE_RATE / 2, len(spectrum), dtype=np.float32)
        slope = {"white": 0.0, "pink": 0.5, "brown": 1.0, "hum": 0.5}[kind]
        spectrum *= np.maximum(frequency, 30) ** -slope
        noise = irfft(spectrum, n_fft)[:n].astype(np.float32)
        if kind == "hum":
            mains = 2 * np.pi * float(rng.choice([50, 60])) * np.arange(n) / SAMPLE_RATE
            noise /= noise.std() + 1e-9
            noise += sum(np.sin(k * mains + rng.uniform(0, 6)) * 2.0 / k for k in (1, 2, 3)).astype(
                np.float32
            )
    level = speech_level(samples)
    if level == 0:
        return samples, kind
    gain = (level / (np.sqrt((noise**2).mean()) + 1e-9) * 10 ** (-snr_db / 20)).astype(np.float32)
    return samples + noise * gain, kind


def _loop(rng: np.random.Generator, pool: SpeechPool, n_samples: int) -> np.ndarray:
    index = pool.draw(rng)
    voice = pool.read(index) / max(float(pool.statistics.level[index]), 1e-4)
    start = int(rng.integers(len(voice)))
    return np.resize(np.roll(voice, -start), n_samples)


def speech_level(samples: np.ndarray) -> float:
    """Return the RMS over the louder third of 20 ms frames; 0 for silence."""
    n = len(samples) // 320
    if n == 0:
        return float(np.sqrt((samples**2).mean())) if len(samples) else 0.0
    power = np.sort((samples[: n * 320].reshape(n, 320) ** 2).mean(axis=1))
    return float(np.sqrt(power[-max(1, n // 3) :].mean()))


def telephone(rng: np.random.Generator, waveform: np.ndarray) -> np.ndarray:
    """Send sound through a telephone line, as :func:`telephone_and_tell`."""
    return telephone_and_tell(rng, waveform)[0]


def telephone_and_tell(
    rng: np.random.Generator, waveform: np.ndarray
) -> tuple[np.ndarray, dict[str, object]]:
    """Send sound through a telephone line: 8 kHz, about 300 to 3400 Hz, G.711, and back to 16 kHz.

    Parameters
    ----------
    rng : np.random.Generator
        For the edges of the band, the law and the line's noise.
    waveform : np.ndarray [shape=(1, N) or (N,), float32, range [-1, 1]]
        Sound at 16 kHz.

    Returns
    -------
    np.ndarray [shape and type of ``waveform``]
        Aligned with it.
    dict
        ``telephone``, the companding law, and ``band_hz``, where the band ends.

    References
    ----------
    .. [1] ITU-T G.711 (companding laws), ITU-T G.712 (band).
    """
    samples = waveform.reshape(-1).astype(np.float32)
    n_fft = next_fast_len(len(samples) + QUIET_END, real=True)
    n_fft += n_fft % 2
    frequency = np.linspace(0, SAMPLE_RATE / 2, n_fft // 2 + 1, dtype=np.float32)
    low, high = rng.uniform(60, 320), rng.uniform(3200, 3800)
    band = np.clip(frequency / low, 0, 1) ** 2 * np.clip((high + 150 - frequency) / 150, 0, 1)
    spectrum = rfft(samples, n_fft) * band
    narrow = irfft(spectrum[: n_fft // 4 + 1], 2 * (n_fft // 4)) * (2 * (n_fft // 4) / n_fft)
    narrow = narrow * (0.9 / max(np.abs(narrow).max(), 0.9))  # the line's own limit; quiet calls stay quiet
    law = "mu" if rng.random() < 0.6 else "a"
    narrow = _mu_law(narrow) if law == "mu" else _a_law(narrow)
    back = np.zeros(n_fft // 2 + 1, dtype=np.complex64)
    upper = rfft(narrow.astype(np.float32))
    back[: len(upper)] = upper
    out = irfft(back, n_fft)[: len(samples)] * (n_fft / len(narrow))
    return out.astype(np.float32).reshape(waveform.shape), {"telephone": law, "band_hz": float(high)}


def _mu_law(samples: np.ndarray) -> np.ndarray:
    compressed = np.sign(samples) * np.log1p(255 * np.abs(samples)) / np.log(256)
    compressed = np.round(compressed * 127) / 127
    return np.sign(compressed) * np.expm1(np.abs(compressed) * np.log(256)) / 255


def _a_law(samples: np.ndarray) -> np.ndarray:
    bend = 1 + np.log(87.6)
    size = np.abs(samples) * 87.6
    compressed = np.sign(samples) * np.where(size < 1, size, 1 + np.log(np.maximum(size, 1))) / bend
    compressed = (np.floor(np.abs(compressed) * 128).clip(0, 127) + 0.5) / 128 * np.sign(compressed)
    size = np.abs(compressed) * bend
    return np.sign(compressed) * np.where(size < 1, size, np.exp(size - 1)) / 87.6


def scale(
    rng: np.random.Generator, samples: np.ndarray, severity: Severity
) -> tuple[np.ndarray, dict[str, object]]:
    """Change the level of (n,), and clip at times; otherwise the peak stays below full scale."""
    told: dict[str, object] = {}
    peak = float(np.abs(samples).max()) if len(samples) else 0.0
    if peak == 0:
        return samples, told
    if rng.random() < severity.clipping:
        told["clipping_db"] = float(rng.uniform(1, 10))
        limit = peak * 10 ** (-told["clipping_db"] / 20)
        samples, peak = np.clip(samples, -limit, limit), limit
    if rng.random() < severity.gain or peak > 0.99:
        samples = samples * np.float32(0.99 / peak * 10 ** (-rng.uniform(0, 24) / 20))
    return samples, told


def as_16_bit(samples: np.ndarray) -> np.ndarray:
    """Round to the values of 16-bit samples, as a file would hold them."""
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.float32) / 32768
