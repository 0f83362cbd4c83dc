"""Typed events of one channel along a stream: what is neither speech nor a forgery.

Each kind is found by arithmetic on samples and spectra, with its source beside it: ``tones`` and ``cadence``
(``dtmf``, ``ring_back``, ``hold_tone``, ``beep``), ``gaps`` (``redaction``, ``packet_loss``),
``comfort_noise`` and ``music``. All are meant to stay silent in doubt: what is marked here is not examined.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from avloc.features import comfort_noise, gaps, music
from avloc.features.audio import SAMPLE_RATE
from avloc.features.cadence import name_digits, name_tones
from avloc.features.comfort_noise import ComfortNoiseFinder
from avloc.features.gaps import GapFinder
from avloc.features.music import MusicFinder
from avloc.features.tones import Burst, BurstFinder
from avloc.structures import Segment, Timeline

EVENT_CODES = (
    "music",
    "hold_tone",
    "dtmf",
    "ring_back",
    "beep",
    "redaction",
    "packet_loss",
    "comfort_noise",
)
BLOCK_SAMPLES = 16384  # a whole number of every finder's frames, so that pushes do not matter
BLOCKS_AT_ONCE = 4  # numpy's calls cost more than their work on one block
SURROUNDINGS = gaps.LOOKBACK + gaps.LOOKAHEAD
SHORT_FFT, SHORT_HOP = comfort_noise.N_FFT, comfort_noise.HOP
LONG_FFT, LONG_HOP = music.N_FFT, music.HOP
MOST = 0.5  # music of which more is digits or signals is none, and so is a beep of which more is music
SHARP = 0.8
AFTER_TONE_S = 0.3


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """A span with a code of ``EVENT_CODES``; ordered by time."""

    span: Segment
    code: str

    def __post_init__(self) -> None:
        if self.code not in EVENT_CODES:
            raise ValueError(f"expected a code of {EVENT_CODES}, got {self.code!r}")


class EventDetector:
    """Events of one channel, streamed: push blocks of any length, then ``finish``, then ``events``.

    How the samples are cut into pushes changes nothing. Up to 4.3 s are held back to be heard at once. Memory
    grows by what is found and by 62.5 bytes a second of sound (the levels of which ``gaps`` takes the noise
    floor).

    Notes
    -----
    Ends are right within about 0.02 s for tones and gaps, 0.1 s for tones of several frequencies and comfort
    noise, 0.3 s for music. Events of different codes may overlap.

    Examples
    --------
    >>> tone = 0.1 * np.sin(2 * np.pi * 1400 * np.arange(8000) / 16000)
    >>> detector = EventDetector()
    >>> detector.push(np.concatenate([np.zeros(16000), tone, np.zeros(16000)]).astype(np.float32))
    >>> detector.finish()
    >>> [(e.code, round(e.span.start, 2), round(e.span.end, 2)) for e in detector.events()]
    [('beep', 1.0, 1.5)]
    """

    def __init__(self) -> None:
        self._short = BurstFinder(n_fft=SHORT_FFT, hop=SHORT_HOP, components=(1, 2), min_frames=3)
        # Speech coders let the level of a tone ripple; 0.13 s smooth it, and no voice is as steady for 0.3 s.
        self._lasting = BurstFinder(
            n_fft=LONG_FFT,
            hop=LONG_HOP,
            components=(1, 3),
            min_frames=5,
            purity=0.78,
            ripple_db=2.5,
            inset=0.3,
        )
        self._gaps, self._music, self._noise = GapFinder(), MusicFinder(), ComfortNoiseFinder()
        self._buffer = [np.zeros(gaps.LOOKBACK, dtype=np.float32)]
        self._n_buffered = gaps.LOOKBACK
        self._n_samples = 0
        self._is_finished = False

    def push(self, waveform: np.ndarray) -> None:
        """Take the next samples.

        Parameters
        ----------
        waveform : float32 (n,) [-1, 1]
            At 16 kHz; n may be 0.

        Raises
        ------
        ValueError
            If the samples are not one-dimensional and finite, or after ``finish``.
        """
        if waveform.ndim != 1 or not np.isfinite(waveform).all():
            raise ValueError(f"expected finite samples (n,) of one channel, got shape {waveform.shape}")
        if self._is_finished:
            raise ValueError("expected no samples after finish(), make a new EventDetector")
        self._n_samples += len(waveform)
        self._append(waveform.astype(np.float32))

    def finish(self) -> None:
        """Hear the rest; nothing may be pushed any more."""
        if self._is_finished:
            return
        self._is_finished = True
        rest = -self._n_samples % BLOCK_SAMPLES
        self._append(np.zeros(rest + gaps.LOOKAHEAD, dtype=np.float32))
        if self._n_buffered > SURROUNDINGS:
            self._hear(np.concatenate(self._buffer))
        for finder in (self._short, self._lasting, self._music, self._noise):
            finder.finish()

    def events(self) -> tuple[Event, ...]:
        """Events of what was heard so far, by time; complete after ``finish``."""
        named = name_digits(self._short.bursts) + name_tones(self._tone_bursts())
        tones = [row[1:] for row in named]
        signals = [row[1:] for row in named if row[0] != "beep"]
        noise = self._noise.spans()
        melody = _keep(self._music.spans, _shares(self._music.spans, signals) <= MOST)
        within = _shares(tones, melody) > MOST
        named = [row for row, is_note in zip(named, within, strict=True) if row[0] != "beep" or not is_note]
        # Between tones noise is as steady, and no background comes back.
        after_tones = [(max(0.0, start - AFTER_TONE_S), end) for start, end in noise]
        for code, spans in (
            ("music", melody),
            ("redaction", self._gaps.redactions()),
            ("packet_loss", self._gaps.losses()),
            ("comfort_noise", _keep(noise, _shares(after_tones, tones) == 0.0)),
        ):
            named += [(code, *span) for span in spans]
        end_s = self._n_samples / SAMPLE_RATE
        return tuple(
            sorted(
                Event(Segment(start, min(end, end_s)), code) for code, start, end in named if start < end_s
            )
        )

    def _tone_bursts(self) -> list[Burst]:
        """Bursts of one sinusoid, with sharp edges where it was steady at once, and of several."""
        lone = [burst for burst in self._short.bursts if len(burst.frequencies_hz) == 1]
        sharp = [(burst.start_s, burst.end_s) for burst in lone]
        lasting = [(burst.start_s, burst.end_s) for burst in self._lasting.bursts]
        return lone + _keep(self._lasting.bursts, _shares(lasting, sharp) < SHARP)

    def _append(self, samples: np.ndarray) -> None:
        self._buffer.append(samples)
        self._n_buffered += len(samples)
        n = BLOCKS_AT_ONCE * BLOCK_SAMPLES
        if self._n_buffered < n + SURROUNDINGS:
            return
        held = np.concatenate(self._buffer)
        start = 0
        while len(held) - start >= n + SURROUNDINGS:
            self._hear(held[start : start + n + SURROUNDINGS])
            start += n
        self._buffer, self._n_buffered = [held[start:].copy()], len(held) - start

    def _hear(self, samples: np.ndarray) -> None:
        """Give some blocks with their surroundings to all finders."""
        self._gaps.push(samples)
        ahead = samples[gaps.LOOKBACK :]
        short = _power(ahead, SHORT_FFT, SHORT_HOP)
        self._short.push(short)
        self._noise.push(short)
        long = _power(ahead, LONG_FFT, LONG_HOP)
        self._lasting.push(long)
        self._music.push(long)


def _power(samples: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """Power spectra of the frames that begin before the lookahead: float32 (T, n_fft // 2 + 1)."""
    n_frames = (len(samples) - gaps.LOOKAHEAD) // hop
    frames = torch.from_numpy(samples).unfold(0, n_fft, hop)[:n_frames]
    spectrum = torch.fft.rfft(frames * _window(n_fft)).numpy()
    return spectrum.real**2 + spectrum.imag**2


@lru_cache(maxsize=2)
def _window(n_fft: int) -> torch.Tensor:
    return torch.from_numpy(np.hanning(n_fft + 1)[:-1].astype(np.float32))


def _shares(spans: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]]) -> np.ndarray:
    """Share of each span (start_s, end_s) that ``others`` cover together: float (n,)."""
    support = Timeline.from_pairs(others).support().segments
    edges = np.array([[s.start, s.end] for s in support]).reshape(-1, 2)
    covered = np.concatenate([[0.0], np.cumsum(edges[:, 1] - edges[:, 0])])  # before each one
    at = np.array(spans, dtype=np.float64).reshape(-1, 2)
    index = np.searchsorted(edges[:, 0], at, side="right")
    overhang = np.maximum(0.0, np.concatenate([[0.0], edges[:, 1]])[index] - at)
    before = covered[index] - overhang
    return (before[:, 1] - before[:, 0]) / (at[:, 1] - at[:, 0])


def _keep(rows: list, flags: np.ndarray) -> list:
    return [row for row, flag in zip(rows, flags, strict=True) if flag]
