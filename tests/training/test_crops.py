import cv2
import numpy as np
import pytest

from avloc.features.crops import crop_to_mouth, face_crop, mouth_crop
from avloc.training.crops import vary_crops


def make_clip(n_frames: int = 5) -> np.ndarray:
    """One smooth picture, repeated."""
    picture = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (96, 96)).astype(np.uint8), (0, 0), 4
    )
    picture = cv2.normalize(picture, None, 30, 220, cv2.NORM_MINMAX)
    return np.repeat(picture[None], n_frames, axis=0)


def vary_mouth(rng: np.random.Generator, clip: np.ndarray) -> np.ndarray:
    return vary_crops(rng, {"mouth96_box": clip})["mouth96_box"]


@pytest.mark.parametrize("seed", range(6))
def test_a_clip_is_varied_the_same_way_in_every_frame(seed):
    clip = make_clip()
    varied = vary_mouth(np.random.default_rng(seed), clip).astype(float)
    assert varied.shape == clip.shape and varied.min() >= 0 and varied.max() <= 255
    # Noise of at most 6 gray values differs from frame to frame, nothing else.
    assert np.abs(varied - varied[0]).mean() < 8
    assert np.abs(varied[0] - clip[0]).mean() > 3


def test_the_same_state_gives_the_same_crops_and_the_input_is_not_touched():
    clip = make_clip()
    before = clip.copy()
    first, second = (vary_mouth(np.random.default_rng(1), clip) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(clip, before)
    assert first.dtype == np.uint8 and not np.array_equal(first, vary_mouth(np.random.default_rng(2), clip))


def test_the_picture_stays_recognisable_and_is_mirrored_half_of_the_time():
    clip = make_clip(1)
    mirrored = []
    for seed in range(60):
        varied = vary_mouth(np.random.default_rng(seed), clip)[0]
        middle = varied[24:72, 24:72].astype(np.float32)
        # A correlation over small moves; scale and angle are left to it.
        found = [
            cv2.matchTemplate(picture.astype(np.float32), middle, cv2.TM_CCOEFF_NORMED).max()
            for picture in (clip[0], clip[0][:, ::-1])
        ]
        assert max(found) > 0.5
        mirrored.append(found[1] > found[0])
    assert 18 <= sum(mirrored) <= 42


def test_an_empty_clip_stays_empty():
    assert vary_mouth(np.random.default_rng(0), np.zeros((0, 96, 96), np.uint8)).shape == (0, 96, 96)


def centre_of_light(crop):
    rows, columns = np.nonzero(crop > (crop.max() + np.median(crop)) / 2)
    return columns.mean(), rows.mean()


def test_a_face_is_varied_as_its_mouth_is():
    """A bright spot on the mouth stays on the mouth; both are as bright and mirrored together."""
    picture = np.full((400, 400), 60, np.uint8)
    cv2.circle(picture, (215, 230), 12, 200, -1)
    box = np.array([120.0, 100.0, 160.0, 160.0])
    crops = {"mouth96_box": mouth_crop(picture, box)[None], "face112": face_crop(picture, box)[None]}
    sides = set()
    for seed in range(24):
        varied = vary_crops(np.random.default_rng(seed), crops)
        alone = vary_mouth(np.random.default_rng(seed), crops["mouth96_box"])
        np.testing.assert_array_equal(varied["mouth96_box"], alone)
        mouth, face = (varied[name][0].astype(float) for name in ("mouth96_box", "face112"))
        assert abs(np.median(mouth) - np.median(face)) <= 4  # noise
        places = [centre_of_light(x) for x in (mouth, face)]
        seen_from_mouth = crop_to_mouth("face112") @ [*places[1], 1.0]
        np.testing.assert_allclose(seen_from_mouth[:2], places[0], atol=1.0)
        sides.add(np.sign(places[0][0] - 47.5))
    assert sides == {-1.0, 1.0}
