"""One face from where it was first found to where it is lost. NumPy and OpenCV only.

The box moves with the picture from frame to frame. A cascade that looks near it corrects, backwards over the
frames since it last did, what the box drifted. A face that is not found a second time was never one.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from avloc.features.crops import SMOOTHING_HALF_WIDTH, smooth_boxes
from avloc.features.face_detection import FaceDetector, follow_box

DETECTION_INTERVAL = 10  # frames at 25 Hz
RETRY_INTERVAL = 5  # after a miss, and to confirm a new face
MAX_UNCONFIRMED = 15  # 0.6 s
DRIFT_GAIN = 0.5  # of the difference to a detection: cascades jitter, flow does not


@dataclass(slots=True, eq=False)
class FrameOnTheWay:
    """A frame that may still get faces, uint8 (H, W) and its small copy; ``n_waiting`` tracks hold it.

    ``faces`` are ids with boxes float32 (4,) in pixels of the full frame, final once they are there;
    ``points`` float32 (4, 2) by id, where landmarks are known.
    """

    grid_index: int
    gray: np.ndarray
    small: np.ndarray
    cut: bool = False
    faces: list[tuple[int, np.ndarray]] = field(default_factory=list)
    n_waiting: int = 0
    points: dict[int, np.ndarray] = field(default_factory=dict)


class FollowedFace:
    """Follow a face that was found on the last of ``frames``, and back through those before it.

    Parameters
    ----------
    box : float64 (4,) [px]
        Of the face in the small copy of the last frame.
    frames : sequence of FrameOnTheWay
        Consecutive frames; the face is followed back until the picture does not show it any more.
    scale : float (4,)
        From pixels of the small copy to those of the frame.
    ids : iterator of int
        Gives the id, once the face was found a second time.

    Attributes
    ----------
    box : float64 (4,) [px]
        In the small copy of the latest frame.
    n_detections : int
        How often it was looked for since it was found.
    n_shared : int
        Frames in a row, up to the latest, on which an older track had the same place; counted by the owner.
    """

    def __init__(
        self, box: np.ndarray, frames: Sequence[FrameOnTheWay], scale: np.ndarray, ids: Iterator[int]
    ) -> None:
        self.box = box
        self.n_detections = 0
        self.n_shared = 0
        self._scale, self._ids = scale, ids
        self._smoother: BoxSmoother | None = None  # none while the face waits to be found a second time
        self._until_detection = RETRY_INTERVAL
        self._since_detection = 0  # frames, including the latest, whose boxes came from flow alone
        self._unconfirmed = 0
        # not settled: a later detection may still change their boxes
        self._open = list(_follow_back(box, frames))[::-1]
        for frame, _ in self._open:
            frame.n_waiting += 1

    def follow(self, before: np.ndarray, frame: FrameOnTheWay) -> bool:
        """Move on to the next frame; False where the picture does not show the face any more.

        ``before`` is the small copy uint8 (h, w) of the frame before it.
        """
        moved = follow_box(before, frame.small, self.box)
        if moved is None:
            return False
        self.box = moved
        self._open.append((frame, moved))
        frame.n_waiting += 1
        self._since_detection += 1
        self._until_detection -= 1
        return True

    @property
    def is_due(self) -> bool:
        """Whether the face is to be looked for on the latest frame."""
        return self._until_detection <= 0

    def look(self, detector: FaceDetector) -> bool:
        """Look for the face near its box on the latest frame; False where it is lost."""
        near = detector.find_near(self._open[-1][0].small, self.box)
        self.n_detections += 1
        if near is not None:
            self._confirm(near)
            return True
        self._until_detection = RETRY_INTERVAL
        self._unconfirmed += self._since_detection
        self._since_detection = 0
        if self._smoother is None or self._unconfirmed >= MAX_UNCONFIRMED:
            return False
        self._settle()
        return True

    def end(self) -> None:
        """Let go of all frames; they keep the boxes of a face that was found twice."""
        if self._smoother is None:
            for frame, _ in self._open:
                frame.n_waiting -= 1
        else:
            self._settle()
            self._smoother.close()
        self._open.clear()

    def _confirm(self, near: np.ndarray) -> None:
        self._smoother = self._smoother or BoxSmoother(next(self._ids))
        error = DRIFT_GAIN * (near - self.box)
        n = self._since_detection
        first = len(self._open) - n
        for k in range(1, n + 1):
            frame, box = self._open[first + k - 1]
            self._open[first + k - 1] = (frame, box + error * (k / n))
        self.box = self.box + error
        self._until_detection = DETECTION_INTERVAL
        self._since_detection = self._unconfirmed = 0
        self._settle()

    def _settle(self) -> None:
        for frame, box in self._open:
            self._smoother.push(frame, box * self._scale)
        self._open.clear()


def _follow_back(
    box: np.ndarray, frames: Sequence[FrameOnTheWay]
) -> Iterator[tuple[FrameOnTheWay, np.ndarray]]:
    """Yield the last frame with ``box``, then earlier ones with where the face was, the latest first."""
    yield frames[-1], box
    for after, before in zip(frames[:0:-1], frames[-2::-1], strict=True):
        box = follow_box(after.small, before.small, box)
        if box is None:
            return
        yield before, box


class BoxSmoother:
    """``smooth_boxes`` along a track: a frame gets its box when those that the mean needs have come.

    Frames count as waiting from before they are pushed; each is let go with its box. Landmarks may follow the
    four numbers of a box: they are averaged too, and put where the face is in this frame, as the public lip
    readers do (``mean_face.smooth_landmarks``).
    """

    def __init__(self, face: int) -> None:
        self._face = face
        self._waiting: deque[FrameOnTheWay] = deque()
        self._boxes: list[np.ndarray] = []  # of the frames that wait, and of up to 6 before them

    def push(self, frame: FrameOnTheWay, box: np.ndarray) -> None:
        """Take the next frame of the track and its box, float (4,) or with landmarks (12,), in its pixels."""
        self._waiting.append(frame)
        self._boxes.append(box)
        if len(self._waiting) > SMOOTHING_HALF_WIDTH:
            centre = len(self._boxes) - 1 - SMOOTHING_HALF_WIDTH
            self._give(
                self._waiting.popleft(), smooth_boxes(np.array(self._boxes))[centre], self._boxes[centre]
            )
            if centre >= SMOOTHING_HALF_WIDTH:
                del self._boxes[0]

    def close(self) -> None:
        """End the track: its last frames get what is left of their windows."""
        n_left = len(self._waiting)
        smoothed = smooth_boxes(np.array(self._boxes))[-n_left:]
        for frame, box, own in zip(self._waiting, smoothed, self._boxes[-n_left:], strict=True):
            self._give(frame, box, own)
        self._waiting.clear()

    def _give(self, frame: FrameOnTheWay, smoothed: np.ndarray, own: np.ndarray) -> None:
        frame.faces.append((self._face, smoothed[:4]))
        if len(own) > 4:
            shape, there = (row[4:].reshape(-1, 2) for row in (smoothed, own))
            frame.points[self._face] = (shape - shape.mean(0) + there.mean(0)).astype(np.float32)
        frame.n_waiting -= 1
