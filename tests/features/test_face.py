"""The tracker on real talking faces, on cuts between them, and on pictures without a face."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from avloc.features.crops import mouth_crop
from avloc.features.face import MAX_DELAY_FRAMES, FaceTracker, TrackedFrame
from avloc.features.face_detection import FaceDetector, overlap

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


def track(
    frames: list[np.ndarray], size: tuple[int, int] = SIZE, *, max_faces: int = 4
) -> list[TrackedFrame]:
    tracker, found = FaceTracker(size, max_faces=max_faces), []
    for index, frame in enumerate(frames):
        found += tracker.push(frame, index)
        assert index + 1 - len(found) <= MAX_DELAY_FRAMES
    found += tracker.finish()
    assert [f.grid_index for f in found] == list(range(len(frames)))
    assert all(f.frame_gray is frame for f, frame in zip(found, frames, strict=True))
    for f in found:
        assert [face for face, _ in f.faces] == sorted({face for face, _ in f.faces})
        assert len(f.faces) <= max_faces
        for _, box in f.faces:
            assert box.shape == (4,) and box.dtype == np.float32 and np.isfinite(box).all()
    return found


def ids_of(found: list[TrackedFrame]) -> list[int]:
    """Id of the only face of each frame, -1 without one."""
    assert max(len(f.faces) for f in found) <= 1
    return [f.faces[0][0] if f.faces else -1 for f in found]


def boxes_of(found: list[TrackedFrame], face: int = 0) -> np.ndarray:
    return np.array([box for f in found for identity, box in f.faces if identity == face])


def count_calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Widths of what is searched for faces, whole frames and parts of them."""
    calls: dict[str, list[int]] = {"find": [], "find_near": []}
    for name, widths in calls.items():
        original = getattr(FaceDetector, name)

        def counted(self, small, *rest, _original=original, _widths=widths):
            _widths.append(small.shape[1])
            return _original(self, small, *rest)

        monkeypatch.setattr(FaceDetector, name, counted)
    return calls


def noise_frames(n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [cv2.blur(rng.integers(0, 256, (288, 360)).astype(np.uint8), (5, 5)) for _ in range(n)]


def test_one_talker_is_one_track_from_the_first_to_the_last_frame(talker):
    found = track(talker)
    assert set(ids_of(found)) == {0} and not any(f.cut for f in found)
    boxes = boxes_of(found)
    assert np.abs(np.diff(boxes[:, 2])).max() < 1.0  # a person who sits still does not pulse


def test_what_moves_in_the_crops_of_a_talker_is_in_their_middle(talker):
    crops = np.array([mouth_crop(f.frame_gray, f.faces[0][1]) for f in track(talker)], dtype=float)
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
    assert set(ids_of(found)) == {0}
    left = boxes_of(found)[:, 0]
    steps = (left[60] - left[10]) / (shifts[60, 0] - shifts[10, 0])
    assert steps == pytest.approx(-1.0, abs=0.1)  # the cascade places boxes within a few pixels


def test_a_cut_to_another_talker_ends_the_track_on_that_very_frame(talker, other_talker):
    found = track(talker[:37] + other_talker)
    assert ids_of(found) == [0] * 37 + [1] * 40


def test_a_talker_who_comes_back_is_a_new_track_and_nothing_is_invented_between(talker):
    found = track(talker[:30] + noise_frames(25) + talker[30:60])
    assert ids_of(found) == [0] * 30 + [-1] * 25 + [1] * 30


def test_a_face_is_followed_back_to_the_frame_where_it_appears(talker):
    found = track(noise_frames(13) + talker[:40])
    assert ids_of(found) == [-1] * 13 + [0] * 40


def test_a_face_that_is_seen_for_a_moment_only_is_no_track(talker):
    found = track(noise_frames(10) + talker[:3] + noise_frames(20))
    assert set(ids_of(found)) == {-1}


def side_by_side(*clips: list[np.ndarray]) -> list[np.ndarray]:
    return [np.ascontiguousarray(np.hstack(frames)) for frames in zip(*clips, strict=True)]


def gray(n: int) -> list[np.ndarray]:
    return [np.full((288, 360), 128, np.uint8)] * n


def appear(clip: list[np.ndarray]) -> list[np.ndarray]:
    """A clip that comes out of gray within 12 frames, too slowly for a cut, and then runs backwards."""
    coming = [cv2.addWeighted(gray(1)[0], 1 - k / 13, clip[k], k / 13, 0) for k in range(1, 13)]
    return coming + clip[12:] + clip[::-1]


def test_two_talkers_are_two_tracks_as_if_each_were_alone(talker, other_talker):
    other = (other_talker + other_talker[::-1])[:75]
    found = track(side_by_side(talker, other), (720, 288))
    assert all([face for face, _ in f.faces] == [0, 1] for f in found)
    for face in (0, 1):
        boxes = boxes_of(found, face)
        side = 360 * (boxes[0, 0] > 300)
        alone = boxes_of(track(other if side else talker))
        assert min(overlap(a, b) for a, b in zip(boxes - (side, 0, 0, 0), alone, strict=True)) > 0.7


def test_a_talker_who_comes_later_gets_a_track_and_the_first_keeps_his(talker, other_talker):
    clips = side_by_side(talker + talker[::-1], gray(60) + appear(other_talker) + other_talker[:10])
    found = track(clips, (720, 288))
    assert len(boxes_of(found, 0)) == 150
    second = [f.grid_index for f in found if len(f.faces) == 2]
    assert second == list(range(second[0], 150))
    assert 60 <= second[0] <= 72 + 40  # searched for every 1.6 s while somebody is followed


def test_the_loss_of_one_face_does_not_end_another(talker, other_talker):
    leaving = appear(other_talker)[::-1]
    found = track(side_by_side(talker, leaving[40:] + gray(35)), (720, 288))
    left = next(face for face, box in found[0].faces if box[0] < 300)
    ids = [[face for face, _ in f.faces] for f in found]
    assert all(left in of_frame for of_frame in ids)
    assert ids[:25] == [[0, 1]] * 25 and ids[-35:] == [[left]] * 35


def test_searches_stay_rare_with_several_faces_and_without_one(talker, other_talker, monkeypatch):
    calls = count_calls(monkeypatch)
    track(side_by_side(talker[:40], other_talker) * 3, (720, 288))
    assert len(calls["find"]) <= 2.5 * 120 / 25 and set(calls["find"]) == {256}
    assert len(calls["find_near"]) <= 2 * 3 * 120 / 25
    calls["find"].clear()
    track(noise_frames(100))
    assert len(calls["find"]) == 10


def test_no_more_faces_are_followed_than_asked_for_the_largest_first(talker, other_talker):
    small = [cv2.resize(f, (180, 144), interpolation=cv2.INTER_AREA) for f in talker[:40]]
    padded = [np.vstack([f, np.full((144, 180), 120, np.uint8)]) for f in small]
    clips = side_by_side(padded, other_talker)
    assert all(len(f.faces) == 2 for f in track(clips, (540, 288)))
    assert (boxes_of(track(clips, (540, 288), max_faces=1))[:, 0] > 180).all()


def test_a_much_larger_face_takes_the_place_of_the_smallest_once(talker):
    small = [cv2.resize(frame[:, 60:300], (120, 144), interpolation=cv2.INTER_AREA) for frame in talker]
    frames = [np.full((400, 500), 128, np.uint8) for _ in range(150)]
    large = gray(20) + appear(talker)[:130]
    for index, frame in enumerate(frames):
        frame[128:272, :120] = (small + small[::-1])[index]
        frame[:288, 140:500] = large[index]
    found = track(frames, (500, 400), max_faces=1)
    assert not any(f.cut for f in found)
    ids = ids_of(found)
    (change,) = [i for i in range(1, len(ids)) if ids[i] != ids[i - 1]]
    assert ids[0] == 0 and found[5].faces[0][1][0] < 120
    assert ids[-1] == 1 and found[-1].faces[0][1][0] > 140
    assert change >= 32 + 40  # seen twice before
    assert {len(f.faces) for f in track(frames, (500, 400))[60:]} == {2}  # where there is room for both


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("max_faces", [1, 2, 4])
def test_whatever_is_found_and_lost_every_frame_comes_once_with_no_more_faces_than_asked_for(
    seed, max_faces, monkeypatch
):
    rng = np.random.default_rng(seed)
    loss, miss = rng.choice([0.002, 0.02, 0.1]), rng.choice([0.05, 0.3, 0.7])

    def draw_faces(detector, small):
        n = int(rng.integers(0, 7))
        places = rng.permutation(12)[:n]
        boxes = [np.array([60.0 * (k % 4), 45 * (k // 4), *[rng.uniform(24, 44)] * 2]) for k in places]
        return sorted(boxes, key=lambda box: -box[2])

    def draw_near(detector, small, expected):
        return None if rng.random() < miss else expected + rng.normal(0, 1, 4)

    def draw_flow(before, after, box):
        return None if rng.random() < loss else box + rng.normal(0, 0.5, 4) * (1, 1, 0, 0)

    monkeypatch.setattr(FaceDetector, "find", draw_faces)
    monkeypatch.setattr(FaceDetector, "find_near", draw_near)
    monkeypatch.setattr("avloc.features.face_following.follow_box", draw_flow)
    calls = count_calls(monkeypatch)
    pictures = [rng.integers(0, 256, (144, 256)).astype(np.uint8) for _ in range(5)]
    frames = [np.copy(pictures[index // 97]) for index in range(400)]
    found = track(frames, (256, 144), max_faces=max_faces)
    cuts = [f.grid_index for f in found if f.cut]
    assert cuts == [97, 194, 291, 388]
    for cut in cuts:
        before = {face for f in found[:cut] for face, _ in f.faces}
        after = {face for f in found[cut:] for face, _ in f.faces}
        assert max(before, default=-1) < min(after, default=1 << 30)
    for face in {face for f in found for face, _ in f.faces}:
        frames_of_face = [f.grid_index for f in found if face in dict(f.faces)]
        assert frames_of_face == list(range(frames_of_face[0], frames_of_face[-1] + 1))
        assert len(frames_of_face) > 5
    assert len(calls["find"]) <= 400 / 10 + 1


def test_a_shot_cut_ends_a_track_though_the_next_face_is_at_the_same_place(talker):
    mirrored = [np.ascontiguousarray(frame[:, ::-1]) for frame in talker]
    background = np.full((288, 360), 40, np.uint8)
    background[60:230, 110:250] = 0
    other = [np.where(background == 0, frame, background) for frame in talker]  # the face alone goes on
    for second in (mirrored, other):
        found = track(talker[:37] + second[37:])
        assert [f.grid_index for f in found if f.cut] == [37]
        assert ids_of(found) == [0] * 37 + [1] * 38


def test_a_dissolve_and_a_flash_are_no_cuts(talker, other_talker):
    """Where two faces dissolve into each other at one place the track may go on: the shots do not end."""
    mixed = [cv2.addWeighted(talker[20 + k], 1 - k / 13, other_talker[k], k / 13, 0) for k in range(1, 13)]
    found = track(talker[:20] + mixed + other_talker[12:])
    assert not any(f.cut for f in found)
    assert -1 not in ids_of(found)
    flash = [np.full((288, 360), 250, np.uint8)] * 2
    assert not any(f.cut for f in track(talker[:20] + flash + talker[20:40]))


def test_of_two_tracks_that_come_to_one_place_the_younger_ends(monkeypatch):
    """The second of two faces slides 4 px a frame until it is where the first stands; all are confirmed."""
    starts = [[np.array([50.0, 50, 60, 60]), np.array([130.0, 50, 50, 50])]]
    monkeypatch.setattr(FaceDetector, "find", lambda self, small: starts.pop() if starts else [])
    monkeypatch.setattr(FaceDetector, "find_near", lambda self, small, expected: expected)
    slide = np.array([-4.0, 0, 0, 0])
    monkeypatch.setattr(
        "avloc.features.face_following.follow_box",
        lambda before, after, box: box + slide if box[0] > 50 else box,
    )
    found = track([np.zeros((144, 256), np.uint8) for _ in range(40)], (256, 144))
    assert len(boxes_of(found, 0)) == 40
    places = boxes_of(found, 1)
    shared = [overlap(box, np.array([50.0, 50, 60, 60])) > 0.5 for box in places]
    assert 10 < len(places) < 30 and 1 <= sum(shared) <= 5 and shared[-1]


def test_pictures_without_a_face_give_none(shared_media):
    frames = read_gray(shared_media / "odd" / "odd-dog.mp4", 40)
    height, width = frames[0].shape
    assert set(ids_of(track(frames, (width, height)))) == {-1}


def test_a_hole_in_the_grid_longer_than_a_loss_ends_the_track(talker):
    tracker, found = FaceTracker(SIZE, max_faces=4), []
    for index, frame in enumerate(talker[:60]):
        found += tracker.push(frame, index if index < 30 else index + 40)
    found += tracker.finish()
    assert ids_of(found) == [0] * 30 + [1] * 30


def test_a_picture_that_is_shown_again_costs_no_search_and_keeps_its_box(talker):
    found = track([talker[i // 5 * 5] for i in range(60)])
    assert set(ids_of(found)) == {0}


def test_results_do_not_depend_on_the_run(talker):
    first, second = track(talker[:30]), track(talker[:30])
    assert np.array_equal(boxes_of(first), boxes_of(second))


def test_frames_of_another_size_or_out_of_order_are_refused():
    tracker = FaceTracker((64, 48), max_faces=4)
    tracker.push(np.zeros((48, 64), np.uint8), 3)
    with pytest.raises(ValueError, match="above 3"):
        tracker.push(np.zeros((48, 64), np.uint8), 3)
    with pytest.raises(ValueError, match=r"\(48, 64\)"):
        tracker.push(np.zeros((64, 48), np.uint8), 4)
    with pytest.raises(ValueError, match="uint8"):
        tracker.push(np.zeros((48, 64), np.float32), 4)
