"""Timestamps to seconds, and both streams onto the recording's clock.

The only place where ``pts`` and ``time_base`` become seconds. Times are exact fractions of a second from time
zero, the earliest presented timestamp of any used stream. Nothing here re-aligns the streams: what starts
late stays late, what is missing stays a hole.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

GRID_RATE = Fraction(25)
GAP_S = Fraction(20, 1000)  # below it a deviation is jitter of the timestamps
LARGEST_OVERLAP_S = Fraction(1)  # a longer step back is a broken timestamp, not repeated sound
DRIFT_BEGIN_S = 0.010
DRIFT_END_S = 0.001
LARGEST_STRETCH = 0.005  # of a frame's length; hardly audible
DRIFT_WINDOW = 16  # frames: the median over them ignores jitter
SNAP = Fraction(1, 1_000_000)  # of a sample or frame: time zero has passed through a float


def timestamp_to_seconds(timestamp: int, time_base: Fraction) -> Fraction:
    """Give a stream timestamp in seconds of the container's clock, exact."""
    return timestamp * Fraction(time_base)


def frame_to_sample(frame: int, sample_rate: int) -> int:
    """Give the sample with which a frame of the 25 Hz grid begins.

    Examples
    --------
    >>> frame_to_sample(3, 16_000)
    1920
    """
    return round(frame * sample_rate / GRID_RATE)


def is_variable_rate(times: Sequence[Fraction], time_base: Fraction) -> bool:
    """Tell whether frames lie at unequal distances, beyond the rounding of the time base and 10 %.

    Examples
    --------
    >>> tick = Fraction(1, 1000)
    >>> is_variable_rate([Fraction(t, 1000) for t in (0, 33, 67, 100)], tick)
    False
    >>> is_variable_rate([Fraction(t, 1000) for t in (0, 33, 100, 133)], tick)
    True
    """
    ordered = sorted(times)
    steps = sorted(b - a for a, b in zip(ordered, ordered[1:], strict=False))
    if len(steps) < 2:
        return False
    typical = steps[len(steps) // 2]
    allowed = max(2 * time_base, typical / 10)
    return steps[-1] - typical > allowed or typical - steps[0] > allowed


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a frame of sound goes.

    ``new_run`` says that it does not continue the sound before it and begins at ``start`` seconds; the first
    ``skip`` samples are left out; the rest is stretched or squeezed to ``n_samples``.
    """

    new_run: bool
    start: Fraction
    skip: int
    n_samples: int


class SampleClock:
    """Places frames of sound on a continuous clock by their timestamps.

    A deviation under ``GAP_S`` is jitter; a later one opens a gap; an overlap is left out; a step back of
    more than ``LARGEST_OVERLAP_S``, or one past ``limit``, is repaired by going on where the sound was. A
    deviation that grows slowly is drift between the sampling clock and the timestamps: frames are stretched
    by at most ``LARGEST_STRETCH`` until the sound is where its timestamps say.

    Parameters
    ----------
    limit : Fraction [s]
        No timestamp after this is believed.
    """

    def __init__(self, limit: Fraction) -> None:
        self._limit = limit
        self._start: Fraction | None = None
        self._n_run = 0
        self._rate = 1
        self._shift = Fraction(0)
        self._deviations: deque[float] = deque(maxlen=DRIFT_WINDOW)
        self._correcting = False
        self.n_repaired = 0
        self.n_gaps = 0
        self.stretched_s = 0.0
        self.placed_s = 0.0

    @property
    def position(self) -> Fraction:
        """End of the sound placed so far, in seconds."""
        return Fraction(0) if self._start is None else self._start + Fraction(self._n_run, self._rate)

    def place(self, time: Fraction | None, n_samples: int, sample_rate: int) -> Placement:
        """Place the next frame of ``n_samples`` that its timestamp puts at ``time`` seconds."""
        if self._start is None:
            return self._begin(time or Fraction(0), n_samples, sample_rate)
        expected = self.position
        deviation = Fraction(0) if time is None else time + self._shift - expected
        if deviation <= -GAP_S:
            self.n_repaired += 1
            if deviation > -LARGEST_OVERLAP_S:
                skip = min(n_samples, round(-deviation * sample_rate))
                return self._continue(expected, n_samples, skip, sample_rate, Fraction(0))
            self._shift -= deviation
            deviation = Fraction(0)
        elif deviation >= GAP_S:
            if expected + deviation > self._limit:
                self.n_repaired += 1
                self._shift -= deviation
                deviation = Fraction(0)
            else:
                self.n_gaps += 1
                return self._begin(expected + deviation, n_samples, sample_rate)
        return self._continue(expected, n_samples, 0, sample_rate, deviation)

    @property
    def drift_ppm(self) -> float | None:
        """How much longer the timestamps say the sound is than its samples, in parts per million."""
        return self.stretched_s / self.placed_s * 1e6 if self.placed_s else None

    def _begin(self, time: Fraction, n_samples: int, sample_rate: int) -> Placement:
        skip = min(n_samples, math.ceil(-time * sample_rate - SNAP)) if time < 0 else 0
        start = max(Fraction(0), time + Fraction(skip, sample_rate))
        if skip == n_samples:  # all of it lies before time zero
            return Placement(True, start, skip, 0)
        self._start, self._n_run, self._rate = start, n_samples - skip, sample_rate
        self._deviations.clear()
        self._correcting = False
        self.placed_s += (n_samples - skip) / sample_rate
        return Placement(True, start, skip, n_samples - skip)

    def _continue(
        self, expected: Fraction, n_samples: int, skip: int, sample_rate: int, deviation: Fraction
    ) -> Placement:
        n_kept = n_samples - skip
        stretch = self._stretch(deviation, n_kept, sample_rate)
        new_run = sample_rate != self._rate
        if new_run:
            self._start, self._n_run, self._rate = expected, 0, sample_rate
        self._n_run += n_kept + stretch
        self.placed_s += n_kept / sample_rate
        self.stretched_s += stretch / sample_rate
        return Placement(new_run, expected, skip, n_kept + stretch)

    def _stretch(self, deviation: Fraction, n_samples: int, sample_rate: int) -> int:
        """Give the samples to add (or, negative, to leave out) so that drift is followed."""
        self._deviations.append(float(deviation))  # seconds; an estimate, so it need not be exact
        if len(self._deviations) < DRIFT_WINDOW:
            return 0
        typical = sorted(self._deviations)[DRIFT_WINDOW // 2]
        self._correcting = abs(typical) > (DRIFT_END_S if self._correcting else DRIFT_BEGIN_S)
        if not self._correcting:
            return 0
        largest = math.ceil(n_samples * LARGEST_STRETCH)
        stretch = max(-largest, min(largest, round(typical * sample_rate)))
        moved_s = stretch / sample_rate  # what was measured before this correction is now nearer
        self._deviations = deque((d - moved_s for d in self._deviations), maxlen=DRIFT_WINDOW)
        return stretch


class FrameClock:
    """Says which source frame is shown at the centre of each frame of the 25 Hz grid.

    Parameters
    ----------
    nominal : Fraction [s, > 0]
        Distance of frames where timestamps are missing.
    limit : Fraction [s]
        No timestamp after this is believed.
    first, last : int [frames, >= 0]
        Grid frames before ``first``, and from ``last`` on where it is given, are not given.
    """

    def __init__(
        self, nominal: Fraction, limit: Fraction, *, first: int = 0, last: int | None = None
    ) -> None:
        self._nominal = nominal
        self._limit = limit
        self._shift = Fraction(0)
        self._time: Fraction | None = None
        self.next = first
        self._last = last
        self.n_repaired = 0

    @property
    def is_over(self) -> bool:
        """Whether no grid frame will be given any more."""
        return self._last is not None and self.next >= self._last

    def push(self, time: Fraction | None) -> range:
        """Take the next source frame; give the grid frames at whose centre the one before it is shown.

        For the first frame these are the grid frames at which nothing is shown yet.
        """
        if time is not None:
            time += self._shift
        before = self._time
        if before is None:
            time = time if time is not None else Fraction(0)
        elif time is None or time <= before or time > self._limit:
            self.n_repaired += 1
            repaired = before + self._nominal
            if time is not None and (before - time > LARGEST_OVERLAP_S or time > self._limit):
                self._shift += repaired - time
            time = repaired
        self._time = time
        return self._until(time)

    def finish(self, duration: Fraction | None) -> range:
        """Give the grid frames at whose centre the last frame is shown; it lasts ``duration`` seconds."""
        if self._time is None:
            return range(0)
        return self._until(self._time + (duration if duration else self._nominal))

    def _until(self, time: Fraction) -> range:
        """Grid frames not given before whose centre lies before ``time``."""
        first, end = self.next, math.ceil(time * GRID_RATE - Fraction(1, 2) - SNAP)
        self.next = max(first, end if self._last is None else min(end, self._last))
        return range(first, self.next)
