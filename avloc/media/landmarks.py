"""Landmark tracks made elsewhere: an ``.npz`` file beside a recording, as a LandmarkTrack."""

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from avloc.errors import AnnotationError, UnreadableMediaError
from avloc.structures.landmarks import LandmarkTrack

MAX_ARRAY_BYTES = 1 << 30  # 22 hours of one face of 68 points at 25 Hz in float32
NEEDED, OPTIONAL = ("points", "frame"), "face"


def read_landmarks(path: str | os.PathLike) -> LandmarkTrack:
    """Read the landmarks of one recording.

    Parameters
    ----------
    path : str or os.PathLike
        ``.npz`` with the arrays ``points``, ``frame`` and, if it likes, ``face``, as of ``LandmarkTrack``.
        Others are left alone.

    Raises
    ------
    AnnotationError
        If the file cannot be read, or an array is missing, too large or wrong; the message names both.

    Examples
    --------
    >>> import tempfile
    >>> points = np.array([[[40, 50], [60, 50], [50, 60], [50, 70]]] * 3, dtype=np.float32)
    >>> with tempfile.NamedTemporaryFile(suffix=".npz") as file:
    ...     np.savez(file, points=points, frame=np.arange(3))
    ...     read_landmarks(file.name).points.shape
    (3, 4, 2)
    """
    name = os.fsdecode(path)
    if not os.path.isfile(name):  # a pipe would be waited for
        got = "a folder" if os.path.isdir(name) else "none"
        raise AnnotationError(f"{name!r}: expected a file of landmarks (.npz), got {got}; check the path")
    try:
        arrays = _load(name)
        return LandmarkTrack(**arrays)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        why = getattr(error, "strerror", None) or error
        raise AnnotationError(f"{name!r}: expected landmarks as numpy.savez writes them: {why}") from error
    # An encrypted archive or an unknown compression is a RuntimeError; a shape beyond memory may be claimed.
    except (ValueError, RuntimeError, MemoryError) as error:
        raise AnnotationError(f"{name!r}: {error}") from error


def track_file(folder: Path, id: str) -> Path:
    """Say where the landmarks of a recording lie in a folder of them.

    Examples
    --------
    >>> track_file(Path("tracks"), "test/1.mp4").as_posix()
    'tracks/test/1.npz'
    """
    return folder / Path(id).with_suffix(".npz")


def landmarks_of(recording: str | os.PathLike, track: Path) -> LandmarkTrack:
    """Read the landmarks of one of many recordings: what is wrong with them is told as its own failure.

    Raises
    ------
    UnreadableMediaError
        ``not_found`` or ``unrecognised``.
    """
    if not track.is_file():
        raise UnreadableMediaError(
            recording, f"there are no landmarks {str(track)!r}; give them", reason="not_found"
        )
    try:
        return read_landmarks(track)
    except AnnotationError as error:
        raise UnreadableMediaError(recording, str(error), reason="unrecognised") from error


def _load(name: str) -> dict[str, np.ndarray]:
    """Load the arrays that are needed; their sizes are known before memory is taken."""
    with zipfile.ZipFile(name) as archive:
        sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
    wanted = [key for key in (*NEEDED, OPTIONAL) if key in sizes]
    if missing := [key for key in NEEDED if key not in sizes]:
        found = ", ".join(sorted(sizes))[:200] or "nothing"
        raise ValueError(f"expected the arrays points and frame, got {found}; add {' and '.join(missing)}")
    if large := [key for key in wanted if sizes[key] > MAX_ARRAY_BYTES]:
        raise ValueError(
            f"{large[0]} has {sizes[large[0]]} bytes, at most {MAX_ARRAY_BYTES} are read; write float32"
        )
    with np.load(name, allow_pickle=False) as archive:
        return {key: _read(archive, key) for key in wanted}


def _read(archive: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
    try:
        return archive[key]
    except ValueError as error:
        raise ValueError(f"{key} is no array of numbers: {error}") from error
