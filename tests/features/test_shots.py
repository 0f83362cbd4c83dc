"""Cuts at known frames of made videos, and what is none: flashes, dissolves, fades, pans, still pictures."""

import cv2
import numpy as np
import pytest

from avloc.features.face_detection import shrink
from avloc.features.shots import LOOK_AHEAD_FRAMES, MIN_SHOT_FRAMES, ShotDetector
from avloc.media.whole import read_frames

SIZE = (256, 144)


def texture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=size[::-1]).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 12)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def grainy(picture: np.ndarray, n: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 3, (n, *picture.shape))
    return list(np.clip(picture + noise, 0, 255).astype(np.uint8))


def pan(wide: np.ndarray, lefts: np.ndarray) -> list[np.ndarray]:
    return [np.ascontiguousarray(wide[:, round(x) : round(x) + SIZE[0]]) for x in lefts]


def find_cuts(frames: list[np.ndarray]) -> list[int]:
    shots, begins = ShotDetector(), []
    for index, frame in enumerate(frames):
        begins += shots.push(frame)
        assert len(begins) == max(0, index + 1 - LOOK_AHEAD_FRAMES)
    begins += shots.finish()
    assert len(begins) == len(frames)
    return [index for index, begin in enumerate(begins) if begin]


FIRST, SECOND = texture(0), texture(1)
WHITE, BLACK = np.full(SIZE[::-1], 250, np.uint8), np.zeros(SIZE[::-1], np.uint8)


def test_every_hard_cut_is_found_on_its_frame_also_between_short_shots():
    lengths, frames, cuts = [30, 4, 9, 5, 40, 4], [], []
    for seed, n in enumerate(lengths):
        cuts.append(len(frames))
        frames += grainy(texture(seed), n, seed)
    assert find_cuts(frames) == cuts[1:]


def test_a_cut_after_a_black_slate_is_one():
    assert find_cuts(grainy(BLACK, 10) + grainy(FIRST, 10)) == [10]


def test_a_cut_with_a_blended_frame_counts_once():
    blended = cv2.addWeighted(FIRST, 0.5, SECOND, 0.5, 0)
    (cut,) = find_cuts(grainy(FIRST, 20) + grainy(blended, 1) + grainy(SECOND, 20))
    assert cut in (20, 21)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("flash", [WHITE, cv2.addWeighted(FIRST, 0.3, WHITE, 0.7, 0), texture(9)])
def test_a_flash_is_no_cut(n, flash):
    assert find_cuts(grainy(FIRST, 20) + grainy(flash, n) + grainy(FIRST, 20, 1)) == []


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_flash_beside_a_cut_neither_hides_nor_doubles_it(n):
    (cut,) = find_cuts(grainy(FIRST, 20) + grainy(WHITE, n) + grainy(SECOND, 20))
    assert 20 <= cut <= 20 + n
    frames = grainy(FIRST, 20) + grainy(WHITE, n) + grainy(FIRST, 6) + grainy(SECOND, 20)
    assert find_cuts(frames) == [26 + n]


def mixed(first: np.ndarray, second: np.ndarray, n: int) -> list[np.ndarray]:
    shares = np.linspace(0, 1, n + 2)[1:-1]
    return [cv2.addWeighted(first, 1 - share, second, share, 0) for share in shares]


@pytest.mark.parametrize("n", [6, 12, 25])
def test_a_dissolve_is_no_cut(n):
    assert find_cuts(grainy(FIRST, 20) + mixed(FIRST, SECOND, n) + grainy(SECOND, 20)) == []


@pytest.mark.parametrize(("first", "second"), [(FIRST, BLACK), (BLACK, SECOND)])
def test_a_fade_is_no_cut_and_a_fast_one_at_most_one(first, second):
    for n, n_cuts in ((25, 0), (12, 0), (6, 1)):
        frames = grainy(first, 20) + mixed(first, second, n) + grainy(second, 20)
        assert len(find_cuts(frames)) <= n_cuts


def test_a_camera_that_pans_zooms_or_shakes_makes_no_cut():
    wide = texture(3, (2400, 144))
    assert find_cuts(pan(wide, np.arange(100) * 5)) == []
    rush = np.concatenate([np.zeros(20), np.arange(1, 20) * 70, np.full(20, 19 * 70)])  # a fifth a frame
    assert find_cuts(pan(wide, rush)) == []
    rng = np.random.default_rng(0)
    assert find_cuts(pan(wide, 100 + rng.integers(-10, 11, 100))) == []
    zoom = [cv2.resize(FIRST[: 144 - k, : 256 - 2 * k], SIZE) for k in range(60)]
    assert find_cuts(zoom) == []


def test_a_picture_that_stands_still_or_is_shown_again_makes_no_cut():
    assert find_cuts(grainy(FIRST, 1) * 50) == []
    assert find_cuts(grainy(BLACK, 50)) == []
    moved = pan(texture(3, (2400, 144)), np.arange(20) * 20)
    assert find_cuts([moved[i // 4] for i in range(80)]) == []  # the same array four times


def test_a_cut_between_pictures_that_are_shown_several_times_is_found():
    frames = grainy(FIRST, 5) + grainy(SECOND, 5)
    assert find_cuts([frames[i // 5] for i in range(50)]) == [25]


def test_what_is_shorter_than_a_shot_at_either_end_begins_none():
    n = MIN_SHOT_FRAMES - 1
    assert find_cuts(grainy(FIRST, n) + grainy(SECOND, 20)) == []
    assert find_cuts(grainy(FIRST, 20) + grainy(SECOND, n)) == []
    assert find_cuts([]) == [] and find_cuts(grainy(FIRST, 2)) == []


def test_a_detector_that_is_finished_is_as_new():
    shots = ShotDetector()
    for frame in grainy(FIRST, 20):
        shots.push(frame)
    assert shots.finish() == [False] * 3
    begins = [b for frame in grainy(SECOND, 20) for b in shots.push(frame)] + shots.finish()
    assert begins == [False] * 20


def test_talkers_are_one_shot_each_and_a_jump_within_one_is_not_seen(shared_media):
    """A jump cut of a head that hardly moved changes less than its talking does: it is told by no cut."""
    clips = []
    for name in ("grid-brbk7n.mpg", "grid-lbax4n.mpg", "grid-lrwp9a.mpg"):
        frames, _ = read_frames(shared_media / "genuine" / name)
        clips.append([shrink(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)) for frame in frames])
    assert find_cuts(clips[0] + clips[1] + clips[2]) == [75, 150]
    assert find_cuts(clips[0][:30] + clips[0][50:]) == []
