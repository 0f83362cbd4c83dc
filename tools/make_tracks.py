"""Write the landmarks of the faces of a recording as a file for ``avloc localize --tracks``.

python tools/make_tracks.py clip.mp4 clip.npz

Needs MediaPipe: pip install 'avloc[face]'. Looks at every source frame that is shown on the grid of 25 a
second, with the model for far faces; if no frame at all has a face, with that for near ones.
"""

import argparse

import numpy as np

from avloc.media.probe import open_recording
from avloc.pipelines.landmarks import find_landmarks, make_track  # noqa: F401 - for other detectors


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video")
    parser.add_argument("out", metavar="OUT.npz")
    options = parser.parse_args(arguments)
    recording = open_recording(options.video)
    track = find_landmarks(recording)
    with open(options.out, "wb") as file:  # the name as it was given
        np.savez_compressed(file, points=track.points, frame=track.frame, face=track.face)
    n_faces = len(np.unique(track.face))
    print(f"{options.out}: {len(np.unique(track.frame))} frames with a face, {n_faces} faces")


if __name__ == "__main__":
    main()
