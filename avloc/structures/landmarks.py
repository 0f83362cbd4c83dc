"""Landmarks of faces that somebody else found, by source frame.

Not among the names of ``avloc.structures``: it loads NumPy, which takes as long as all else that
``avloc --help`` needs.
"""

from dataclasses import dataclass

import numpy as np

MAX_FACES = 4  # at the same time, as many as a recording is analysed for
MAX_MISSING = 10  # source frames without landmarks that a face survives: 0.4 s at 25 Hz
MAX_ROWS = 5_000_000  # 55 hours of one face at 25 Hz; they travel to the decoding child in one message
LARGEST_FRAME = 1 << 53
LARGEST_PX = 1e5  # of a coordinate
GROUPS_OF_68 = (slice(36, 42), slice(42, 48), slice(31, 36), slice(48, 68))  # eyes, nostrils, lips


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkTrack:
    """Four landmarks of each face on each source frame.

    What is given is checked and brought into one form: sorted by face and then by frame, without the rows
    that have no face. Those are the rows in which any coordinate is NaN.

    Parameters
    ----------
    points : numbers (n, 4, 2) or (n, 68, 2) [px]
        x and y in the upright frame, as a player shows it. Four points: right eye, left eye (the person's
        right and left), nose tip, mouth centre. Or the usual 68 of a face, of
        which the means of points 36-41, 42-47, 31-35 and 48-67 are taken.
    frame : integers (n,)
        Source frame, counted from 0 in order of presentation; for each face they increase. Frames that are
        left out have no face, but up to ``MAX_MISSING`` in a row are filled in.
    face : integers (n,), optional
        Which face it is; all rows are one face without it.

    Attributes
    ----------
    points : float32 (m, 4, 2)
    frame : int64 (m,)
    face : int32 (m,)

    Raises
    ------
    ValueError
        If a shape, a type or a value is another, or there are more than ``MAX_FACES`` faces at one time,
        those that are filled in included.

    Examples
    --------
    >>> points = np.array([[[40, 50], [60, 50], [50, 60], [50, 70]]] * 3, dtype=np.float32)
    >>> points[1] = np.nan
    >>> LandmarkTrack(points, frame=np.arange(3)).frame.tolist()
    [0, 2]
    """

    points: np.ndarray
    frame: np.ndarray
    face: np.ndarray | None = None

    def __post_init__(self) -> None:
        points = _check_points(np.asarray(self.points))
        frame = _check_integers("frame", np.asarray(self.frame), len(points), LARGEST_FRAME)
        given = np.zeros(len(points), np.int32) if self.face is None else np.asarray(self.face)
        face = _check_integers("face", given, len(points), (1 << 31) - 1)
        order = np.argsort(face, kind="stable")
        same, step = np.diff(face[order]) == 0, np.diff(frame[order])
        if (wrong := np.flatnonzero(same & (step <= 0))).size:
            row = order[wrong[0] + 1]
            raise ValueError(
                f"frame increases from row to row of a face, got {frame[row]} after "
                f"{frame[order[wrong[0]]]} for face {face[row]}; sort the rows, and keep one a frame"
            )
        order = order[np.isfinite(points[order]).all(axis=(1, 2))]
        for name, value, kind in (
            ("points", points, np.float32),
            ("frame", frame, np.int64),
            ("face", face, np.int32),
        ):
            kept = value[order].astype(kind)
            kept.setflags(write=False)
            object.__setattr__(self, name, kept)
        self._check_number()

    def stretches(self) -> np.ndarray:
        """Bounds of the stretches of rows in which a face is not away for longer than ``MAX_MISSING``.

        Returns
        -------
        int64 (k, 2)
            First row, and the row after the last.
        """
        begins = np.ones(len(self.frame), dtype=bool)
        begins[1:] = (np.diff(self.face) != 0) | (np.diff(self.frame) > MAX_MISSING + 1)
        first = np.flatnonzero(begins)
        return np.stack([first, np.append(first, len(self.frame))[1:]], axis=1)

    def _check_number(self) -> None:
        """Refuse more faces at once than are analysed: whoever made the track knows which matter."""
        bounds = self.stretches()
        begins, ends = np.sort(self.frame[bounds[:, 0]]), np.sort(self.frame[bounds[:, 1] - 1])
        n_at_once = np.arange(1, len(begins) + 1) - np.searchsorted(ends, begins)
        if (many := np.flatnonzero(n_at_once > MAX_FACES)).size:
            raise ValueError(
                f"there are at most {MAX_FACES} faces at a time, got {n_at_once[many[0]]} at frame "
                f"{begins[many[0]]}; leave out all but the largest"
            )


def _check_points(points: np.ndarray) -> np.ndarray:
    """Give points (n, 4, 2) of what was given, NaN in every row without a face."""
    if points.ndim != 3 or points.shape[1] not in (4, 68) or points.shape[2] != 2:
        raise ValueError(f"points has the shape (n, 4, 2) or (n, 68, 2), got {points.shape}")
    if points.dtype.kind not in "fiu":
        raise ValueError(f"points holds real numbers, got {points.dtype}")
    if len(points) > MAX_ROWS:
        raise ValueError(f"there are at most {MAX_ROWS} rows, got {len(points)}; split the recording")
    if (np.abs(points) > LARGEST_PX).any():  # false for NaN
        raise ValueError(
            f"points lie within {LARGEST_PX:.0f} px and are finite, got {np.nanmax(np.abs(points))}; "
            "write NaN where there is no face"
        )
    if points.shape[1] == 4:
        return points
    return np.stack([points[:, group].mean(axis=1, dtype=np.float64) for group in GROUPS_OF_68], axis=1)


def _check_integers(name: str, values: np.ndarray, n: int, largest: int) -> np.ndarray:
    if values.shape != (n,):
        raise ValueError(f"{name} has an entry for each row of points, ({n},), got {values.shape}")
    if values.dtype.kind not in "iu":
        raise ValueError(f"{name} holds whole numbers of an integer type, got {values.dtype}")
    if n and not 0 <= int(values.min()) <= int(values.max()) <= largest:
        raise ValueError(f"{name} is counted from 0, got {values.min()} to {values.max()}")
    return values.astype(np.int64)
