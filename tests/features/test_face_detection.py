"""Boxes that follow a picture whose motion is known."""

import cv2
import numpy as np
import pytest

from avloc.features.face_detection import FaceDetector, follow_box, overlap, shrink


def texture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(200, 256)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, (2.5, -1.25)), (1.04, (0.0, 3.0)), (0.97, (-4.0, 1.0))])
def test_a_box_moves_and_grows_with_the_picture(scale, shift):
    before, box = texture(0), np.array([80.0, 60.0, 70.0, 70.0])
    after = cv2.warpAffine(before, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), (256, 200))
    moved = follow_box(before, after, box)
    expected = np.concatenate([box[:2] * scale + shift, box[2:] * scale])
    np.testing.assert_allclose(moved, expected, atol=0.5)  # half a pixel of the small frame


def test_a_box_does_not_survive_a_cut():
    assert follow_box(texture(1), texture(2), np.array([80.0, 60.0, 70.0, 70.0])) is None


def test_a_box_on_a_flat_picture_is_lost():
    flat = np.full((200, 256), 90, np.uint8)
    assert follow_box(flat, flat.copy(), np.array([80.0, 60.0, 70.0, 70.0])) is None


def test_the_same_picture_leaves_the_box_alone():
    picture, box = texture(3), np.array([80.0, 60.0, 70.0, 70.0])
    assert follow_box(picture, picture, box) is box


@pytest.mark.parametrize(
    ("shape", "small"), [((720, 1280), (144, 256)), ((1920, 1080), (341, 192)), ((120, 160), (120, 160))]
)
def test_small_frames_keep_their_proportions_and_are_not_enlarged(shape, small):
    assert shrink(np.zeros(shape, np.uint8)).shape == small


def test_overlap_of_boxes_apart_is_zero_and_with_itself_one():
    box = np.array([3.0, 4.0, 5.0, 6.0])
    assert overlap(box, box) == 1.0 and overlap(box, box + (5, 0, 0, 0)) == 0.0


def test_nothing_is_found_in_pictures_without_a_face_or_too_small_for_one():
    detector = FaceDetector()
    assert detector.find(texture(4)) == [] and detector.find(np.zeros((10, 256), np.uint8)) == []
    assert detector.find_near(texture(4), np.array([80.0, 60.0, 50.0, 50.0])) is None
    assert detector.find_near(texture(4), np.array([-300.0, 60.0, 50.0, 50.0])) is None
