"""Tracks of given landmarks: gaps, cuts, several faces, and frames that show other source frames."""

import numpy as np
import pytest

from avloc.features.crops import smooth_boxes
from avloc.features.face import TrackedFrame
from avloc.features.landmarks import boxes_from_landmarks
from avloc.features.sidecar import SidecarTracker
from avloc.structures.landmarks import MAX_MISSING, LandmarkTrack

SIZE = (96, 64)
FACE = np.array([[30.0, 20], [46, 20], [38, 28], [38, 36]])


def moving(frames: np.ndarray, step: float = 0.25) -> np.ndarray:
    return FACE + np.asarray(frames)[:, None, None] * np.array([step, 0.0])


def pictures(*lengths: int) -> list[np.ndarray]:
    """Shots of noise, a picture each."""
    shots = [np.random.default_rng(i).integers(0, 256, SIZE[::-1]).astype(np.uint8) for i in range(9)]
    return [shot.copy() for shot, n in zip(shots, lengths, strict=False) for _ in range(n)]


def follow(landmarks: LandmarkTrack, frames: list[np.ndarray], sources=None) -> list[TrackedFrame]:
    tracker, found = SidecarTracker(SIZE, landmarks=landmarks), []
    sources = range(len(frames)) if sources is None else sources
    for index, (frame, source) in enumerate(zip(frames, sources, strict=True)):
        found += tracker.push(frame, index, source)
        assert index + 1 - len(found) <= 3 + MAX_MISSING + 1 + 6
    found += tracker.finish()
    assert [f.grid_index for f in found] == list(range(len(frames)))
    assert all(f.frame_gray is frame for f, frame in zip(found, frames, strict=True))
    assert all(box.dtype == np.float32 and box.shape == (4,) for f in found for _, box in f.faces)
    return found


def there(found: list[TrackedFrame]) -> dict[int, list[int]]:
    """On which frames each track is."""
    seen: dict[int, list[int]] = {}
    for f in found:
        for face, _ in f.faces:
            seen.setdefault(face, []).append(f.grid_index)
    return seen


def boxes_of(found: list[TrackedFrame], face: int) -> np.ndarray:
    return np.array([box for f in found for identity, box in f.faces if identity == face])


def test_boxes_are_those_of_the_landmarks_made_smooth():
    points = moving(np.arange(40)) + np.random.default_rng(0).normal(0, 1, (40, 4, 2))
    found = follow(LandmarkTrack(points, frame=np.arange(40)), pictures(50))
    assert there(found) == {0: list(range(40))}
    expected = smooth_boxes(boxes_from_landmarks(points.astype(np.float32)))
    np.testing.assert_allclose(boxes_of(found, 0), expected, atol=1e-3)


def test_a_short_gap_is_filled_evenly_and_a_long_one_ends_the_track():
    away = [*range(10, 10 + MAX_MISSING), *range(40, 41 + MAX_MISSING)]
    frame = np.setdiff1d(np.arange(70), away)
    found = follow(LandmarkTrack(moving(frame), frame=frame), pictures(70))
    assert there(found) == {0: list(range(40)), 1: list(range(41 + MAX_MISSING, 70))}
    np.testing.assert_allclose(boxes_of(found, 0), boxes_from_landmarks(moving(np.arange(40))), atol=1e-3)


def test_rows_of_nan_are_gaps():
    points = moving(np.arange(30))
    points[5:9] = np.nan
    points[20:] = np.nan
    assert there(follow(LandmarkTrack(points, frame=np.arange(30)), pictures(30))) == {0: list(range(20))}


def test_a_cut_ends_the_tracks_of_all_faces():
    frame, face = np.tile(np.arange(40), 2), np.repeat([8, 3], 40)
    points = np.concatenate([moving(np.arange(40)), moving(np.arange(40)) + (40, 0)])
    found = follow(LandmarkTrack(points, frame, face), pictures(25, 15))
    first, second = list(range(25)), list(range(25, 40))
    assert [f.grid_index for f in found if f.cut] == [25]
    assert there(found) == {0: first, 1: first, 2: second, 3: second}
    # in the order of the ids that were given
    assert boxes_of(found, 0)[0, 0] > boxes_of(found, 1)[0, 0]


@pytest.mark.parametrize("cut", [11, 14, 15])
def test_nothing_is_filled_in_across_a_cut(cut):
    """Rows 10 and 15 are of two shots: the face may be anywhere between."""
    frame = np.setdiff1d(np.arange(30), range(11, 15))
    points = moving(frame)
    points[frame >= 15] += (30, 0)
    found = follow(LandmarkTrack(points, frame=frame), pictures(cut, 30 - cut))
    assert there(found) == {0: list(range(11)), 1: list(range(15, 30))}
    np.testing.assert_allclose(boxes_of(found, 0), boxes_from_landmarks(points[:11]), atol=1e-3)
    np.testing.assert_allclose(boxes_of(found, 1), boxes_from_landmarks(points[11:]), atol=1e-3)


def test_a_gap_behind_a_cut_is_filled():
    frame = np.setdiff1d(np.arange(30), range(12, 15))
    found = follow(LandmarkTrack(moving(frame), frame=frame), pictures(11, 19))
    assert there(found) == {0: list(range(11)), 1: list(range(11, 30))}


@pytest.mark.parametrize(
    ("sources", "step"),
    [
        (np.arange(0, 100, 2), 2),  # 50 frames a second
        (np.repeat(np.arange(25), 2), 1),  # 12.5 frames a second
        (np.arange(100, 150), 1),  # a part
    ],
)
def test_faces_are_found_by_source_frame(sources, step):
    frame = np.setdiff1d(np.arange(160), [sources[20], sources[20] + 1])
    frames = pictures(50)
    for i in np.flatnonzero(np.diff(sources) == 0):
        frames[i + 1] = frames[i]
    found = follow(LandmarkTrack(moving(frame, 0.05), frame=frame), frames, sources.tolist())
    assert there(found) == {0: list(range(50))}
    expected = smooth_boxes(boxes_from_landmarks(moving(sources, 0.05)))
    np.testing.assert_allclose(boxes_of(found, 0), expected, atol=1e-3)


def test_a_part_that_begins_and_ends_in_a_gap_is_filled():
    frame = np.array([0, 8, 9, 10, 11, 20])
    found = follow(LandmarkTrack(moving(frame), frame=frame), pictures(12), range(4, 16))
    assert there(found) == {0: list(range(12))}
    np.testing.assert_allclose(boxes_of(found, 0), boxes_from_landmarks(moving(np.arange(4, 16))), atol=1e-3)


def test_a_face_without_extent_is_none():
    points = moving(np.arange(20))
    points[5:10] = 30.0
    found = follow(LandmarkTrack(points, frame=np.arange(20)), pictures(20))
    assert there(found) == {0: [*range(5), *range(10, 20)]}


def test_without_landmarks_there_are_cuts_and_no_faces():
    nobody = LandmarkTrack(np.zeros((0, 4, 2)), frame=np.zeros(0, int))
    found = follow(nobody, pictures(20, 20))
    assert there(found) == {} and [f.grid_index for f in found if f.cut] == [20]


def test_a_frame_of_another_size_is_refused():
    tracker = SidecarTracker(SIZE, landmarks=LandmarkTrack(FACE[None], frame=np.zeros(1, int)))
    with pytest.raises(ValueError, match="expected a frame uint8"):
        tracker.push(np.zeros((64, 95), np.uint8), 0, 0)
