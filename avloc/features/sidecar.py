"""SidecarTracker: faces whose landmarks somebody else found, in place of a search. NumPy and OpenCV only.

It says of every frame what a ``FaceTracker`` says, and finds the shots itself.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from avloc.features.face import TrackedFrame
from avloc.features.face_detection import shrink
from avloc.features.face_following import BoxSmoother, FrameOnTheWay
from avloc.features.landmarks import boxes_from_landmarks
from avloc.features.shots import ShotDetector
from avloc.structures.landmarks import LandmarkTrack

LEAST_WIDTH_PX = 1.0  # of a box; less is no face


class SidecarTracker:
    """Give the faces of a landmark track along a stream of frames, and say where its shots begin.

    Parameters
    ----------
    frame_size : (int, int) [px]
        Width and height.
    landmarks : LandmarkTrack
        By source frame.

    Notes
    -----
    Between two rows of a face that are not too far apart its box moves evenly, unless a shot begins between
    them: then the frames between have no face. A shot cut and a longer absence end a track. Ids are not those
    of the landmarks, because a face that comes back is another track: they count up from 0 as tracks begin. A
    frame waits for the next row and for the mean over boxes.

    Examples
    --------
    >>> points = np.array([[[24, 20], [40, 20], [32, 28], [32, 36]]] * 30)
    >>> landmarks = LandmarkTrack(points, frame=np.arange(30))
    >>> tracker = SidecarTracker((64, 48), landmarks=landmarks)
    >>> frames = [np.zeros((48, 64), np.uint8)] * 40
    >>> out = [f for i, frame in enumerate(frames) for f in tracker.push(frame, i, i)] + tracker.finish()
    >>> [len(f.faces) for f in out] == [1] * 30 + [0] * 10
    True
    """

    def __init__(self, frame_size: tuple[int, int], *, landmarks: LandmarkTrack) -> None:
        self._size = frame_size
        points = landmarks.points.reshape(-1, 8)
        rows = np.concatenate([boxes_from_landmarks(landmarks.points), points], axis=1)
        bounds = landmarks.stretches()
        in_order = np.lexsort((landmarks.face[bounds[:, 0]], landmarks.frame[bounds[:, 0]]))
        self._coming = deque(
            _Stretch(landmarks.frame[first:last], rows[first:last]) for first, last in bounds[in_order]
        )
        self._present: list[_Stretch] = []
        self._shots = ShotDetector()
        self._ids = count()
        self._newest: FrameOnTheWay | None = None
        self._sources: deque[int] = deque()  # of the frames that are not decided on
        self._undecided: deque[FrameOnTheWay] = deque()  # whether a shot begins with them is not known
        self._frames: deque[FrameOnTheWay] = deque()
        self._shot_source = 0  # source frame with which the present shot begins

    def push(self, frame_gray: np.ndarray, grid_index: int, source_index: int) -> list[TrackedFrame]:
        """Take the next frame, give back those that are settled.

        Parameters
        ----------
        frame_gray : uint8 (H, W)
            Full size. The same array object again means the same picture.
        grid_index, source_index : int
            Position on the 25 Hz grid, and the source frame that is shown there; neither goes back.

        Raises
        ------
        ValueError
            If the frame has another size or type.
        """
        width, height = self._size
        if frame_gray.shape != (height, width) or frame_gray.dtype != np.uint8:
            got = f"{frame_gray.dtype} {frame_gray.shape}"
            raise ValueError(f"expected a frame uint8 {(height, width)}, got {got}")
        same = self._newest is not None and self._newest.gray is frame_gray
        small = self._newest.small if same else shrink(frame_gray)
        self._newest = FrameOnTheWay(grid_index, frame_gray, small)
        self._undecided.append(self._newest)
        self._sources.append(source_index)
        self._place_decided(self._shots.push(small))
        return self._take()

    def finish(self) -> list[TrackedFrame]:
        """Give back all frames that are left."""
        self._place_decided(self._shots.finish())
        for stretch in self._present:
            stretch.end_track(is_cut=False, ids=self._ids)
        self._newest = None
        return self._take()

    def _place_decided(self, begins: Sequence[bool]) -> None:
        for cut in begins:
            frame, source = self._undecided.popleft(), self._sources.popleft()
            frame.cut = cut
            self._frames.append(frame)
            self._place(frame, source)

    def _place(self, frame: FrameOnTheWay, source: int) -> None:
        """Give the frame to every face that has landmarks at this source frame or around it."""
        if frame.cut:
            self._shot_source = source
        for stretch in self._present:
            if frame.cut or stretch.last < source:
                stretch.end_track(is_cut=frame.cut, ids=self._ids)
        while self._coming and self._coming[0].first <= source:
            self._present.append(self._coming.popleft())
        self._present = [stretch for stretch in self._present if stretch.last >= source]
        for stretch in self._present:
            stretch.place(frame, source, shot_source=self._shot_source, ids=self._ids)

    def _take(self) -> list[TrackedFrame]:
        """Release the frames, in order, up to the first that waits for a box."""
        ready = []
        while self._frames and self._frames[0].n_waiting == 0:
            frame = self._frames.popleft()
            faces = tuple(sorted(frame.faces, key=lambda face: face[0]))
            ready.append(TrackedFrame(frame.grid_index, frame.gray, frame.cut, faces, frame.points))
        return ready


@dataclass(slots=True, eq=False)
class _Stretch:
    """One face without a long absence: source frames int64 (n,), boxes and landmarks float64 (n, 12) px."""

    frames: np.ndarray
    rows: np.ndarray
    _smoother: BoxSmoother | None = None
    # frames between two rows, until the second is reached and no shot has begun between them
    _between: list[tuple[FrameOnTheWay, np.ndarray]] = field(default_factory=list)
    _until: int = -1  # source frame of that row

    @property
    def first(self) -> int:
        return int(self.frames[0])

    @property
    def last(self) -> int:
        return int(self.frames[-1])

    def place(self, frame: FrameOnTheWay, source: int, *, shot_source: int, ids: count) -> None:
        """Give a frame its box, or let it wait for what comes, or leave it without a face."""
        after = int(np.searchsorted(self.frames, source))
        is_row = self.frames[after] == source
        before = after if is_row else after - 1
        if self._between and source >= self._until:
            self._settle(ids)
        if not is_row and self.frames[before] < shot_source:
            return  # a shot began since: where the face is now is not known
        share = 0.0 if is_row else (source - self.frames[before]) / (self.frames[after] - self.frames[before])
        box = (1 - share) * self.rows[before] + share * self.rows[after]
        if box[2] < LEAST_WIDTH_PX:
            return
        frame.n_waiting += 1
        self._between.append((frame, box))
        self._until = int(self.frames[after])
        if is_row:
            self._settle(ids)

    def end_track(self, *, is_cut: bool, ids: count) -> None:
        """Let go of all frames; those that wait for a row behind a cut have no face."""
        if is_cut:
            for frame, _ in self._between:
                frame.n_waiting -= 1
            self._between.clear()
        elif self._between:
            self._settle(ids)
        if self._smoother is not None:
            self._smoother.close()
            self._smoother = None

    def _settle(self, ids: count) -> None:
        self._smoother = self._smoother or BoxSmoother(next(ids))
        for frame, box in self._between:
            self._smoother.push(frame, box)
        self._between.clear()
