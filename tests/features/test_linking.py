"""Ids of faces along pictures."""

import numpy as np

from avloc.features.linking import FaceLinker
from avloc.structures.landmarks import MAX_FACES, MAX_MISSING, LandmarkTrack

FACE = np.array([[40.0, 50], [60, 50], [50, 60], [50, 70]])
NOBODY = np.zeros((0, 4, 2))


def test_a_face_keeps_its_id_while_it_moves_and_is_away_for_a_moment():
    linker = FaceLinker()
    assert linker(0, FACE[None]).tolist() == [0]
    assert linker(1, FACE[None] + 5).tolist() == [0]
    assert linker(2, NOBODY).tolist() == []
    assert linker(2 + MAX_MISSING, FACE[None] + 9).tolist() == [0]
    assert linker(4 + 2 * MAX_MISSING, FACE[None] + 9).tolist() == [1]


def test_a_face_elsewhere_is_another():
    linker = FaceLinker()
    linker(0, FACE[None])
    assert linker(1, np.stack([FACE + (60, 0), FACE + (3, 0)])).tolist() == [1, 0]


def test_of_two_that_are_near_each_goes_on_as_itself():
    linker = FaceLinker()
    two = np.stack([FACE, FACE + (30, 0)])
    assert linker(0, two).tolist() == [0, 1]
    assert linker(1, two[::-1] + (4, 0)).tolist() == [1, 0]


def test_no_more_are_followed_than_a_track_may_hold_and_the_largest_first():
    linker, n = FaceLinker(), MAX_FACES + 2
    sizes = np.array([1.0, 3.0, 0.5, 2.0, 1.5, 0.7])
    crowd = FACE * sizes[:, None, None] + np.arange(n)[:, None, None] * np.array([500.0, 0.0])
    assert linker(0, crowd).tolist() == [3, 0, -1, 1, 2, -1]
    rows = [
        (i, frame, face) for frame in range(9) for i, face in enumerate(linker(frame + 1, crowd)) if face >= 0
    ]
    index, frame, face = np.array(rows).T
    assert len(LandmarkTrack(crowd[index], frame, face).stretches()) == MAX_FACES
    assert linker(10, crowd[:1] + 3000).tolist() == [-1]  # the others may come back
    assert linker(12 + MAX_MISSING, crowd[:1] + 3000).tolist() == [4]
