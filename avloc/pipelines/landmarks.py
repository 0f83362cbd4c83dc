"""Landmarks of the faces of a recording, for networks whose mouths are warped by them, found by MediaPipe."""

import importlib.util
import logging
from collections.abc import Callable
from contextlib import closing

import numpy as np

from avloc.errors import CheckpointError, UnreadableMediaError
from avloc.features.linking import FaceLinker
from avloc.features.mediapipe import INSTALL, FaceLandmarker
from avloc.media.protocol import LANDMARK_CROP
from avloc.media.supervisor import Limits
from avloc.media.whole import stream_frames
from avloc.structures import Reason, Recording
from avloc.structures.landmarks import LandmarkTrack

__all__ = ["LANDMARK_CROP", "check_finder", "find_landmarks", "make_track"]

logger = logging.getLogger(__name__)

CONTEXT_FRAMES = 25  # smoothing reaches 6 frames, and the longest gap that is closed is shorter than the rest


def check_finder(name: str) -> None:
    """Refuse weights ``name`` with a CheckpointError where no landmarks can be found for them."""
    if importlib.util.find_spec("mediapipe") is None:
        raise CheckpointError(
            f"{name!r} reads mouths that are warped by landmarks, which a face box cannot stand for; run "
            f"{INSTALL}, or give landmarks made elsewhere with --tracks FILE"
        )


def find_landmarks(
    recording: Recording, *, limits: Limits | None = None, frames: tuple[int, int | None] = (0, None)
) -> LandmarkTrack:
    """Find four landmarks of every face: with the model for far faces, or else with that for near ones.

    Looks at every source frame that is shown on the grid of 25 a second; parameters are those of
    ``make_track``.

    Raises
    ------
    ModuleNotFoundError
        If MediaPipe is not installed; the message says how to.
    UnreadableMediaError
        If the recording cannot be decoded.
    """
    track = make_track(recording, FaceLandmarker(), limits=limits, frames=frames)
    if len(track.frame):
        return track
    return make_track(recording, FaceLandmarker(near=True), limits=limits, frames=frames)


def make_track(
    recording: Recording,
    find: Callable[[np.ndarray], np.ndarray],
    *,
    limits: Limits | None = None,
    frames: tuple[int, int | None] = (0, None),
) -> LandmarkTrack:
    """Link the faces that ``find`` gives, float (n, 4, 2) px, along the source frames of a recording.

    Parameters
    ----------
    recording : Recording
    find : callable
        From a picture, uint8 (H, W, 3).
    limits : Limits, optional
        Caps; what lies behind one is not looked at, and analysing the recording tells of it.
    frames : (int, int or None) [frames of 25 Hz]
        The part that will be analysed. It is looked at with ``CONTEXT_FRAMES`` more on each side, so that
        landmarks are smoothed and gaps closed as in the whole.
    """
    first, last = max(0, frames[0] - CONTEXT_FRAMES), frames[1]
    part = (first, None if last is None else last + CONTEXT_FRAMES)
    linker, seen = FaceLinker(), -1  # which is no frame
    rows: list[tuple[np.ndarray, int, int]] = []
    try:
        with closing(stream_frames(recording, limits=limits, frames=part)) as pictures:
            for source, picture in pictures:
                if source == seen:
                    continue
                seen, points = source, find(picture)
                named = zip(points, linker(source, points).tolist(), strict=True)
                rows += [(face, source, number) for face, number in named if number >= 0]
    except UnreadableMediaError as error:
        if error.reason != Reason.LIMIT_REACHED:
            raise
        logger.warning("%r: limit reached: %s", recording.path, error.message)
    return LandmarkTrack(
        np.array([face for face, _, _ in rows]).reshape(-1, 4, 2),
        frame=np.array([source for _, source, _ in rows], dtype=np.int64),
        face=np.array([number for _, _, number in rows], dtype=np.int64),
    )
