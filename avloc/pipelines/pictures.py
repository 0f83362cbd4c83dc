"""The mouths of all faces along a recording, and those of one window as pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from avloc.media.decode import VideoBlock
from avloc.pipelines.measures import FaceMeasures, FaceRows
from avloc.pipelines.stream_buffer import StreamBuffer
from avloc.pipelines.windows import MIN_STREAM_FRAMES, Window

CROP = "mouth96_box"


@dataclass(frozen=True, slots=True)
class Picture:
    """Faces of a window of which no two show at once, as one picture.

    ``mouth`` uint8 (n, 96, 96), zeros without a face; ``face`` int (n,) the id shown in each frame, or -1.
    """

    mouth: np.ndarray
    face: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        """Frames with a face, bool (n,)."""
        return self.face >= 0


class Pictures:
    """Holds the mouth crops of every face as long as a later window needs them.

    Parameters
    ----------
    measures : FaceMeasures
        Told of every block and every new frame; says which faces are good enough for a score.
    """

    def __init__(self, measures: FaceMeasures) -> None:
        self._measures = measures
        self._mouths: dict[int, StreamBuffer] = {}
        self._areas: dict[int, StreamBuffer] = {}

    @property
    def n_held(self) -> int:
        """Frames in memory, of the face with most."""
        return max((mouth.n_held for mouth in self._mouths.values()), default=0)

    def push(self, block: VideoBlock) -> None:
        """Take the faces of a block."""
        self._measures.push_block(block)
        for faces in block.faces:
            mouth = self._mouths.setdefault(faces.face, StreamBuffer())
            area = self._areas.setdefault(faces.face, StreamBuffer())
            mouth.append(block.start_frame, faces.crops[CROP])
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
        rows = [self._rows(face, window, ended=ended) for face in sorted(self._mouths)]
        n_known = window.new_start - window.start
        self._measures.push_new(window.new_start, [row.after(n_known) for row in rows])
        return merge_rows(row for row in rows if row.kept.any())

    def drop_before(self, frame: int) -> None:
        """Forget what ends before a frame of the grid."""
        for face in [face for face, mouth in self._mouths.items() if mouth.end <= frame]:
            del self._mouths[face], self._areas[face]
        for buffer in (*self._mouths.values(), *self._areas.values()):
            buffer.drop_before(frame)

    def _rows(self, face: int, window: Window, *, ended: bool) -> FaceRows:
        area = self._areas[face].take(window.start, window.end)
        kept = self._measures.usable(face, area, ended=ended)
        rows = np.flatnonzero(kept)
        first, last = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
        mouth = self._mouths[face].take(window.start + first, window.start + last)
        return FaceRows(face, area, kept, first, mouth)


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
    mouth, shown = np.zeros_like(pictures[0].mouth), np.full(len(frames), -1, np.int64)
    for picture in pictures:
        rows = frames & picture.seen & (True if face is None else picture.face == face)
        mouth[rows], shown[rows] = picture.mouth[rows], picture.face[rows]
    return Picture(mouth, shown) if (shown >= 0).sum() >= MIN_STREAM_FRAMES else None


def merge_rows(rows: Iterable[FaceRows]) -> tuple[Picture, ...]:
    """Put faces that do not show at once into one picture, in order of their first frames.

    A picture with less than half a second of faces is left out: it is no ground for a score.
    """
    pictures: list[Picture] = []
    for row in sorted(rows, key=lambda row: (int(np.argmax(row.kept)), row.face)):
        free = next((picture for picture in pictures if not (picture.seen & row.kept).any()), None)
        if free is None:
            n_frames = len(row.kept)
            free = Picture(
                np.zeros((n_frames, *row.mouth.shape[1:]), np.uint8), np.full(n_frames, -1, np.int64)
            )
            pictures.append(free)
        free.mouth[row.kept] = row.mouth[np.flatnonzero(row.kept) - row.start]
        free.face[row.kept] = row.face
    return tuple(picture for picture in pictures if picture.seen.sum() >= MIN_STREAM_FRAMES)
