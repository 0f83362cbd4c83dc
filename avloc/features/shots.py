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

import cv2
import numpy as np

THUMBNAIL_PX = 32
SHIFT_PX = 3  # of the thumbnail, in every direction
NOISE_VARIANCE = 100.0  # gray levels squared: what is left of a picture that fades does not count
MIN_SHOT_FRAMES = 4  # on the 25 Hz grid
LOOK_AHEAD_FRAMES = MIN_SHOT_FRAMES - 1
LEVEL_FRAMES = 8  # changes before a cut that its level is the median of
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
        self._changes: deque[float] = deque(maxlen=LOOK_AHEAD_FRAMES + 1)  # into the newest frames
        self._level: deque[float] = deque(maxlen=LEVEL_FRAMES)  # changes before the frame to decide on
        self._last: np.ndarray | None = None
        self._n_undecided = 0
        self._shot_frames = 0  # from the last cut to the frame to decide on

    def push(self, small: np.ndarray) -> list[bool]:
        """Take the next small frame, uint8 (h, w); give what is decided, in the order of the frames.

        The same array object again means the same picture.
        """
        repeated = small is self._last
        thumbnail = self._thumbnails[-1] if repeated else _Thumbnail(small)
        change = 0.0 if repeated or not self._thumbnails else thumbnail.differ(self._thumbnails[-1])
        self._last = small
        self._thumbnails.append(thumbnail)
        self._changes.append(change)
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
        change, *later = self._changes
        begins = self._shot_frames >= MIN_SHOT_FRAMES and change > MIN_CHANGE and self._is_cut(later)
        if begins:
            self._shot_frames = 0
            self._level.clear()
        elif change > SAME_PICTURE:
            self._level.append(change)
        self._shot_frames += 1
        return begins

    def _is_cut(self, later: list[float]) -> bool:
        after = [change for change in later if change > SAME_PICTURE]
        level = max(float(np.median(part)) if part else 0.0 for part in (self._level, after))
        threshold = max(MIN_CHANGE, MIN_RISE * level)
        frames = list(self._thumbnails)
        pairs = {(a, b) for a in frames[:MIN_SHOT_FRAMES] for b in frames[MIN_SHOT_FRAMES:]}
        return all(second.differ(first) > threshold for first, second in pairs)


class _Thumbnail:
    """A frame of 32 x 32 pixels whatever its proportions, less its mean."""

    def __init__(self, small: np.ndarray) -> None:
        pixels = cv2.resize(small, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
        self._pixels = pixels.astype(np.float32)
        self._pixels -= self._pixels.mean()
        self._inner = self._pixels[SHIFT_PX:-SHIFT_PX, SHIFT_PX:-SHIFT_PX]
        self._variance = float(self._pixels.var())

    def differ(self, other: "_Thumbnail") -> float:
        """Mean squared difference at the best shift over the sum of the variances: 0 equal, about 1 unrelated."""
        if other is self:
            return 0.0
        squares = cv2.matchTemplate(other._pixels, self._inner, cv2.TM_SQDIFF)
        mean = max(0.0, float(squares.min())) / self._inner.size
        return mean / (self._variance + other._variance + 2 * NOISE_VARIANCE)
