"""FaceTracker: the most persistent large face of a stream, frame by frame. NumPy and OpenCV only.

A cascade finds faces on small frames every 0.4 s; in between the box moves with the picture, and what it
drifted is corrected backwards at the next detection. A face that is not found a second time was never one.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from avloc.features.crops import SMOOTHING_HALF_WIDTH, smooth_boxes
from avloc.features.face_detection import FaceDetector, follow_box, overlap, shrink

DETECTION_INTERVAL = 10  # frames at 25 Hz
RETRY_INTERVAL = 5  # after a miss, and to confirm a new face
MAX_UNCONFIRMED = 15  # 0.6 s
MAX_GAP = 15  # frames of the grid without a picture that a track survives
DRIFT_GAIN = 0.5  # of the difference to a detection: cascades jitter, flow does not
FULL_EVERY = 4  # detections; the others look near the face only
CHALLENGER_AREA = 1.5  # another face takes over when it is this much larger ...
CHALLENGER_TIMES = 2  # ... this many times in a row
MAX_DELAY_FRAMES = DETECTION_INTERVAL + RETRY_INTERVAL + SMOOTHING_HALF_WIDTH


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """One frame with the face that was followed on it.

    ``frame_gray`` uint8 (H, W); ``face`` id of the track or -1; ``box`` float32 (4,) x, y, width, height in
    pixels of the frame, NaN without a face.
    """

    grid_index: int
    frame_gray: np.ndarray
    face: int
    box: np.ndarray


@dataclass(slots=True)
class _Entry:
    grid_index: int
    gray: np.ndarray
    small: np.ndarray | None  # dropped once settled
    box: np.ndarray | None = None  # (4,) in px of the small frame
    face: int = -1


class FaceTracker:
    """Follow one face along a stream of frames.

    Parameters
    ----------
    frame_size : (int, int) [px]
        Width and height.

    Notes
    -----
    A frame comes back at most ``MAX_DELAY_FRAMES`` (0.84 s) after it went in; nothing else is kept. Every
    frame comes back once, in order. Ids count up from 0; a shot cut, a loss of more than 0.6 s and a change
    to another face start a new one.

    Examples
    --------
    >>> tracker = FaceTracker((64, 48))
    >>> frames = [np.zeros((48, 64), np.uint8)] * 30
    >>> out = [f for i, frame in enumerate(frames) for f in tracker.push(frame, i)] + tracker.finish()
    >>> [f.grid_index for f in out] == list(range(30)), {f.face for f in out}
    (True, {-1})
    """

    def __init__(self, frame_size: tuple[int, int]) -> None:
        self._size = frame_size
        self._detector = FaceDetector()
        self._smoother = _BoxSmoother()
        self._open: list[_Entry] = []  # not settled: a later detection may still change their boxes
        self._last: _Entry | None = None
        self._last_small: np.ndarray | None = None
        self._next_face = 0
        self._until_detection = 0
        self._forget()

    def push(self, frame_gray: np.ndarray, grid_index: int) -> list[TrackedFrame]:
        """Take the next frame, give back those that are settled.

        Parameters
        ----------
        frame_gray : uint8 (H, W)
            Full size. The same array object again means the same picture.
        grid_index : int
            Position on the 25 Hz grid, larger than the last one.

        Raises
        ------
        ValueError
            If the frame has another size or type, or the index does not grow.
        """
        self._check(frame_gray, grid_index)
        if self._last is not None and grid_index - self._last.grid_index > MAX_GAP:
            self._end_track()
        same = self._last is not None and self._last.gray is frame_gray
        small = self._last_small if same else shrink(frame_gray)
        entry = _Entry(grid_index, frame_gray, small)
        self._open.append(entry)
        if self._box is not None:
            self._box = follow_box(self._last_small, small, self._box)
            if self._box is None:
                self._open.pop()
                self._end_track()
                self._open.append(entry)
                self._until_detection = 0  # most likely a cut: look for the next face at once
            else:
                entry.box = self._box
                self._since_detection += 1
        self._last, self._last_small = entry, small
        self._until_detection -= 1
        if self._until_detection < 0:
            self._detect(entry)
        return self._smoother.take(self._size)

    def finish(self) -> list[TrackedFrame]:
        """Give back all frames that are left; the tracker is then as new, except that ids go on."""
        self._end_track()
        self._smoother.close()
        self._last, self._last_small, self._until_detection = None, None, 0
        return self._smoother.take(self._size)

    def _check(self, frame_gray: np.ndarray, grid_index: int) -> None:
        width, height = self._size
        if frame_gray.shape != (height, width) or frame_gray.dtype != np.uint8:
            got = f"{frame_gray.dtype} {frame_gray.shape}"
            raise ValueError(f"expected a frame uint8 {(height, width)}, got {got}")
        if self._last is not None and grid_index <= self._last.grid_index:
            raise ValueError(f"expected a grid index above {self._last.grid_index}, got {grid_index}")

    def _forget(self) -> None:
        self._box: np.ndarray | None = None
        self._face: int | None = None  # None while the face waits to be found a second time
        self._since_detection = 0  # frames, including this one, whose boxes came from flow alone
        self._unconfirmed = 0
        self._n_detections = 0
        self._challenges = 0

    def _detect(self, entry: _Entry) -> None:
        """Look for faces on this frame, correct or end the track, settle what is decided."""
        self._until_detection = DETECTION_INTERVAL - 1
        small = entry.small
        if self._box is None:
            found = self._detector.find(small)
            if found:
                self._start(entry, found[0])
            else:
                self._settle()
            return
        near = self._detector.find_near(small, self._box)
        self._n_detections += 1
        if near is None:
            self._miss()
        else:
            self._confirm(near)
        if self._box is not None and self._n_detections % FULL_EVERY == 0:
            self._challenge(small)

    def _start(self, entry: _Entry, box: np.ndarray) -> None:
        """Follow a new face, and the same face back to where it came into the picture."""
        self._box = entry.box = box
        self._until_detection = RETRY_INTERVAL - 1
        after, moved = entry, box
        for earlier in reversed(self._open[:-1]):
            if after.grid_index - earlier.grid_index > MAX_GAP:
                break
            moved = follow_box(after.small, earlier.small, moved)
            if moved is None:
                break
            earlier.box, after = moved, earlier

    def _confirm(self, near: np.ndarray) -> None:
        if self._face is None:
            self._face = self._next_face
            self._next_face += 1
        error = DRIFT_GAIN * (near - self._box)
        n = self._since_detection
        for k, entry in enumerate(self._open[-n:] if n else [], start=1):
            entry.box = entry.box + error * (k / n)
        self._box = self._box + error
        self._since_detection = self._unconfirmed = 0
        self._settle()

    def _miss(self) -> None:
        self._until_detection = RETRY_INTERVAL - 1
        self._unconfirmed += self._since_detection
        self._since_detection = 0
        if self._face is None or self._unconfirmed >= MAX_UNCONFIRMED:
            self._end_track()
        else:
            self._settle()

    def _challenge(self, small: np.ndarray) -> None:
        """Change to another face when it is clearly larger, again and again."""
        others = [box for box in self._detector.find(small) if overlap(box, self._box) < 0.1]
        larger = others and np.prod(others[0][2:]) > CHALLENGER_AREA * np.prod(self._box[2:])
        self._challenges = self._challenges + 1 if larger else 0
        if self._challenges >= CHALLENGER_TIMES:
            self._end_track()
            self._until_detection = 0  # the largest face is taken at the next frame

    def _end_track(self) -> None:
        if self._face is None:
            for entry in self._open:
                entry.box = None  # found once and never again
        self._settle()
        self._forget()

    def _settle(self) -> None:
        for entry in self._open:
            entry.face = self._face if entry.box is not None and self._face is not None else -1
            if entry.box is not None:
                height, width = entry.small.shape
                entry.box = entry.box * np.tile([self._size[0] / width, self._size[1] / height], 2)
            entry.small = None
            self._smoother.push(entry)
        self._open.clear()


class _BoxSmoother:
    """``smooth_boxes`` along a stream: a frame leaves when the frames that its mean needs have come."""

    def __init__(self) -> None:
        self._waiting: deque[_Entry] = deque()
        self._track: list[np.ndarray] = []  # boxes of the last face: those waiting and up to 6 before them
        self._face = -1
        self._ready: list[tuple[_Entry, np.ndarray]] = []

    def push(self, entry: _Entry) -> None:
        if entry.face != self._face:
            self.close()
            self._face = entry.face
        if entry.face < 0:
            self._ready.append((entry, np.full(4, np.nan, dtype=np.float32)))
            return
        self._waiting.append(entry)
        self._track.append(entry.box)
        if len(self._waiting) > SMOOTHING_HALF_WIDTH:
            centre = len(self._track) - 1 - SMOOTHING_HALF_WIDTH
            self._ready.append((self._waiting.popleft(), smooth_boxes(np.array(self._track))[centre]))
            if centre >= SMOOTHING_HALF_WIDTH:
                del self._track[0]

    def close(self) -> None:
        """End the track: its last frames get what is left of their windows."""
        if self._waiting:
            smoothed = smooth_boxes(np.array(self._track))[-len(self._waiting) :]
            self._ready.extend(zip(self._waiting, smoothed, strict=True))
        self._waiting.clear()
        self._track.clear()

    def take(self, size: tuple[int, int]) -> list[TrackedFrame]:
        frames = [TrackedFrame(e.grid_index, e.gray, e.face, box) for e, box in self._ready]
        self._ready.clear()
        return frames
