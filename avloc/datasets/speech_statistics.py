"""What a recording sounds like apart from its words: level, spectra of speech and floor, band, offset."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from avloc.features.audio import SAMPLE_RATE

N_FFT = 512
N_BINS = N_FFT // 2 + 1
LONGEST_S = 20  # of a recording are looked at: enough for its averages


@dataclass(frozen=True, slots=True)
class SpeechStatistics:
    """Averages of recordings, the first axis is the recording.

    ``level`` RMS amplitude in frames with speech; ``threshold`` frame RMS above which a frame counts as
    speech; ``speech`` and ``floor`` mean power in 257 bins (Hann 512) of frames with speech and of the
    quietest tenth; ``bandwidth_hz`` the highest frequency with sound; ``offset`` mean amplitude.
    """

    level: np.ndarray  # (N,)
    threshold: np.ndarray  # (N,)
    speech: np.ndarray  # (N, 257)
    floor: np.ndarray  # (N, 257)
    bandwidth_hz: np.ndarray  # (N,)
    offset: np.ndarray  # (N,)

    @classmethod
    def stack(cls, rows: list["SpeechStatistics"]) -> "SpeechStatistics":
        """One table from the rows of single recordings."""
        return cls(*(np.concatenate([getattr(r, f.name) for r in rows]) for f in fields(cls)))

    def save(self, path: Path) -> None:
        """Write as ``.npz``."""
        np.savez(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> "SpeechStatistics":
        """Read what :meth:`save` wrote."""
        with np.load(path) as stored:
            return cls(*(stored[f.name] for f in fields(cls)))


def measure_speech(waveform: np.ndarray) -> SpeechStatistics:
    """Statistics of one 16 kHz waveform.

    Parameters
    ----------
    waveform : np.ndarray [shape=(n,), float32, range [-1, 1]]
        One recording.

    Returns
    -------
    SpeechStatistics
        With one row.
    """
    waveform = waveform[: LONGEST_S * SAMPLE_RATE]
    offset = float(waveform.mean()) if len(waveform) else 0.0
    if len(waveform) < 2 * N_FFT:
        waveform = np.pad(waveform, (0, 2 * N_FFT - len(waveform)))
    frames = np.lib.stride_tricks.sliding_window_view(waveform - offset, N_FFT)[:: N_FFT // 2]
    window = np.hanning(N_FFT).astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)).astype(np.float32) ** 2  # (T, 257)
    power /= (window**2).sum()
    energy = (frames**2).mean(axis=1)
    audible = energy > 1e-9
    order = np.argsort(energy[audible]) if audible.any() else np.zeros(0, dtype=int)
    sounding = np.flatnonzero(audible)[order] if len(order) else np.arange(len(frames))
    quiet = sounding[: max(2, len(sounding) // 10)]
    loud_energy = float(np.percentile(energy[sounding], 90)) + 1e-12
    threshold = max(loud_energy * 10**-2.5, float(energy[quiet].mean()) * 4)
    threshold = min(threshold, loud_energy * 0.3)
    loud = energy >= min(threshold, energy.max())
    speech = power[loud].mean(axis=0)
    return SpeechStatistics(
        level=np.array([np.sqrt(energy[loud].mean() + 1e-12)], dtype=np.float32),
        threshold=np.array([np.sqrt(threshold)], dtype=np.float32),
        speech=speech[None].astype(np.float32),
        floor=power[quiet].mean(axis=0)[None].astype(np.float32),
        bandwidth_hz=np.array([_bandwidth(speech)], dtype=np.float32),
        offset=np.array([offset], dtype=np.float32),
    )


def _bandwidth(speech: np.ndarray) -> float:
    """Upper edge: the last bin before which the speech spectrum lies at least 15 dB over what is above it.

    A hard cut (MP3, telephone) shows as a cliff; without one the full band counts.
    """
    level_db = 10 * np.log10(speech + 1e-12)
    for edge in range(N_BINS - 16, 64, -1):
        above = level_db[edge + 6 :].max()
        below = level_db[edge - 12 : edge].mean()
        if below - above > 15:
            usual = np.median(level_db[edge - 36 : edge - 12])
            last = np.flatnonzero(level_db[: edge + 1] > usual - 15)[-1]
            return float(last + 0.5) * SAMPLE_RATE / N_FFT
    return SAMPLE_RATE / 2
