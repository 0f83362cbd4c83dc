"""Decoded pictures to the 25 Hz grid: which source frame is shown, shots, faces, crops; in the child."""

import time as wall
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from avloc.media.clock import GRID_RATE, FrameClock
from avloc.media.protocol import LANDMARK_CROP, Message

BLOCK_FRAMES = 25


class PictureTrack:
    """Follows one video stream on the 25 Hz grid and gives blocks of at most one second.

    Parameters
    ----------
    clock : FrameClock
        Maps source frames to grid frames.
    convert : callable
        ``convert(frame, format=..., width=..., height=...)`` gives the frame in another pixel format.
    make_tracker : callable, optional
        ``make_tracker(frame_size=(width, height))`` gives a ``FaceTracker``, or what does the same; without
        it neither faces nor cuts are looked for.
    crops : mapping
        From the name of a crop to ``(shape, function of (frame, box))``.
        ``LANDMARK_CROP`` is given smoothed landmarks, float32 (4, 2), for a box: the tracker must know them.

    Attributes
    ----------
    n_before : callable
        ``n_before(pts)`` counts the source frames before the first one that was decoded, which has this
        timestamp; none unless it is set.
    """

    is_picture: ClassVar[bool] = True

    def __init__(
        self,
        clock: FrameClock,
        convert: Callable[..., Any],
        *,
        make_tracker: Callable[..., Any] | None = None,
        crops: Mapping[str, tuple[tuple[int, int], Callable[[np.ndarray, np.ndarray], np.ndarray]]]
        | None = None,
    ) -> None:
        self.clock = clock
        self._convert = convert
        self._make_tracker = make_tracker
        self._crops = dict(crops or {})
        self._tracker: Any = None
        self._size: tuple[int, int] | None = None
        self._held: Any = None  # the latest frame; it is shown until the next one begins
        self._gray: np.ndarray | None = None  # of the held frame, made when it is first shown
        self._sources: deque[int] = deque()  # source index of the grid frames that are in no block yet
        self._start = clock.next  # grid frame of the first of them
        self.n_before: Callable[[int | None], int] = lambda pts: 0
        self._n_before = 0
        self._finished = clock.next  # grid frames before this one have left the tracker
        # By grid frame: whether a shot begins, and each face with its box and crops.
        self._tracked: dict[int, tuple[bool, list[tuple[int, np.ndarray, dict[str, np.ndarray]]]]] = {}
        self.n_frames = 0  # decoded
        self.face_s = 0.0

    @property
    def n_grid_frames(self) -> int:
        """Length of the track so far, in grid frames."""
        return self._start + len(self._sources)

    @property
    def n_sources(self) -> int:
        """Source frames so far, those before the first one that was decoded included."""
        return self._n_before + self.n_frames

    @property
    def is_over(self) -> bool:
        """Whether the last frame that is wanted was shown."""
        return self.clock.is_over

    def push(self, frame: Any, time: Fraction | None) -> Iterator[Message]:
        """Take one decoded frame that is shown from ``time`` seconds on; yield the blocks that are full."""
        yield from self._show(self.clock.push(time))
        if not self.n_frames:
            self._n_before = self.n_before(frame.pts)
        self._held, self._gray = frame, None
        self.n_frames += 1

    def finish(self, duration: Fraction | None) -> Iterator[Message]:
        """Yield what is left; the last frame lasts ``duration`` seconds."""
        yield from self._show(self.clock.finish(duration))
        if self._tracker is not None:
            began = wall.perf_counter()
            self._take(self._tracker.finish())
            self.face_s += wall.perf_counter() - began
        yield from self._emit(whole=True)

    def _show(self, grid_frames: range) -> Iterator[Message]:
        """Let the held frame stand in these grid frames; for hours perhaps, so blocks leave meanwhile."""
        for index in grid_frames:
            self._sources.append(self.n_sources - 1 if self._held is not None else -1)
            if self._held is not None and self._make_tracker is not None:
                self._track(index)
            if len(self._sources) >= BLOCK_FRAMES:
                yield from self._emit(whole=False)

    def _track(self, index: int) -> None:
        """Look for the faces of the held frame at this grid frame."""
        if self._gray is None:
            self._gray = self._to_gray(self._held)
        began = wall.perf_counter()
        if self._tracker is None:
            self._tracker = self._make_tracker(frame_size=self._size)
        self._take(self._tracker.push(self._gray, index, self._sources[-1]))
        self.face_s += wall.perf_counter() - began

    def _take(self, tracked: Any) -> None:
        for item in tracked:
            faces = []
            for face, box in item.faces:
                cut = {
                    name: make(item.frame_gray, item.points[face] if name == LANDMARK_CROP else box)
                    for name, (_, make) in self._crops.items()
                }
                faces.append((face, np.asarray(box, np.float32), cut))
            self._tracked[item.grid_index] = (item.cut, faces)
            self._finished = item.grid_index + 1

    def _emit(self, *, whole: bool) -> Iterator[Message]:
        end = self.n_grid_frames
        # frames at which nothing was shown never enter the tracker
        shown = self._make_tracker is not None and self._held is not None
        ready = end if whole or not shown else max(self._finished, self._n_unshown())
        while ready - self._start >= BLOCK_FRAMES or (whole and ready > self._start):
            yield self._make_block(min(BLOCK_FRAMES, ready - self._start))

    def _n_unshown(self) -> int:
        """First grid frame in no block yet at which a frame was shown."""
        return self._start + next((i for i, s in enumerate(self._sources) if s >= 0), len(self._sources))

    def _make_block(self, n: int) -> Message:
        sources = np.array([self._sources.popleft() for _ in range(n)], np.int64)
        tracked = [self._tracked.pop(self._start + k, (False, [])) for k in range(n)]
        rows = [(k, *face) for k, (_, faces) in enumerate(tracked) for face in faces]
        arrays = {
            "source_index": sources,
            "cuts": np.array([cut for cut, _ in tracked], bool),
            "row_frame": np.array([k for k, *_ in rows], np.int32),
            "face": np.array([face for _, face, _, _ in rows], np.int32),
            "boxes": np.array([box for *_, box, _ in rows], np.float32).reshape(-1, 4),
        }
        for name, (shape, _) in self._crops.items():
            cut = np.array([crops[name] for *_, crops in rows], np.uint8)
            arrays[f"crop_{name}"] = cut.reshape(-1, *shape)
        fields = {"start": self._start, "media_s": float((self._start + n) / GRID_RATE)}
        self._start += n
        return Message("video", fields, arrays)

    def _to_gray(self, frame: Any) -> np.ndarray:
        """Full-range gray picture of shape (H, W), upright, of the size of the first one."""
        turned = round(frame.rotation / 90) % 2 == 1
        if self._size is None:
            self._size = (frame.height, frame.width) if turned else (frame.width, frame.height)
        width, height = self._size[::-1] if turned else self._size
        gray = self._convert(frame, format="gray", width=width, height=height).to_ndarray()
        return np.ascontiguousarray(to_upright(gray, frame.rotation))


class ColourTrack:
    """Gives every grid frame in colour, one message a frame, for tools that render short clips."""

    is_picture: ClassVar[bool] = True

    def __init__(self, clock: FrameClock, convert: Callable[..., Any]) -> None:
        self.clock = clock
        self._convert = convert
        self._held: Any = None
        self._size: tuple[int, int] | None = None
        self.n_before: Callable[[int | None], int] = lambda pts: 0  # as of PictureTrack
        self._n_before = 0
        self.n_frames = 0
        self.n_grid_frames = clock.next
        self.face_s = 0.0

    @property
    def n_sources(self) -> int:
        """Source frames so far, those before the first one that was decoded included."""
        return self._n_before + self.n_frames

    @property
    def is_over(self) -> bool:
        """Whether the last frame that is wanted was shown."""
        return self.clock.is_over

    def push(self, frame: Any, time: Fraction | None) -> Iterator[Message]:
        """Take one decoded frame; yield the grid frames at which the one before it is shown."""
        shown = self.clock.push(time)
        if not self.n_frames:
            self._n_before = self.n_before(frame.pts)
        yield from self._emit(frame if self._held is None else self._held, shown)
        self._held = frame
        self.n_frames += 1

    def finish(self, duration: Fraction | None) -> Iterator[Message]:
        """Yield the grid frames at which the last frame is shown."""
        yield from self._emit(self._held, self.clock.finish(duration))

    def _emit(self, frame: Any, shown: range) -> Iterator[Message]:
        """Give ``frame`` once for each grid frame; before the first one it stands in."""
        if not shown:
            return
        self._size = self._size or (frame.width, frame.height)
        width, height = self._size
        picture = self._convert(frame, format="rgb24", width=width, height=height).to_ndarray()
        picture = np.ascontiguousarray(to_upright(picture, frame.rotation))
        source = np.array([self.n_sources - 1 if self.n_frames else -1], np.int64)
        for index in shown:
            self.n_grid_frames = index + 1
            fields = {"start": index, "media_s": float((index + 1) / GRID_RATE)}
            yield Message("colour", fields, {"frame": picture, "source_index": source})


def to_upright(picture: np.ndarray, rotation: float) -> np.ndarray:
    """Turn a picture as its container says it is to be shown; only quarter turns."""
    quarters = round(rotation / 90) % 4
    return np.rot90(picture, quarters) if quarters else picture
