"""The crops of all faces along a recording, and those of one window as pictures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avloc.media.decode import VideoBlock
from avloc.pipelines.measures import FaceMeasures, FaceRows
from avloc.pipelines.stream_buffer import StreamBuffer
from avloc.pipelines.windows import MIN_STREAM_FRAMES, Window


@dataclass(frozen=True, slots=True)
class Picture:
    """Faces of a window of which no two show at once, as one picture.

    ``crops`` uint8 (n, H, W) by name, zeros without a face; ``face`` int (n,) the id of each frame, or -1.
    """

    crops: Mapping[str, np.ndarray]
    face: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        """Frames with a face, bool (n,)."""
        return self.face >= 0


class Pictures:
    """Holds the crops of every face as long as a later window needs them.

    Parameters
    ----------
    measures : FaceMeasures
        Told of every block and every new frame; says which faces are good enough for a score.
    """

    def __init__(self, measures: FaceMeasures) -> None:
        self._measures = measures
        self._crops: dict[int, dict[str, StreamBuffer]] = {}
        self._areas: dict[int, StreamBuffer] = {}

    @property
    def n_held(self) -> int:
        """Frames in memory, of the face with most."""
        return max((area.n_held for area in self._areas.values()), default=0)

    def push(self, block: VideoBlock) -> None:
        """Take the faces of a block."""
        self._measures.push_block(block)
        for faces in block.faces:
            buffers = self._crops.setdefault(faces.face, {name: StreamBuffer() for name in faces.crops})
            area = self._areas.setdefault(faces.face, StreamBuffer())
            for name, crop in faces.crops.items():
                buffers[name].append(block.start_frame, crop)
            size = faces.boxes[:, 2] * faces.boxes[:, 3]
            area.append(block.start_frame, np.where(faces.present, size, 0.0).astype(np.float32))

    def take(self, window: Window, *, ended: bool) -> tuple[Picture, ...]:
        """Give the usable faces of a window.

        Parameters
        ----------
        window : Window
            Windows are taken in order.
        ended : bool
            No frame follows the window.

        Returns
        -------
        tuple of Picture
            As few as can be: faces that show one after the other share one.
        """
        rows = [self._rows(face, window, ended=ended) for face in sorted(self._areas)]
        n_known = window.new_start - window.start
        self._measures.push_new(window.new_start, [row.after(n_known) for row in rows])
        return merge_rows(row for row in rows if row.kept.any())

    def drop_before(self, frame: int) -> None:
        """Forget what ends before a frame of the grid."""
        for face in [face for face, area in self._areas.items() if area.end <= frame]:
            del self._crops[face], self._areas[face]
        for face, area in self._areas.items():
            for buffer in (area, *self._crops[face].values()):
                buffer.drop_before(frame)

    def _rows(self, face: int, window: Window, *, ended: bool) -> FaceRows:
        area = self._areas[face].take(window.start, window.end)
        kept = self._measures.usable(face, area, ended=ended)
        rows = np.flatnonzero(kept)
        first, last = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
        span = (window.start + first, window.start + last)
        crops = {name: crop.take(*span) for name, crop in self._crops[face].items()}
        return FaceRows(face, area, kept, first, crops)


def select_faces(
    pictures: Sequence[Picture], frames: np.ndarray, face: np.ndarray | None = None
) -> Picture | None:
    """Put some frames of pictures into one, or give None where they are too few for a score.

    Parameters
    ----------
    pictures : sequence of Picture
        Where to take them from.
    frames : bool (n,)
        Which frames.
    face : int (n,), optional
        Which face of each frame; without it whichever shows.
    """
    together = _nobody(pictures[0].crops, len(frames))
    for picture in pictures:
        rows = frames & picture.seen & (True if face is None else picture.face == face)
        _show(together, rows, picture.crops, rows, picture.face[rows])
    return together if together.seen.sum() >= MIN_STREAM_FRAMES else None


def merge_rows(rows: Iterable[FaceRows]) -> tuple[Picture, ...]:
    """Put faces that do not show at once into one picture, in order of their first frames.

    A picture with less than half a second of faces is left out: it is no ground for a score.
    """
    pictures: list[Picture] = []
    for row in sorted(rows, key=lambda row: (int(np.argmax(row.kept)), row.face)):
        free = next((picture for picture in pictures if not (picture.seen & row.kept).any()), None)
        if free is None:
            free = _nobody(row.crops, len(row.kept))
            pictures.append(free)
        rows = np.flatnonzero(row.kept)
        _show(free, rows, row.crops, rows - row.start, row.face)
    return tuple(picture for picture in pictures if picture.seen.sum() >= MIN_STREAM_FRAMES)


def _nobody(like: Mapping[str, np.ndarray], n_frames: int) -> Picture:
    """Give a picture with crops as ``like`` that shows no face yet."""
    crops = {name: np.zeros((n_frames, *crop.shape[1:]), np.uint8) for name, crop in like.items()}
    return Picture(crops, np.full(n_frames, -1, np.int64))


def _show(
    picture: Picture,
    frames: np.ndarray,
    crops: Mapping[str, np.ndarray],
    rows: np.ndarray,
    face: np.ndarray | int,
) -> None:
    """Put ``rows`` of crops and the ids of their faces into ``frames`` of a picture."""
    for name, crop in crops.items():
        picture.crops[name][frames] = crop[rows]
    picture.face[frames] = face
