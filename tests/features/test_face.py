"""The tracker on real talking faces, on cuts between them, and on pictures without a face."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from avloc.features.crops import mouth_crop
from avloc.features.face import MAX_DELAY_FRAMES, FaceTracker, TrackedFrame

SIZE = (360, 288)


def read_gray(path: Path, n: int) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        frames = []
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="gray"))
            if len(frames) == n:
                break
    return frames


@pytest.fixture(scope="module")
def talker(shared_media: Path) -> list[np.ndarray]:
    return read_gray(shared_media / "genuine" / "grid-sbwe5n.mpg", 75)


@pytest.fixture(scope="module")
def other_talker(shared_media: Path) -> list[np.ndarray]:
    return read_gray(shared_media / "genuine" / "grid-brbk7n.mpg", 40)


def track(frames: list[np.ndarray], size: tuple[int, int] = SIZE) -> list[TrackedFrame]:
    tracker, found = FaceTracker(size), []
    for index, frame in enumerate(frames):
        found += tracker.push(frame, index)
        assert index + 1 - len(found) <= MAX_DELAY_FRAMES
    found += tracker.finish()
    assert [f.grid_index for f in found] == list(range(len(frames)))
    assert all(f.frame_gray is frame for f, frame in zip(found, frames, strict=True))
    for f in found:
        assert f.box.shape == (4,) and f.box.dtype == np.float32 and np.isfinite(f.box).all() == (f.face >= 0)
    return found


def noise_frames(n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [cv2.blur(rng.integers(0, 256, (288, 360)).astype(np.uint8), (5, 5)) for _ in range(n)]


def test_one_talker_is_one_track_from_the_first_to_the_last_frame(talker):
    found = track(talker)
    assert {f.face for f in found} == {0}
    boxes = np.array([f.box for f in found])
    assert np.abs(np.diff(boxes[:, 2])).max() < 1.0  # a person who sits still does not pulse


def test_what_moves_in_the_crops_of_a_talker_is_in_their_middle(talker):
    crops = np.array([mouth_crop(f.frame_gray, f.box) for f in track(talker)], dtype=float)
    motion = np.abs(np.diff(crops, axis=0)).mean(axis=0)
    motion = np.maximum(0, motion - np.median(motion))
    rows, columns = np.mgrid[:96, :96]
    centre = np.array([(motion * rows).sum(), (motion * columns).sum()]) / motion.sum()
    assert np.abs(centre - 47.5).max() < 12


def test_the_box_follows_a_picture_that_moves(talker):
    shifts = np.cumsum(np.full((len(talker), 2), 0.8), axis=0)
    still = talker[0]
    moving = [
        cv2.warpAffine(still, np.array([[1, 0, -x], [0, 1, 0.0]]), SIZE, borderMode=cv2.BORDER_REPLICATE)
        for x, _ in shifts
    ]
    found = track(moving)
    assert {f.face for f in found} == {0}
    left = np.array([f.box[0] for f in found])
    steps = (left[60] - left[10]) / (shifts[60, 0] - shifts[10, 0])
    assert steps == pytest.approx(-1.0, abs=0.1)  # the cascade places boxes within a few pixels


def test_a_cut_to_another_talker_ends_the_track_on_that_very_frame(talker, other_talker):
    found = track(talker[:37] + other_talker)
    assert [f.face for f in found] == [0] * 37 + [1] * 40


def test_a_talker_who_comes_back_is_a_new_track_and_nothing_is_invented_between(talker):
    found = track(talker[:30] + noise_frames(25) + talker[30:60])
    assert [f.face for f in found] == [0] * 30 + [-1] * 25 + [1] * 30


def test_a_face_is_followed_back_to_the_frame_where_it_appears(talker):
    found = track(noise_frames(13) + talker[:40])
    assert [f.face for f in found] == [-1] * 13 + [0] * 40


def test_a_face_that_is_seen_for_a_moment_only_is_no_track(talker):
    found = track(noise_frames(10) + talker[:3] + noise_frames(20))
    assert {f.face for f in found} == {-1}


def test_a_much_larger_face_takes_over_once_and_a_smaller_one_never(talker):
    small = [cv2.resize(frame[:, 60:300], (120, 144), interpolation=cv2.INTER_AREA) for frame in talker]
    canvas = [np.full((400, 500), 120, np.uint8) for _ in range(75)]
    for whole, left in zip(canvas, small, strict=True):
        whole[128:272, :120] = left
    for index, whole in enumerate(canvas):
        if index >= 20:
            whole[:288, 140:500] = talker[index]
    found = track(canvas + [c.copy() for c in canvas[20:]] * 2, (500, 400))
    ids = [f.face for f in found]
    changes = [i for i in range(1, len(ids)) if ids[i] != ids[i - 1]]
    assert ids[0] == 0 and found[5].box[0] < 120
    assert len(changes) == 1 and ids[-1] == 1 and found[-1].box[0] > 140


def test_pictures_without_a_face_give_none(shared_media):
    frames = read_gray(shared_media / "odd" / "odd-dog.mp4", 40)
    height, width = frames[0].shape
    assert {f.face for f in track(frames, (width, height))} == {-1}


def test_a_hole_in_the_grid_longer_than_a_loss_ends_the_track(talker):
    tracker, found = FaceTracker(SIZE), []
    for index, frame in enumerate(talker[:60]):
        found += tracker.push(frame, index if index < 30 else index + 40)
    found += tracker.finish()
    assert [f.face for f in found] == [0] * 30 + [1] * 30


def test_a_picture_that_is_shown_again_costs_no_search_and_keeps_its_box(talker):
    found = track([talker[i // 5 * 5] for i in range(60)])
    assert {f.face for f in found} == {0}


def test_results_do_not_depend_on_the_run(talker):
    first, second = track(talker[:30]), track(talker[:30])
    assert all(np.array_equal(a.box, b.box) for a, b in zip(first, second, strict=True))


def test_frames_of_another_size_or_out_of_order_are_refused():
    tracker = FaceTracker((64, 48))
    tracker.push(np.zeros((48, 64), np.uint8), 3)
    with pytest.raises(ValueError, match="above 3"):
        tracker.push(np.zeros((48, 64), np.uint8), 3)
    with pytest.raises(ValueError, match=r"\(48, 64\)"):
        tracker.push(np.zeros((64, 48), np.uint8), 4)
    with pytest.raises(ValueError, match="uint8"):
        tracker.push(np.zeros((48, 64), np.float32), 4)
