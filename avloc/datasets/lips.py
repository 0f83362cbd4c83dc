"""Contours of the lips of talking faces, found in the full pictures, in pixels of the mouth crop."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from avloc.datasets.talking_faces import FaceClip
from avloc.features.crops import MOUTH_CROP_PX, crop_to_frame, cut_face, mouth_square
from avloc.media.whole import read_frames

VERSION = "1"  # part of the cache's names: raise it when the contours are found in another way
N_LIP_POINTS = 40  # outer contour, then inner contour, 20 points each from corner to corner and back
# The same point of a mirrored mouth: corners change sides, above stays above.
MIRRORED_LIPS = np.array([20 * ring + (10 - k) % 20 for ring in range(2) for k in range(20)])

FindLips = Callable[[np.ndarray], np.ndarray]


def read_lips(clip: FaceClip, folder: Path, make_finder: Callable[[], FindLips] | None) -> np.ndarray | None:
    """Give the lips of a clip, from the cache or, where they are not there yet, by a landmark model.

    Parameters
    ----------
    clip : FaceClip
        The clip; its file is read again, in colour.
    folder : Path
        Cache, one ``.npy`` a clip.
    make_finder : callable or None
        Gives what finds the lips (40, 2) px along the pictures of one clip, as
        ``features.mediapipe.LipLandmarker`` does; None: only what is in the cache.

    Returns
    -------
    np.ndarray [shape=(T, 40, 2), float32, px of the mouth crop] or None
        NaN where no lips were found; None if they are unknown.
    """
    file = folder / f"{clip.entry.sha256[:24]}-lips-v{VERSION}.npy"
    if file.exists():
        return np.load(file)
    if make_finder is None:
        return None
    lips = find_lips(clip, make_finder())
    folder.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part.npy")
    np.save(part, lips)
    part.replace(file)
    return lips


def find_lips(clip: FaceClip, find: FindLips) -> np.ndarray:
    """Find the lips on every picture of a clip that shows its face; as ``read_lips`` gives them."""
    lips = np.full((clip.n_frames, N_LIP_POINTS, 2), np.nan, dtype=np.float32)
    pictures, _ = read_frames(clip.entry.path)
    for t in np.flatnonzero(clip.present)[: len(pictures)]:
        if t >= len(pictures):
            break
        around, left, top, scale = cut_face(pictures[t], clip.boxes[t])
        square = crop_to_frame(mouth_square(clip.boxes[t]), MOUTH_CROP_PX)
        in_frame = find(around) / scale + (left, top)
        lips[t] = (in_frame - square[:2, 2]) / square[0, 0]
    return lips
