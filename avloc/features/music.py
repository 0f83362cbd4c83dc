"""Music: several partials that stay at their frequency, and then move on to others.

The harmonics of a voice glide: within 0.35 s nearly all of them leave their bin of 8 Hz. Notes keep it. Mains
hum and the whine of machines keep it too, but for good.
"""

from dataclasses import dataclass

import numpy as np

from avloc.features.audio import SAMPLE_RATE

N_FFT, HOP = 2048, 512
BIN_HZ = SAMPLE_RATE / N_FFT
LOWEST, HIGHEST = round(350 / BIN_HZ), round(3400 / BIN_HZ)  # below: a fundamental may stay within one bin
PEAK_RANGE, NEAR, FAR = 2, 3, 12  # bins on each side
PROMINENCE_DB = 6.0
LOWEST_PEAK_DB = -84.0  # rounding to 16 bits stays below it
HELD_FRAMES = 8  # 0.35 s with the length of the window

MIN_PARTIALS = 2
MEAN_PARTIALS, SHARE_OF_FRAMES = 1.5, 0.5
SHARE_OF_POWER = 0.01  # a whine behind a voice has less
LOWEST_LEVEL_DB = -66.0
FIXED_SHARE, CHANGE = 0.6, 0.3  # a line in this share of a span is fixed; what is not must be this much


@dataclass(frozen=True, slots=True)
class _Block:
    """Partials of frames, bool (T, bins), the power in the band, and that of the partials."""

    held: np.ndarray
    power: float
    held_power: float


class _Span:
    """Music so far: its frames, and how often each bin held a partial."""

    def __init__(self) -> None:
        self.counts = np.zeros(HIGHEST - LOWEST)
        self.n_frames = 0
        self.first: int | None = None
        self.last = 0

    def add(self, start: int, held: np.ndarray) -> None:
        """Take the partials of frames from ``start`` on, bool (T, bins)."""
        self.counts += held.sum(axis=0)
        self.n_frames += len(held)
        rows = np.flatnonzero(held.sum(axis=1) >= MIN_PARTIALS)
        if len(rows):
            self.first = start + int(rows[0]) if self.first is None else self.first
            self.last = start + int(rows[-1])

    def change(self) -> float:
        """Share of the partials that are not there for most of the span."""
        # A partial between two bins, or a slow drift, is one line.
        around = np.convolve(self.counts, np.ones(3), mode="same")
        fixed = around > FIXED_SHARE * self.n_frames
        return 1.0 - float(self.counts[fixed].sum()) / max(1.0, float(self.counts.sum()))


class MusicFinder:
    """Spans of music; ``push`` consecutive blocks of power spectra, ``finish``, then read ``spans``.

    Within 2 s, on average 1.5 partials must have stayed within 8 Hz for 0.35 s, and two in half of the
    frames; over the whole span at least 30 % of them must come and go.

    Notes
    -----
    Not found: music that is masked by speech, drums alone, voices and strings with much vibrato, glides, and
    single chords. Singing on steady notes is music.

    Examples
    --------
    >>> notes = [sum(np.sin(2 * np.pi * f * k * np.arange(16384) / 16000) / k for k in (1, 2, 3, 4))
    ...          for f in (392.0, 494.0, 587.0, 440.0, 523.0, 659.0, 392.0, 494.0)]
    >>> tune = np.pad(0.1 * np.concatenate(notes), (0, 2048))
    >>> finder = MusicFinder()
    >>> for start in range(0, 131072, 16384):
    ...     frames = np.stack([tune[s : s + 2048] for s in range(start, start + 16384, 512)])
    ...     finder.push(np.abs(np.fft.rfft(frames * np.hanning(2049)[:-1])) ** 2)
    >>> finder.finish()
    >>> [(round(start), round(end)) for start, end in finder.spans]
    [(0, 8)]
    """

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        self._n_frames = 0
        self._before = np.zeros((HELD_FRAMES - 1, HIGHEST - LOWEST), dtype=bool)
        self._span: _Span | None = None
        self._last: _Block | None = None

    def push(self, power: np.ndarray) -> None:
        """Take the next block: power spectra (T, 1025) of Hann windows every 512 samples, T >= 10."""
        peaks = _peaks(power)
        recent = np.concatenate([self._before, peaks])
        wide = recent.copy()
        wide[:, 1:] |= recent[:, :-1]
        wide[:, :-1] |= recent[:, 1:]
        held = _all_of_last(wide, HELD_FRAMES) & peaks
        band = power[:, LOWEST:HIGHEST]
        block = _Block(held, float(band.sum(dtype=np.float64)), float((band * held).sum(dtype=np.float64)))
        is_music = self._last is not None and _is_music(self._last, block)
        if is_music and self._span is None:
            self._span = _Span()
            self._span.add(self._n_frames - len(self._last.held), self._last.held)
        if is_music:
            self._span.add(self._n_frames, held)
        else:
            self._close()
        self._last, self._before = block, peaks[1 - HELD_FRAMES :]
        self._n_frames += len(power)

    def finish(self) -> None:
        """Close the last span."""
        self._close()

    def _close(self) -> None:
        span, self._span = self._span, None
        if span is not None and span.first is not None and span.change() >= CHANGE:
            start = max(0, span.first - HELD_FRAMES + 1) * HOP
            end = span.last * HOP + N_FFT
            if self.spans and start <= self.spans[-1][1] * SAMPLE_RATE:
                start = self.spans.pop()[0] * SAMPLE_RATE
            self.spans.append((start / SAMPLE_RATE, end / SAMPLE_RATE))


def _peaks(power: np.ndarray) -> np.ndarray:
    """Bins that stick out of their surroundings: bool (T, bins)."""
    pad = FAR + 1
    band = power[:, LOWEST - pad : HIGHEST + pad]
    n = HIGHEST - LOWEST
    centre = band[:, pad : pad + n]
    sums = np.concatenate([np.zeros((len(band), 1)), np.cumsum(band, axis=1, dtype=np.float64)], axis=1)

    def within(reach: int) -> np.ndarray:
        return sums[:, pad + reach + 1 : pad + reach + 1 + n] - sums[:, pad - reach : pad - reach + n]

    around = (within(FAR) - within(NEAR)) / (2 * (FAR - NEAR))
    found = centre > np.maximum(
        10.0 ** (PROMINENCE_DB / 10.0) * around, 10.0 ** (LOWEST_PEAK_DB / 10.0) * N_FFT**2 / 16.0
    )
    for shift in range(1, PEAK_RANGE + 1):
        found &= centre >= band[:, pad - shift : pad - shift + n]
        found &= centre >= band[:, pad + shift : pad + shift + n]
    return found


def _all_of_last(flags: np.ndarray, n: int) -> np.ndarray:
    """Whether a row and the n - 1 before it are all True: bool (T + n - 1, bins) to (T, bins)."""
    counts = np.cumsum(flags, axis=0, dtype=np.int32)
    counts[n:] = counts[n:] - counts[:-n]
    return counts[n - 1 :] == n


def _is_music(one: _Block, other: _Block) -> bool:
    partials = np.concatenate([one.held, other.held]).sum(axis=1)
    power = one.power + other.power
    level = power / len(partials) / (3.0 * N_FFT**2 / 16.0)
    return bool(
        partials.mean() >= MEAN_PARTIALS
        and (partials >= MIN_PARTIALS).mean() >= SHARE_OF_FRAMES
        and level >= 10.0 ** (LOWEST_LEVEL_DB / 10.0)
        and one.held_power + other.held_power >= SHARE_OF_POWER * power
    )
