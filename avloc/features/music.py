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
BLOCK_FRAMES = 32  # 1 s, the unit of what is judged

MIN_PARTIALS = 2
MEAN_PARTIALS, SHARE_OF_FRAMES = 1.5, 0.5
SHARE_OF_POWER = 0.01  # a whine behind a voice has less
LOWEST_LEVEL_DB = -66.0
FIXED_SHARE, CHANGE = 0.6, 0.3  # a line in this share of a span is fixed; what is not must be this much


@dataclass(frozen=True, slots=True)
class _Block:
    """Frames judged together: partials, bool (T, bins), how many, (T,), and power in the band, (T, bins)."""

    held: np.ndarray
    counts: np.ndarray
    band: np.ndarray


class _Span:
    """Music so far: its frames, and how often each bin held a partial."""

    def __init__(self) -> None:
        self.counts = np.zeros(HIGHEST - LOWEST)
        self.n_frames = 0
        self.first: int | None = None
        self.last = 0

    def add(self, start: int, block: _Block) -> None:
        """Take the frames from ``start`` on."""
        self.counts += block.held.sum(axis=0)
        self.n_frames += len(block.held)
        rows = np.flatnonzero(block.counts >= MIN_PARTIALS)
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
        """Take the next frames: power spectra (T, 1025) of Hann windows every 512 samples.

        They are judged by 32, so T should be a multiple of it; fewer that are left over are judged alone.
        """
        peaks = _peaks(power)
        recent = np.concatenate([self._before, peaks])
        wide = recent.copy()
        wide[:, 1:] |= recent[:, :-1]
        wide[:, :-1] |= recent[:, 1:]
        held = _over_windows(wide, HELD_FRAMES, np.logical_and) & peaks
        counts = np.bincount(np.flatnonzero(held) // held.shape[1], minlength=len(held))
        band = power[:, LOWEST:HIGHEST]
        for start in range(0, len(power), BLOCK_FRAMES):
            block = slice(start, start + BLOCK_FRAMES)
            self._judge(_Block(held[block], counts[block], band[block]))
        self._before = recent[1 - HELD_FRAMES :]

    def finish(self) -> None:
        """Close the last span."""
        self._close()

    def _judge(self, block: _Block) -> None:
        is_music = self._last is not None and _is_music(self._last, block)
        if is_music and self._span is None:
            self._span = _Span()
            self._span.add(self._n_frames - len(self._last.held), self._last)
        if is_music:
            self._span.add(self._n_frames, block)
        else:
            self._close()
        self._last = block
        self._n_frames += len(block.held)

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
    sides = _over_windows(band.T, FAR - NEAR, np.add).T  # each from its lowest bin on

    def beside(values: np.ndarray, shift: int) -> np.ndarray:
        return values[:, pad + shift : pad + shift + HIGHEST - LOWEST]

    centre = beside(band, 0)
    prominence = 10.0 ** (PROMINENCE_DB / 10.0) / (2 * (FAR - NEAR))
    around = prominence * (beside(sides, -FAR) + beside(sides, NEAR + 1))
    found = centre > np.maximum(around, 10.0 ** (LOWEST_PEAK_DB / 10.0) * N_FFT**2 / 16.0)
    for shift in range(1, PEAK_RANGE + 1):
        found &= centre >= beside(band, -shift)
        found &= centre >= beside(band, shift)
    return found


def _over_windows(values: np.ndarray, n: int, join: np.ufunc) -> np.ndarray:
    """Join every n consecutive rows, by halves: (T, bins) to (T - n + 1, bins)."""
    joined, length = values, 1
    while 2 * length <= n:
        joined = join(joined[:-length], joined[length:])
        length *= 2
    if length == n:
        return joined
    rest = _over_windows(values[length:], n - length, join)
    return join(joined[: len(rest)], rest)


def _is_music(one: _Block, other: _Block) -> bool:
    partials = np.concatenate([one.counts, other.counts])
    if partials.mean() < MEAN_PARTIALS or (partials >= MIN_PARTIALS).mean() < SHARE_OF_FRAMES:
        return False
    power = sum(float(block.band.sum(dtype=np.float64)) for block in (one, other))
    held_power = sum(float((block.band * block.held).sum(dtype=np.float64)) for block in (one, other))
    level = power / len(partials) / (3.0 * N_FFT**2 / 16.0)
    return level >= 10.0 ** (LOWEST_LEVEL_DB / 10.0) and held_power >= SHARE_OF_POWER * power
