"""Embeddings of a clip that the authors' own scripts of DiMoDif and AuViRe saved."""

import os
import zipfile
import zlib

import numpy as np

from avloc.errors import AnnotationError

KEYS = ("video_features", "audio_features")
MAX_BYTES = 1 << 30  # of an array: 97 hours of 768 numbers at 25 Hz in float32


def read_saved_features(
    path: str | os.PathLike, *, width: int = 768, n_frames: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read the embeddings of one clip and bring both streams to one length.

    Parameters
    ----------
    path : str or os.PathLike
        ``.npz`` with ``video_features`` (Tv, width) and ``audio_features`` (Ta, width) at 25 Hz, as
        ``numpy.savez`` writes them; a leading axis of length 1 is left out.
    width : int
        Numbers a frame.
    n_frames : int, optional
        Cut to this many frames too, as the public code does with what is longer than its window.

    Returns
    -------
    tuple of float32 (width, T)
        Of the picture and of the sound; T is the shorter of the two.

    Raises
    ------
    AnnotationError
        If the file cannot be read, or an array is missing, too large, of another shape or not finite.
    """
    name = os.fsdecode(path)
    try:
        with zipfile.ZipFile(name) as archive:
            sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
        if missing := [key for key in KEYS if key not in sizes]:
            raise AnnotationError(f"{name!r}: expected the arrays {KEYS}, {missing[0]!r} is missing")
        if large := [key for key in KEYS if sizes[key] > MAX_BYTES]:
            raise AnnotationError(f"{name!r}: {large[0]!r} has more than {MAX_BYTES} bytes")
        with np.load(name, allow_pickle=False) as arrays:
            pair = [_checked(name, key, arrays[key], width) for key in KEYS]
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        why = getattr(error, "strerror", None) or error
        raise AnnotationError(f"{name!r}: expected saved features (.npz): {why}") from error
    return to_one_length(*pair, n_frames=n_frames)


def to_one_length(
    visual: np.ndarray | None, audio: np.ndarray | None, *, n_frames: int | None = None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Cut embeddings (Tv, C) and (Ta, C) to the shorter of the two, and to ``n_frames``: float32 (C, T).

    A stream that is absent, None, stays absent.
    """
    there = [rows for rows in (visual, audio) if rows is not None]
    last = min([len(rows) for rows in there] + ([] if n_frames is None else [n_frames]), default=0)
    visual, audio = (
        None if rows is None else np.ascontiguousarray(rows[:last].T, dtype=np.float32)
        for rows in (visual, audio)
    )
    return visual, audio


def _checked(name: str, key: str, rows: np.ndarray, width: int) -> np.ndarray:
    rows = rows[0] if rows.ndim == 3 and len(rows) == 1 else rows
    if rows.ndim != 2 or rows.shape[1] != width or rows.dtype.kind != "f":
        raise AnnotationError(f"{name!r}: {key!r} must be floats (T, {width}), got {rows.dtype} {rows.shape}")
    rows = rows.astype(np.float32)
    if not np.isfinite(rows).all():
        raise AnnotationError(f"{name!r}: {key!r} holds NaN or infinity")
    return rows
