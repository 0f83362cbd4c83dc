"""Write the landmarks of the faces of a recording as a file for ``avloc localize --tracks``.

python tools/make_tracks.py clip.mp4 clip.npz

Needs MediaPipe: pip install 'avloc[face]'. Looks at every source frame that is shown on the grid of 25 a
second, with the model for far faces; if no frame at all has a face, with that for near ones.
"""

import argparse
from collections.abc import Callable

import numpy as np

from avloc.features.linking import FaceLinker
from avloc.features.mediapipe import FaceLandmarker
from avloc.media.decode import Decoder, VideoBlock
from avloc.media.probe import open_recording
from avloc.media.whole import stream_frames
from avloc.structures import Recording
from avloc.structures.landmarks import LandmarkTrack


def make_track(recording: Recording, find: Callable[[np.ndarray], np.ndarray]) -> LandmarkTrack:
    """Link the faces that ``find`` gives, float (n, 4, 2) px, along the source frames of a recording."""
    blocks = [block for block in Decoder(recording, crops=()) if isinstance(block, VideoBlock)]
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


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video")
    parser.add_argument("out", metavar="OUT.npz")
    options = parser.parse_args(arguments)
    recording = open_recording(options.video)
    track = make_track(recording, FaceLandmarker())
    if not len(track.frame):
        track = make_track(recording, FaceLandmarker(near=True))
    with open(options.out, "wb") as file:  # the name as it was given
        np.savez_compressed(file, points=track.points, frame=track.frame, face=track.face)
    n_faces = len(np.unique(track.face))
    print(f"{options.out}: {len(np.unique(track.frame))} frames with a face, {n_faces} faces")


if __name__ == "__main__":
    main()
