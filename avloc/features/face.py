"""FaceTracker: the faces of a stream and its shots, frame by frame. NumPy and OpenCV only.

A cascade searches small frames for faces, at most every 0.4 s and every 1.6 s while some are followed; each
face then has a track of its own, which ends at a shot cut and where the picture does not show the face.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from avloc.features.crops import SMOOTHING_HALF_WIDTH
from avloc.features.face_detection import FaceDetector, overlap, shrink
from avloc.features.face_following import (
    DETECTION_INTERVAL,
    RETRY_INTERVAL,
    FollowedFace,
    FrameOnTheWay,
)
from avloc.features.shots import LOOK_AHEAD_FRAMES, ShotDetector

MAX_GAP = 15  # frames of the grid without a picture that a track survives
SEARCH_EVERY = 4  # looks at the oldest face
APART = 0.1  # IoU with every track below which a face is a new one
SAME_PLACE = 0.5  # IoU of two tracks above which they follow one face ...
MAX_SHARED = 5  # ... for this many frames
CHALLENGER_AREA = 1.5  # with as many tracks as may be, a face that is this much larger than the smallest ...
CHALLENGER_TIMES = 2  # ... in this many searches in a row takes its place
MAX_DELAY_FRAMES = LOOK_AHEAD_FRAMES + DETECTION_INTERVAL + RETRY_INTERVAL + SMOOTHING_HALF_WIDTH


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """One frame with the faces that were followed on it.

    ``frame_gray`` uint8 (H, W); ``cut`` whether a new shot begins; ``faces`` in order of their ids: the id of
    the track and its box, float32 (4,) x, y, width, height in pixels of the frame; ``points`` smoothed
    landmarks float32 (4, 2) by id, where a ``SidecarTracker`` knows them.
    """

    grid_index: int
    frame_gray: np.ndarray
    cut: bool
    faces: tuple[tuple[int, np.ndarray], ...]
    points: dict[int, np.ndarray] = field(default_factory=dict)


class FaceTracker:
    """Follow the largest faces along a stream of frames, and say where its shots begin.

    Parameters
    ----------
    frame_size : (int, int) [px]
        Width and height.
    max_faces : int [> 0]
        Tracks at the same time.

    Notes
    -----
    A frame comes back at most ``MAX_DELAY_FRAMES`` (0.96 s) after it went in; nothing else is kept. Every
    frame comes back once, in order. Ids count up from 0 in the order in which faces were found a second time;
    a shot cut, and a loss of more than 0.6 s, start a new one. Of two tracks of one face the younger ends.

    Examples
    --------
    >>> tracker = FaceTracker((64, 48), max_faces=4)
    >>> frames = [np.zeros((48, 64), np.uint8)] * 30
    >>> out = [f for i, frame in enumerate(frames) for f in tracker.push(frame, i)] + tracker.finish()
    >>> [f.grid_index for f in out] == list(range(30)), {f.faces for f in out}
    (True, {()})
    """

    def __init__(self, frame_size: tuple[int, int], *, max_faces: int) -> None:
        if max_faces < 1:
            raise ValueError(f"expected at least one face to follow, got {max_faces}")
        self._size, self._max_faces = frame_size, max_faces
        self._detector, self._shots = FaceDetector(), ShotDetector()
        self._ids = count()
        self._undecided: deque[FrameOnTheWay] = deque()  # whether a shot begins with them is not known
        self._frames: deque[FrameOnTheWay] = deque()  # followed up to the last; they may still get faces
        self._tracks: list[FollowedFace] = []  # the oldest first
        self._forget()

    def _forget(self) -> None:
        self._newest: FrameOnTheWay | None = None  # that came in
        self._last: FrameOnTheWay | None = None  # that was followed
        # The last frames since something was settled: a face that is found now is followed back through them.
        self._fresh: deque[FrameOnTheWay] = deque(maxlen=DETECTION_INTERVAL)
        self._since_search = DETECTION_INTERVAL  # frames
        self._until_search: int | None = 0  # None while the rhythm of the oldest track is enough
        self._challenges = 0

    def push(
        self, frame_gray: np.ndarray, grid_index: int, source_index: int | None = None
    ) -> list[TrackedFrame]:
        """Take the next frame, give back those that are settled.

        Parameters
        ----------
        frame_gray : uint8 (H, W)
            Full size. The same array object again means the same picture.
        grid_index : int
            Position on the 25 Hz grid, larger than the last one.
        source_index : int, optional
            Source frame; it makes no difference here, and is what a ``SidecarTracker`` goes by.

        Raises
        ------
        ValueError
            If the frame has another size or type, or the index does not grow.
        """
        self._check(frame_gray, grid_index)
        same = self._newest is not None and self._newest.gray is frame_gray
        small = self._newest.small if same else shrink(frame_gray)
        self._newest = FrameOnTheWay(grid_index, frame_gray, small)
        self._undecided.append(self._newest)
        self._follow_decided(self._shots.push(small))
        return self._take()

    def finish(self) -> list[TrackedFrame]:
        """Give back all frames that are left; the tracker is then as new, except that ids go on."""
        self._follow_decided(self._shots.finish())
        self._end(list(self._tracks))
        self._forget()
        return self._take()

    def _check(self, frame_gray: np.ndarray, grid_index: int) -> None:
        width, height = self._size
        if frame_gray.shape != (height, width) or frame_gray.dtype != np.uint8:
            got = f"{frame_gray.dtype} {frame_gray.shape}"
            raise ValueError(f"expected a frame uint8 {(height, width)}, got {got}")
        if self._newest is not None and grid_index <= self._newest.grid_index:
            raise ValueError(f"expected a grid index above {self._newest.grid_index}, got {grid_index}")

    def _follow_decided(self, begins: Sequence[bool]) -> None:
        for cut in begins:
            frame = self._undecided.popleft()
            frame.cut = cut
            self._follow(frame)

    def _follow(self, frame: FrameOnTheWay) -> None:
        """Move every track on to this frame; look for its faces where that is due."""
        before, self._last = self._last, frame
        if frame.cut or (before is not None and frame.grid_index - before.grid_index > MAX_GAP):
            lost = list(self._tracks)
            self._fresh.clear()  # nothing is followed back across a cut
            self._until_search = 0
        else:
            lost = [track for track in self._tracks if not track.follow(before.small, frame)]
        if lost:
            self._end(lost)
            self._until_search = 0  # most likely a cut: look for the next face at once
        self._frames.append(frame)
        self._fresh.append(frame)
        self._since_search += 1
        if self._until_search is not None:
            self._until_search -= 1
        self._end_shared()
        if self._look() or self._is_search_due():
            if self._fresh:
                self._search(frame)
            else:  # a track has just ended on this frame and keeps it; with another there may be too many
                self._until_search = 0

    def _end(self, tracks: list[FollowedFace]) -> None:
        for track in tracks:
            track.end()
            self._tracks.remove(track)
            self._fresh.clear()  # where the track was a face has its box

    def _end_shared(self) -> None:
        """End a track that has followed the same face as an older one for some frames."""
        for younger, track in list(enumerate(self._tracks))[:0:-1]:
            shared = any(overlap(track.box, other.box) > SAME_PLACE for other in self._tracks[:younger])
            track.n_shared = track.n_shared + 1 if shared else 0
            if track.n_shared >= MAX_SHARED:
                self._end([track])

    def _look(self) -> bool:
        """Correct the tracks that are due; True when the whole frame is to be searched with them."""
        oldest = self._tracks[0] if self._tracks else None
        due = [track for track in self._tracks if track.is_due]
        lost = [track for track in due if not track.look(self._detector)]
        if lost:
            self._end(lost)
            waited = self._until_search
            self._until_search = RETRY_INTERVAL - 1 if waited is None else min(waited, RETRY_INTERVAL - 1)
        return oldest in due and oldest in self._tracks and oldest.n_detections % SEARCH_EVERY == 0

    def _is_search_due(self) -> bool:
        wanted = self._until_search is not None and self._until_search < 0
        return wanted and self._since_search >= DETECTION_INTERVAL

    def _search(self, frame: FrameOnTheWay) -> None:
        """Find faces that no track follows; start tracks, the largest first, as far as there is room."""
        found = self._detector.find(frame.small)
        new = [box for box in found if all(overlap(box, track.box) < APART for track in self._tracks)]
        room = self._max_faces - len(self._tracks)
        (width, height), (rows, columns) = self._size, frame.small.shape
        scale, frames = np.tile([width / columns, height / rows], 2), list(self._fresh)
        self._tracks += [FollowedFace(box, frames, scale, self._ids) for box in new[:room]]
        self._fresh.clear()
        self._since_search = 0
        self._until_search = None if self._tracks else DETECTION_INTERVAL - 1
        self._challenge(new[room:])

    def _challenge(self, boxes: list[np.ndarray]) -> None:
        """End the smallest track when another face is clearly larger, again and again; searches tell."""
        smallest = min(self._tracks, key=lambda track: float(np.prod(track.box[2:])), default=None)
        larger = boxes and np.prod(boxes[0][2:]) > CHALLENGER_AREA * np.prod(smallest.box[2:])
        self._challenges = self._challenges + 1 if larger else 0
        if self._challenges >= CHALLENGER_TIMES:
            self._challenges = 0
            self._end([smallest])
            self._until_search = 0

    def _take(self) -> list[TrackedFrame]:
        """Release the frames, in order, up to the first that may still get a face or another box."""
        ready = []
        kept = self._fresh[0] if self._fresh else None
        while self._frames and self._frames[0].n_waiting == 0 and self._frames[0] is not kept:
            frame = self._frames.popleft()
            faces = tuple(sorted(frame.faces, key=lambda face: face[0]))
            ready.append(TrackedFrame(frame.grid_index, frame.gray, frame.cut, faces))
        return ready
