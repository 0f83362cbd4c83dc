"""Steady sinusoids in a stream of power spectra: where one, two or three of them are all that is heard.

Nothing here knows what a tone means; ``features.cadence`` names it. A voice has a pure, steady sinusoid for
some tens of milliseconds at times (the bar of a voiced stop, a hummed nasal), so a burst must keep its
frequency and level from frame to frame, and what else is in the frame must be weak.
"""

from dataclasses import dataclass

import numpy as np

from avloc.features.audio import SAMPLE_RATE

LOWEST_HZ, HIGHEST_HZ = 330.0, 4000.0  # below: the fundamental of voices; above: no signalling tone
HUM_HZ = 120.0  # offsets and mains hum below it do not make a tone less pure
LOBE_BINS = 2  # a Hann window spreads a sinusoid over this many bins on each side
COMPONENT_RANGE_DB = 12.0  # a weaker sinusoid beside the strongest one is distortion or noise
LOWEST_LEVEL_DB = -50.0
WANDER, WANDER_BINS = 0.003, 0.04  # largest standard deviation of a frequency: relative, or in bins
POWER_FLOOR = 1e-20
ROUNDING = 1e-3  # by which sums of float32 may fall short


@dataclass(frozen=True, slots=True)
class Burst:
    """A stretch with steady sinusoids and little else.

    Parameters
    ----------
    start_s, end_s : float [s]
    frequencies_hz : tuple of float [Hz]
        Means over the stretch, ascending.
    levels_db : tuple of float [dB of full scale, RMS]
        One a frequency.
    """

    start_s: float
    end_s: float
    frequencies_hz: tuple[float, ...]
    levels_db: tuple[float, ...]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(slots=True)
class _Run:
    """Frames of a burst so far: its first and last frame, and sums over them."""

    first: int
    last: int
    sums: np.ndarray  # (4, components): frequency, its square, level, its square


class BurstFinder:
    """Bursts of ``n_components`` sinusoids along frames of one kind; call ``push`` with consecutive frames.

    Parameters
    ----------
    n_fft, hop : int [samples]
        Length of the Hann window that the spectra were taken with, and the distance of the frames.
    components : (int, int)
        Fewest and most sinusoids of a burst.
    min_frames : int
        Fewer steady frames are no burst.
    purity : float [0, 1]
        Least share of the frame's energy that the sinusoids hold.
    drift : float
        Largest relative change of a frequency from a frame to the next.
    ripple_db : float [dB]
        Largest change of a level from a frame to the next; its standard deviation is at most half of it.
    inset : float
        Share of the first and last window that lies outside the tone; more where the level may ripple.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    >>> frames = np.lib.stride_tricks.sliding_window_view(tone, 512)[::128] * np.hanning(513)[:-1]
    >>> finder = BurstFinder(n_fft=512, hop=128, components=(1, 1), min_frames=5)
    >>> finder.push(np.abs(np.fft.rfft(frames)) ** 2)
    >>> finder.finish()
    >>> [round(f) for f in finder.bursts[0].frequencies_hz], round(finder.bursts[0].levels_db[0], 1)
    ([1000], -3.0)
    """

    def __init__(
        self,
        *,
        n_fft: int,
        hop: int,
        components: tuple[int, int],
        min_frames: int,
        purity: float = 0.8,
        drift: float = 0.006,
        ripple_db: float = 1.0,
        inset: float = 0.2,
    ) -> None:
        self.bursts: list[Burst] = []
        self._n_fft, self._hop = n_fft, hop
        self._components, self._min_frames = components, min_frames
        self._purity, self._drift, self._ripple_db, self._inset = purity, drift, ripple_db, inset
        low, high = _band(n_fft)
        self._parts = np.zeros((n_fft // 2 + 1, 2), dtype=np.float32)  # the whole frame, and the lobes' bins
        self._parts[_first_heard(n_fft) :, 0] = 1.0
        self._parts[low:high, 1] = 1.0
        self._n_frames = 0
        self._run: _Run | None = None
        nothing = np.zeros((0, components[1]))
        # Number, count, frequencies and levels of the last frame so far that holds nothing but sinusoids.
        self._before = (np.zeros(0, dtype=int), np.zeros(0, dtype=int), nothing, nothing)

    def push(self, power: np.ndarray) -> None:
        """Take the next frames: power spectra (T, n_fft // 2 + 1), T >= 1."""
        rows = self._promising(power)
        row, *values = self._describe(*find_sinusoids(power[rows], self._n_fft, self._components[1]))
        found = (rows[row] + self._n_frames, *values)
        self._n_frames += len(power)
        if len(row) == 0:
            return
        frame, count, frequency, level = (
            np.concatenate([a, b]) for a, b in zip(self._before, found, strict=True)
        )
        self._before = (frame[-1:], count[-1:], frequency[-1:], level[-1:])
        linked = (frame[1:] == frame[:-1] + 1) & (count[1:] == count[:-1])
        change = np.abs(frequency[1:] - frequency[:-1]) <= self._drift * frequency[1:] + 1e-9
        step = np.abs(level[1:] - level[:-1]) <= self._ripple_db
        linked &= (change & step).all(axis=1)
        for start, stop in stretches(linked, self._min_frames - 1):
            kept = slice(start, stop + 1)
            self._extend(int(frame[start]), count[start], frequency[kept], level[kept])

    def finish(self) -> None:
        """Close the last burst."""
        self._close()

    def _promising(self, power: np.ndarray) -> np.ndarray:
        """Frames (n,) that may hold sinusoids; the others hold none, whatever their peaks are.

        Lobes lie within the band and share no bin, and none of their bins is above the strongest of the band.
        """
        low, high = _band(self._n_fft)
        total, band = (power @ self._parts).T
        lobe = (2 * LOBE_BINS + 1) * power[:, low:high].max(axis=1)
        most = np.minimum(band, self._components[1] * lobe) * (1.0 + ROUNDING)
        lowest = 10.0 ** (LOWEST_LEVEL_DB / 10.0) * 3.0 * self._n_fft**2 / 16.0
        return np.flatnonzero((most >= self._purity * total) & (lobe * (1.0 + ROUNDING) >= lowest))

    def _describe(
        self, frequency: np.ndarray, energy: np.ndarray, total: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Rows in which sinusoids are all that is heard: row (n,), count (n,), frequency and level (n, most).

        Frequencies ascend; behind them are zeros.
        """
        strong = energy >= energy[:, :1] * 10.0 ** (-COMPONENT_RANGE_DB / 10.0)
        held = (energy * strong).sum(axis=1)
        rows = np.flatnonzero((held >= self._purity * total) & (strong.sum(axis=1) >= self._components[0]))
        level = 10.0 * np.log10(energy[rows] / (3.0 * self._n_fft**2 / 16.0) + POWER_FLOOR)
        loud = level[:, 0] >= LOWEST_LEVEL_DB
        rows, level = rows[loud], level[loud]
        strong, frequency = strong[rows], frequency[rows]
        order = np.argsort(np.where(strong, frequency, np.inf), axis=1, kind="stable")
        frequency = np.take_along_axis(np.where(strong, frequency, 0.0), order, axis=1)
        level = np.take_along_axis(np.where(strong, level, 0.0), order, axis=1)
        return rows, strong.sum(axis=1), frequency, level

    def _extend(self, first: int, count: int, frequency: np.ndarray, level: np.ndarray) -> None:
        frequency, level = frequency[:, :count], level[:, :count]
        values = np.stack([frequency, frequency**2, level, level**2])
        last = first + len(frequency) - 1
        if self._run is not None and self._run.last == first:
            self._run.last = last
            self._run.sums += values[:, 1:].sum(axis=1)
            return
        self._close()
        self._run = _Run(first, last, values.sum(axis=1))

    def _close(self) -> None:
        run, self._run = self._run, None
        if run is None or run.last - run.first + 1 < self._min_frames:
            return
        frequency, frequency_square, level, level_square = run.sums / (run.last - run.first + 1)
        wander = np.sqrt(np.maximum(frequency_square - frequency**2, 0.0))
        ripple = np.sqrt(np.maximum(level_square - level**2, 0.0))
        steady = wander <= np.maximum(WANDER * frequency, WANDER_BINS * SAMPLE_RATE / self._n_fft)
        if not (steady & (ripple <= self._ripple_db / 2)).all():
            return
        inset = self._inset * self._n_fft
        start_s = max(0.0, (run.first * self._hop + inset) / SAMPLE_RATE)
        end_s = (run.last * self._hop + self._n_fft - inset) / SAMPLE_RATE
        self.bursts.append(Burst(start_s, end_s, tuple(frequency.tolist()), tuple(level.tolist())))


def find_sinusoids(power: np.ndarray, n_fft: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the ``n`` strongest peaks of each spectrum between 330 and 4000 Hz.

    Parameters
    ----------
    power : float (T, n_fft // 2 + 1)
        Power spectra of Hann-windowed frames.
    n_fft : int [samples]
    n : int [>= 1]

    Returns
    -------
    frequency : float64 (T, n) [Hz]
        By the ratio of the two strongest bins, exact for a lone sinusoid (Grandke, "Interpolation algorithms
        for discrete Fourier transforms of weighted signals", IEEE Trans. Instrum. Meas. 32, 1983).
    energy : float64 (T, n)
        Power in the main lobe, strongest first.
    total : float64 (T,)
        Power of the whole frame above 120 Hz.
    """
    low, high = _band(n_fft)
    heard = power[:, _first_heard(n_fft) :]
    band = power[:, low:high].copy()
    lobe = np.arange(-LOBE_BINS, LOBE_BINS + 1)
    peak = np.zeros((len(band), n), dtype=np.intp)
    energy, sides = np.zeros((len(band), n)), np.zeros((3, len(band), n))
    first = np.arange(len(band)) * band.shape[1]  # of each row in the flat band
    for index in range(n):
        peak[:, index] = band[:, LOBE_BINS:-LOBE_BINS].argmax(axis=1) + LOBE_BINS
        at = (first + peak[:, index])[:, None] + lobe
        around = band.take(at).astype(np.float64)  # (T, 5)
        energy[:, index] = around.sum(axis=1)
        sides[:, :, index] = around[:, LOBE_BINS - 1 : LOBE_BINS + 2].T
        band.put(at, 0.0)
    below, centre, above = sides
    ratio = np.sqrt(np.maximum(above, below) / np.maximum(centre, POWER_FLOOR))
    shift = (2.0 * ratio - 1.0) / (ratio + 1.0)
    frequency = (peak + low + np.where(above >= below, shift, -shift)) * (SAMPLE_RATE / n_fft)
    return frequency, energy, heard.sum(axis=1, dtype=np.float64)


def _band(n_fft: int) -> tuple[int, int]:
    """Half-open range of the bins that the lobe of a peak may lie in."""
    low, high = (round(hertz * n_fft / SAMPLE_RATE) for hertz in (LOWEST_HZ, HIGHEST_HZ))
    return low - LOBE_BINS, high + LOBE_BINS + 1


def _first_heard(n_fft: int) -> int:
    """Lowest bin that counts as part of a frame."""
    return round(HUM_HZ * n_fft / SAMPLE_RATE)


def stretches(flags: np.ndarray, shortest: int = 1) -> list[tuple[int, int]]:
    """Half-open (start, stop) of runs of True in bool (n,), without short ones that touch no end.

    Examples
    --------
    >>> stretches(np.array([False, True, True, False, True]))
    [(1, 3), (4, 5)]
    >>> stretches(np.array([True, False, True, True, False, True, False, True]), 2)
    [(0, 1), (2, 4), (7, 8)]
    """
    padded = np.zeros(len(flags) + 2, dtype=bool)
    padded[1:-1] = flags
    starts, stops = np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2).T
    kept = (stops - starts >= shortest) | (starts == 0) | (stops == len(flags))
    return list(zip(starts[kept].tolist(), stops[kept].tolist(), strict=True))
