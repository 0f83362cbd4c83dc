"""One form of landmarks whatever is given, and a reason for what is none."""

import numpy as np
import pytest

from avloc.structures.landmarks import MAX_FACES, MAX_MISSING, MAX_ROWS, LandmarkTrack

FACE = np.array([[40, 50], [60, 50], [50, 60], [50, 70]], dtype=np.float64)


def rows(n: int) -> np.ndarray:
    """The same face in n rows, a pixel further right in each."""
    return FACE + np.arange(n)[:, None, None] * np.array([1.0, 0.0])


def test_four_points_stay_as_they_are():
    track = LandmarkTrack(rows(5), frame=np.arange(5, dtype=np.uint16) * 2)
    np.testing.assert_array_equal(track.points, rows(5))
    assert track.frame.tolist() == [0, 2, 4, 6, 8] and track.face.tolist() == [0] * 5
    assert (track.points.dtype, track.frame.dtype, track.face.dtype) == (np.float32, np.int64, np.int32)
    with pytest.raises(ValueError, match="read-only"):
        track.points[0] = 0


def test_sixty_eight_points_become_the_means_of_their_groups():
    points = np.random.default_rng(0).uniform(0, 500, (3, 68, 2))
    expected = [points[:, a:b].mean(axis=1) for a, b in ((36, 42), (42, 48), (31, 36), (48, 68))]
    track = LandmarkTrack(points, frame=np.arange(3))
    np.testing.assert_allclose(track.points, np.stack(expected, axis=1), rtol=1e-6)


@pytest.mark.parametrize("n_points", [4, 68])
def test_a_row_with_any_nan_has_no_face(n_points):
    points = np.random.default_rng(0).uniform(0, 500, (4, n_points, 2))
    points[1] = np.nan
    points[2, n_points - 1, 1] = np.nan
    assert LandmarkTrack(points, frame=np.arange(4)).frame.tolist() == [0, 3]


def test_rows_are_sorted_by_face_and_then_by_frame():
    track = LandmarkTrack(rows(6), frame=np.array([0, 0, 1, 1, 2, 2]), face=np.array([7, 3, 7, 3, 7, 3]))
    assert track.face.tolist() == [3, 3, 3, 7, 7, 7] and track.frame.tolist() == [0, 1, 2] * 2
    assert track.points[:, 0, 0].tolist() == [41, 43, 45, 40, 42, 44]


def test_a_track_of_a_track_is_the_same():
    once = LandmarkTrack(rows(4), frame=np.arange(4), face=np.array([1, 0, 1, 0]))
    again = LandmarkTrack(once.points, once.frame, once.face)
    assert all(np.array_equal(getattr(once, k), getattr(again, k)) for k in ("points", "frame", "face"))


def test_nobody_is_a_track_too():
    for track in (
        LandmarkTrack(np.zeros((0, 4, 2)), frame=np.zeros(0, int)),
        LandmarkTrack(np.full((9, 68, 2), np.nan), frame=np.arange(9)),
    ):
        assert track.points.shape == (0, 4, 2) and track.stretches().shape == (0, 2)


def test_a_long_absence_and_another_face_begin_a_stretch():
    frame = np.array([0, 1, MAX_MISSING + 2, 2 * MAX_MISSING + 4, 5, 6])
    track = LandmarkTrack(rows(6), frame=frame, face=np.array([0, 0, 0, 0, 1, 1]))
    assert track.stretches().tolist() == [[0, 3], [3, 4], [4, 6]]


@pytest.mark.parametrize("missing", [0, MAX_MISSING])
def test_more_faces_at_once_than_are_analysed_are_refused(missing):
    frame = np.tile([5, 5 + missing + 1], MAX_FACES)
    face = np.repeat(np.arange(MAX_FACES), 2)
    track = LandmarkTrack(rows(len(frame)), frame=frame, face=face)
    assert len(track.frame) == 2 * MAX_FACES
    between = np.append(frame, 5 + missing // 2), np.append(face, 9)
    with pytest.raises(ValueError, match=f"at most 4 faces at a time, got 5 at frame {5 + missing // 2}"):
        LandmarkTrack(rows(len(frame) + 1), *between)
    after = np.append(frame, 5 + missing + 2), np.append(face, 9)
    assert len(LandmarkTrack(rows(len(frame) + 1), *after).frame) == 2 * MAX_FACES + 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"points": np.zeros((3, 5, 2))}, r"points has the shape .*, got \(3, 5, 2\)"),
        ({"points": np.zeros((3, 4, 3))}, r"points has the shape .*, got \(3, 4, 3\)"),
        ({"points": np.zeros((3, 8))}, r"points has the shape"),
        ({"points": rows(3).astype(complex)}, "points holds real numbers, got complex128"),
        ({"points": rows(3).astype(str)}, "points holds real numbers"),
        ({"points": rows(3) * np.inf}, "points lie within .* write NaN where there is no face"),
        ({"points": rows(3) * 1e6}, "points lie within"),
        ({"frame": np.arange(2)}, r"frame has an entry for each row of points, \(3,\), got \(2,\)"),
        ({"frame": np.arange(3)[:, None]}, "frame has an entry for each row"),
        ({"frame": np.arange(3.0)}, "frame holds whole numbers of an integer type, got float64"),
        ({"frame": np.array([-1, 0, 1])}, "frame is counted from 0, got -1 to 1"),
        ({"frame": np.array([0, 1, 2**60])}, "frame is counted from 0"),
        ({"frame": np.array([0, 2, 2])}, "frame increases .* got 2 after 2 for face 0"),
        ({"frame": np.array([0, 5, 3])}, "frame increases .* got 3 after 5 for face 0"),
        ({"face": np.zeros(2, int)}, "face has an entry for each row"),
        ({"face": np.array([0, 0, 2**31])}, "face is counted from 0"),
        ({"face": np.array([0.5, 0, 0])}, "face holds whole numbers"),
    ],
)
def test_what_is_no_track_is_refused_with_what_was_expected(changed, message):
    given = {"points": rows(3), "frame": np.arange(3)} | changed
    with pytest.raises(ValueError, match=message):
        LandmarkTrack(**given)


def test_too_many_rows_are_refused_before_anything_is_copied():
    many = np.broadcast_to(np.float32(0), (MAX_ROWS + 1, 4, 2))
    with pytest.raises(ValueError, match="at most 5000000 rows"):
        LandmarkTrack(many, frame=np.arange(3))
