"""Making inserted material sound like its host in everything but what was forged.

Level, tilt, bandwidth, noise floor, rumble and offset of a splice are what a network would learn first
because they are easy; they say where a file came from, not that it was forged.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from avloc.datasets.speech_statistics import N_BINS, N_FFT, SpeechStatistics, measure_speech
from avloc.features.audio import SAMPLE_RATE
from avloc.features.lossy import code_lossily

LARGEST_TILT = 10 ** (12 / 20)
CODED_BAND_HZ = (5000.0, 7900.0)  # upper edges that coders for music give 16 kHz; telephones end lower
BED_HZ = (50.0, 90.0)  # below, the host's own rumble stays; in between it is cross-faded


@dataclass(frozen=True, slots=True)
class Sound:
    """One row of :class:`SpeechStatistics`: what a recording is like apart from its words."""

    level: float
    threshold: float
    speech: np.ndarray
    floor: np.ndarray
    bandwidth_hz: float
    offset: float

    @classmethod
    def of(cls, statistics: SpeechStatistics, index: int) -> "Sound":
        """Row ``index`` of a table."""
        return cls(
            level=float(statistics.level[index]),
            threshold=float(statistics.threshold[index]),
            speech=statistics.speech[index],
            floor=statistics.floor[index],
            bandwidth_hz=float(statistics.bandwidth_hz[index]),
            offset=float(statistics.offset[index]),
        )


def tilt(host: Sound, source: Sound, strength: float) -> np.ndarray:
    """Gain per bin (257,) that brings the source's average spectrum to the host's, at most 12 dB either way.

    Smoothed over a third of an octave so that it carries the channel and not the vowel.
    """
    ratio = np.log(_smooth(host.speech) + 1e-12) - np.log(_smooth(source.speech) + 1e-12)
    level = 2 * np.log(host.level / source.level)
    usable = int(min(host.bandwidth_hz, source.bandwidth_hz) / SAMPLE_RATE * N_FFT) - 4
    ratio[usable:] = ratio[usable - 8 : usable].mean()
    gain = np.exp(0.5 * strength * (ratio - level))
    return np.clip(gain, 1 / LARGEST_TILT, LARGEST_TILT)


def noise_over(source: Sound, host: Sound) -> float:
    """Noise of ``source``, once its speech has the host's level, over that of ``host``, in dB."""
    matched = source.floor.mean() * (host.level / source.level) ** 2
    return float(10 * np.log10((matched + 1e-12) / (host.floor.mean() + 1e-12)))


def _smooth(power: np.ndarray) -> np.ndarray:
    total = np.concatenate([[0.0], np.cumsum(power, dtype=np.float64)])
    centre = np.arange(N_BINS)
    reach = np.maximum(1, (centre * 0.115).astype(int))
    first, last = np.maximum(centre - reach, 0), np.minimum(centre + reach + 1, N_BINS)
    return (total[last] - total[first]) / (last - first)


def fit_to_host(
    rng: np.random.Generator,
    material: np.ndarray,
    host_slice: np.ndarray,
    host: Sound,
    source: Sound | None,
    *,
    gain: float = 1.0,
    tilt_strength: float = 1.0,
) -> np.ndarray:
    """Level, tilt, band, floor, coding and rumble of ``material`` as the host has them.

    Parameters
    ----------
    rng : np.random.Generator
        For the noise.
    material, host_slice : np.ndarray [shape=(n,), float32]
        What goes in, and what the host has at that place (its rumble below 70 Hz is kept).
    host, source : Sound
        Averages of the two recordings; ``source`` None for material made from ``host_slice`` itself.
    gain : float
        Applied to the material, beside the matching of speech levels when ``source`` is given.
    tilt_strength : float [0, 1]
        0 leaves the spectral tilt alone, 1 matches it.

    Returns
    -------
    np.ndarray [shape=(n,), float32]
    """
    n = len(material)
    n_fft = next_fast_len(n + N_FFT, real=True)
    frequency = np.linspace(0, SAMPLE_RATE / 2, n_fft // 2 + 1, dtype=np.float32)
    bins = np.linspace(0, SAMPLE_RATE / 2, N_BINS)
    response = np.full(N_BINS, gain)
    if source is not None:
        response *= tilt(host, source, tilt_strength) * (host.level / source.level)
        own_floor = source.floor * response**2
    else:
        # A vocoder or a lower pitch leaves holes where the recording has noise.
        own_floor = measure_speech(material).floor[0] * response**2
    edge = np.clip((host.bandwidth_hz + 100 - frequency) / 200, 0, 1) if host.bandwidth_hz < 7900 else 1.0
    kept = np.clip((frequency - BED_HZ[0]) / (BED_HZ[1] - BED_HZ[0]), 0, 1)
    spectrum = rfft(material.astype(np.float32), n_fft)
    spectrum *= np.interp(frequency, bins, response).astype(np.float32) * edge
    missing = np.sqrt(np.clip(host.floor - own_floor, 0, None))
    if missing.any():
        noise = rfft(rng.standard_normal(n_fft, dtype=np.float32))
        spectrum += noise * np.interp(frequency, bins, missing).astype(np.float32)
    fitted = irfft(spectrum * kept, n_fft)[:n].astype(np.float32)
    if source is not None:  # after the noise, which would fill the holes, and beside the host's own rumble
        fitted = _as_coded_as(rng, fitted, host)
    bed = irfft(rfft(host_slice.astype(np.float32), n_fft) * (1 - kept), n_fft)[:n]
    return (fitted + bed).astype(np.float32)


def _as_coded_as(rng: np.random.Generator, samples: np.ndarray, host: Sound) -> np.ndarray:
    """Give ``samples`` (n,) the holes of a coder where the host's band ends as a coder's does.

    A codec is no forgery.
    """
    if not CODED_BAND_HZ[0] < host.bandwidth_hz < CODED_BAND_HZ[1]:
        return samples
    step = float(np.exp(rng.uniform(np.log(0.3), np.log(1.0))))
    mask_db = float(rng.uniform(35, 55))
    return code_lossily(samples, step=step, mask_db=mask_db, bandwidth_hz=host.bandwidth_hz)


def rms(samples: np.ndarray) -> float:
    """Root mean square, never zero."""
    return float(np.sqrt((samples.astype(np.float64) ** 2).mean() + 1e-12))
