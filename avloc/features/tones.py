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
        self._n_frames = 0
        self._run: _Run | None = None
        self._before: tuple[np.ndarray, ...] | None = None  # values of the last frame pushed

    def push(self, power: np.ndarray) -> None:
        """Take the next frames: power spectra (T, n_fft // 2 + 1), T >= 1."""
        found = find_sinusoids(power, self._n_fft, self._components[1])
        count, frequency, level = self._describe(*found)
        if self._before is not None:
            count, frequency, level = (
                np.concatenate([a, b]) for a, b in zip(self._before, (count, frequency, level), strict=True)
            )
        change = np.abs(np.diff(frequency, axis=0)) <= self._drift * frequency[1:] + 1e-9
        step = np.abs(np.diff(level, axis=0)) <= self._ripple_db
        linked = (count[1:] > 0) & (count[1:] == count[:-1]) & (change & step).all(axis=1)
        offset = self._n_frames - (self._before is not None)  # frame number of row 0
        for start, stop in stretches(linked):
            self._extend(offset + start, count[start], frequency[start : stop + 1], level[start : stop + 1])
        self._n_frames += len(power)
        self._before = (count[-1:], frequency[-1:], level[-1:])

    def finish(self) -> None:
        """Close the last burst."""
        self._close()

    def _describe(
        self, frequency: np.ndarray, energy: np.ndarray, total: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sinusoids of each frame, 0 where they are not all that is heard; rows ascending in frequency."""
        strong = energy >= energy[:, :1] * 10.0 ** (-COMPONENT_RANGE_DB / 10.0)
        held = (energy * strong).sum(axis=1)
        level = 10.0 * np.log10(energy / (3.0 * self._n_fft**2 / 16.0) + POWER_FLOOR)
        count = strong.sum(axis=1)
        pure = (held >= self._purity * total) & (level[:, 0] >= LOWEST_LEVEL_DB)
        count = np.where(pure & (count >= self._components[0]), count, 0)
        order = np.argsort(np.where(strong, frequency, np.inf), axis=1, kind="stable")
        frequency = np.take_along_axis(np.where(strong, frequency, 0.0), order, axis=1)
        return count, frequency, np.take_along_axis(np.where(strong, level, 0.0), order, axis=1)

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
    bin_hz = SAMPLE_RATE / n_fft
    low, high = round(LOWEST_HZ / bin_hz), round(HIGHEST_HZ / bin_hz)
    band = power[:, low - LOBE_BINS - 1 : high + LOBE_BINS + 2].astype(np.float64)
    rows = np.arange(len(power))
    frequency, energy = np.zeros((len(power), n)), np.zeros((len(power), n))
    lobe = np.arange(-LOBE_BINS - 1, LOBE_BINS + 2)
    for index in range(n):
        peak = band[:, LOBE_BINS + 1 : -LOBE_BINS - 1].argmax(axis=1) + LOBE_BINS + 1
        around = band[rows[:, None], peak[:, None] + lobe]  # (T, 7)
        energy[:, index] = around[:, 1:-1].sum(axis=1)
        centre = LOBE_BINS + 1
        upper = around[:, centre + 1] >= around[:, centre - 1]
        side = np.where(upper, around[:, centre + 1], around[:, centre - 1])
        ratio = np.sqrt(side / np.maximum(around[:, centre], POWER_FLOOR))
        shift = (2.0 * ratio - 1.0) / (ratio + 1.0)
        frequency[:, index] = (peak + low - LOBE_BINS - 1 + np.where(upper, shift, -shift)) * bin_hz
        band[rows[:, None], peak[:, None] + lobe[1:-1]] = 0.0
    return frequency, energy, power[:, round(HUM_HZ / bin_hz) :].sum(axis=1, dtype=np.float64)


def stretches(flags: np.ndarray) -> list[tuple[int, int]]:
    """Half-open (start, stop) of every run of True in bool (n,).

    Examples
    --------
    >>> stretches(np.array([False, True, True, False, True]))
    [(1, 3), (4, 5)]
    """
    steps = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True))
