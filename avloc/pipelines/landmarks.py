"""Landmarks of the faces of a recording, for networks whose mouths are warped by them, found by MediaPipe."""

import importlib.util
from collections.abc import Callable

import numpy as np

from avloc.errors import CheckpointError
from avloc.features.linking import FaceLinker
from avloc.features.mediapipe import INSTALL, FaceLandmarker
from avloc.media.decode import Decoder, VideoBlock
from avloc.media.protocol import LANDMARK_CROP
from avloc.media.supervisor import Limits
from avloc.media.whole import stream_frames
from avloc.structures import Recording
from avloc.structures.landmarks import LandmarkTrack

__all__ = ["LANDMARK_CROP", "check_finder", "find_landmarks", "make_track"]


def check_finder(name: str) -> None:
    """Refuse weights ``name`` with a CheckpointError where no landmarks can be found for them."""
    if importlib.util.find_spec("mediapipe") is None:
        raise CheckpointError(
            f"{name!r} reads mouths that are warped by landmarks, which a face box cannot stand for; run "
            f"{INSTALL}, or give landmarks made elsewhere with --tracks FILE"
        )


def find_landmarks(recording: Recording, *, limits: Limits | None = None) -> LandmarkTrack:
    """Find four landmarks of every face: with the model for far faces, or else with that for near ones.

    Looks at every source frame that is shown on the grid of 25 a second.

    Raises
    ------
    ModuleNotFoundError
        If MediaPipe is not installed; the message says how to.
    UnreadableMediaError
        If the recording cannot be decoded.
    """
    track = make_track(recording, FaceLandmarker(), limits=limits)
    return track if len(track.frame) else make_track(recording, FaceLandmarker(near=True), limits=limits)


def make_track(
    recording: Recording, find: Callable[[np.ndarray], np.ndarray], *, limits: Limits | None = None
) -> LandmarkTrack:
    """Link the faces that ``find`` gives, float (n, 4, 2) px, along the source frames of a recording."""
    blocks = [block for block in Decoder(recording, crops=(), limits=limits) if isinstance(block, VideoBlock)]
    sources = np.concatenate([block.source_index for block in blocks]).tolist()
    linker, last = FaceLinker(), -1  # which is no frame
    rows: list[tuple[np.ndarray, int, int]] = []
    for source, picture in zip(sources, stream_frames(recording), strict=True):
        if source == last:
            continue
        last, points = source, find(picture)
        named = zip(points, linker(source, points).tolist(), strict=True)
        rows += [(face, source, number) for face, number in named if number >= 0]
    return LandmarkTrack(
        np.array([face for face, _, _ in rows]).reshape(-1, 4, 2),
        frame=np.array([source for _, source, _ in rows], dtype=np.int64),
        face=np.array([number for _, _, number in rows], dtype=np.int64),
    )
