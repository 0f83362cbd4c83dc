"""FaceLinker: which face of a picture is which of the pictures before. NumPy only."""

import numpy as np

from avloc.features.face_detection import overlap
from avloc.features.landmarks import boxes_from_landmarks
from avloc.structures.landmarks import MAX_FACES, MAX_MISSING

LEAST_OVERLAP = 0.2  # IoU of the boxes of one face on two pictures


class FaceLinker:
    """Give an id to every face, so that they make a ``LandmarkTrack``.

    A face is the one whose last box overlaps its own most. It is forgotten after ``MAX_MISSING`` frames; at
    most ``MAX_FACES`` are remembered, the ones that came first, and of those that come together the largest.

    Examples
    --------
    >>> face = np.array([[40.0, 50], [60, 50], [50, 60], [50, 70]])
    >>> linker = FaceLinker()
    >>> linker(0, np.stack([face, face + 200])).tolist(), linker(1, np.stack([face + 201, face])).tolist()
    ([0, 1], [1, 0])
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, np.ndarray]] = {}  # frame and box by id
        self._n_ids = 0

    def __call__(self, frame: int, points: np.ndarray) -> np.ndarray:
        """Name the faces of the next picture.

        Parameters
        ----------
        frame : int
            Source frame, larger than the last one.
        points : float (n, 4, 2) [px]
            As of ``LandmarkTrack``.

        Returns
        -------
        int64 (n,)
            Ids from 0 on; -1 for a face that there is no room for.
        """
        boxes = boxes_from_landmarks(points)
        ids = np.full(len(boxes), -1, dtype=np.int64)
        self._last = {k: v for k, v in self._last.items() if frame - v[0] <= MAX_MISSING + 1}
        pairs = [
            (overlap(box, last), k, i) for i, box in enumerate(boxes) for k, (_, last) in self._last.items()
        ]
        for share, known, i in sorted(pairs, key=lambda pair: (-pair[0], pair[1:])):
            if share >= LEAST_OVERLAP and ids[i] < 0 and known not in ids:
                ids[i] = known
        for i in np.argsort(-boxes[:, 2], kind="stable"):
            if ids[i] < 0 and len(self._last) < MAX_FACES:
                ids[i] = self._n_ids
                self._n_ids += 1
                self._last[int(ids[i])] = frame, boxes[i]
        self._last |= {int(k): (frame, boxes[i]) for i, k in enumerate(ids) if k >= 0}
        return ids
