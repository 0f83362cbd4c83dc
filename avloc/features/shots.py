"""Where a new shot begins, from the small frames of a stream and a short look-ahead. NumPy and OpenCV only.

Two frames are compared as thumbnails without their mean, shifted against each other by up to a tenth of the
picture: what a camera or an exposure does from one frame to the next stays small, and what it does over
several frames raises the level that a change is compared with. A shot has at least ``MIN_SHOT_FRAMES``; what
is shorter, a flash above all, is part of the shot around it. A dissolve over more than three frames is no cut
at all: nowhere in it does one picture end, and its middle would be known only long after its start. Nor is a
fade, but where one from or to black takes less than half a second its dark end may count. A jump within one
shot of a head that hardly moved changes less than talking does, and is not seen.
"""

from collections import deque
from collections.abc import Collection
from itertools import pairwise

import cv2
import numpy as np

THUMBNAIL_PX = 32
SHIFT_PX = 3  # of the thumbnail, in every direction
INNER_PX = THUMBNAIL_PX - 2 * SHIFT_PX
NOISE_VARIANCE = 100.0  # gray levels squared: what is left of a picture that fades does not count
MIN_SHOT_FRAMES = 4  # on the 25 Hz grid
LOOK_AHEAD_FRAMES = MIN_SHOT_FRAMES - 1
LEVEL_STEPS = 8  # changes from picture to picture before a cut that its level is the median of
MIN_CHANGE = 0.06
MIN_RISE = 5.0  # times the level
SAME_PICTURE = 1e-6  # encoders repeat a picture; how much it changes says nothing about the shot


class ShotDetector:
    """Says for each frame whether a new shot begins with it, three frames later.

    A frame begins a shot when all of the four frames from it on differ from all of the four before it, by
    more than ``MIN_CHANGE`` of what unrelated pictures differ by, and by more than ``MIN_RISE`` times the
    median change among the frames before and among those after. The first four frames and the last three of
    a stream begin none.

    Examples
    --------
    >>> shots = ShotDetector()
    >>> pictures = [np.random.default_rng(i).integers(0, 256, (48, 64)).astype(np.uint8) for i in range(2)]
    >>> frames = [pictures[0]] * 10 + [pictures[1]] * 10
    >>> begins = [b for frame in frames for b in shots.push(frame)] + shots.finish()
    >>> len(begins), [i for i, b in enumerate(begins) if b]
    (20, [10])
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._thumbnails: deque[_Thumbnail] = deque(maxlen=2 * MIN_SHOT_FRAMES)
        # Two pictures that follow each other each, for the level before the frame to decide on.
        self._steps: deque[tuple[_Thumbnail, _Thumbnail]] = deque(maxlen=LEVEL_STEPS)
        self._last: np.ndarray | None = None
        self._n_undecided = 0
        self._shot_frames = 0  # from the last cut to the frame to decide on

    def push(self, small: np.ndarray) -> list[bool]:
        """Take the next small frame, uint8 (h, w); give what is decided, in the order of the frames.

        The same array object again means the same picture.
        """
        repeated = small is self._last
        self._last = small
        self._thumbnails.append(self._thumbnails[-1] if repeated else _Thumbnail(small))
        self._n_undecided += 1
        return [self._decide()] if self._n_undecided == MIN_SHOT_FRAMES else []

    def finish(self) -> list[bool]:
        """Give what is left, too short for a shot; the detector is then as new."""
        rest = [False] * self._n_undecided
        self._reset()
        return rest

    def _decide(self) -> bool:
        """Decide on the oldest of the four newest frames."""
        self._n_undecided -= 1
        begins = False
        if self._shot_frames > 0:
            before, frame = self._thumbnails[-MIN_SHOT_FRAMES - 1], self._thumbnails[-MIN_SHOT_FRAMES]
            begins = self._shot_frames >= MIN_SHOT_FRAMES and self._is_cut(before, frame)
            if begins:
                self._shot_frames = 0
                self._steps.clear()
            elif frame.bound(before) > SAME_PICTURE:
                self._steps.append((before, frame))
        self._shot_frames += 1
        return begins

    def _is_cut(self, before: "_Thumbnail", frame: "_Thumbnail") -> bool:
        if frame.bound(before) <= MIN_CHANGE:  # nearly always: the rest is not worth computing
            return False
        frames = list(self._thumbnails)
        first, second = frames[:MIN_SHOT_FRAMES], frames[MIN_SHOT_FRAMES:]
        after = [step for step in pairwise(second) if step[1].bound(step[0]) > SAME_PICTURE]
        level = max(_median_change(self._steps), _median_change(after))
        threshold = max(MIN_CHANGE, MIN_RISE * level)
        return all(b.differ(a) > threshold for a in first for b in second)


def _median_change(steps: Collection[tuple["_Thumbnail", "_Thumbnail"]]) -> float:
    return float(np.median([frame.differ(before) for before, frame in steps])) if steps else 0.0


class _Thumbnail:
    """A frame of 32 x 32 pixels whatever its proportions; its mean is left out of every comparison."""

    def __init__(self, small: np.ndarray) -> None:
        # Whole blocks of pixels are averaged several times as fast: what is over at the edges is left out.
        top, left = (side % THUMBNAIL_PX // 2 if side > THUMBNAIL_PX else 0 for side in small.shape)
        height, width = (max(1, side // THUMBNAIL_PX) * THUMBNAIL_PX for side in small.shape)
        whole = small[top : top + height, left : left + width]
        self._pixels = cv2.resize(whole, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
        mean, deviation = cv2.meanStdDev(self._pixels)
        self._mean, self._variance = float(mean[0, 0]), float(deviation[0, 0]) ** 2

    def bound(self, other: "_Thumbnail") -> float:
        """At least what ``differ`` gives, for a tenth of its cost."""
        squares = cv2.norm(self._pixels, other._pixels, cv2.NORM_L2SQR)
        squares -= THUMBNAIL_PX**2 * (self._mean - other._mean) ** 2
        return squares / INNER_PX**2 / self._scale(other)

    def differ(self, other: "_Thumbnail") -> float:
        """Mean squared difference at the best shift over both variances: 0 equal, about 1 unrelated."""
        inner = self._less_mean()[SHIFT_PX:-SHIFT_PX, SHIFT_PX:-SHIFT_PX]
        squares = cv2.matchTemplate(other._less_mean(), inner, cv2.TM_SQDIFF)
        return max(0.0, float(squares.min())) / INNER_PX**2 / self._scale(other)

    def _less_mean(self) -> np.ndarray:
        return self._pixels.astype(np.float32) - np.float32(self._mean)

    def _scale(self, other: "_Thumbnail") -> float:
        return self._variance + other._variance + 2 * NOISE_VARIANCE
