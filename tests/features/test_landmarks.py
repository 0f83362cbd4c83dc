"""A box from landmarks is where the cascade's would be; the constants are checked on real faces elsewhere."""

import numpy as np
import pytest

from avloc.features.crops import MOUTH_DOWN
from avloc.features.landmarks import CENTRE_UP, WIDTH_OF_EYES, WIDTH_OF_FACE, boxes_from_landmarks

FACE = np.array([[40.0, 50], [60, 50], [50, 60], [50, 74]])


def test_a_box_is_as_wide_as_eyes_and_face_say_with_the_mouth_in_its_place():
    ((x, y, width, height),) = boxes_from_landmarks(FACE[None])
    assert width == height == pytest.approx(20 * WIDTH_OF_EYES + 24 * WIDTH_OF_FACE)
    assert x + width / 2 == pytest.approx(50)
    assert y + MOUTH_DOWN * height == pytest.approx(74 - CENTRE_UP * width)


def test_boxes_move_and_grow_with_the_face():
    box = boxes_from_landmarks(FACE[None])[0]
    np.testing.assert_allclose(boxes_from_landmarks(3 * FACE[None])[0], 3 * box)
    np.testing.assert_allclose(boxes_from_landmarks(FACE[None] + (7, -9))[0], box + (7, -9, 0, 0))


def test_a_tilted_face_has_a_box_of_the_same_size_around_its_mouth():
    angle = np.deg2rad(30)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = (FACE - FACE[3]) @ turn.T + FACE[3]
    box, upright = boxes_from_landmarks(np.stack([turned, FACE]))
    np.testing.assert_allclose(box[2:], upright[2:])
    np.testing.assert_allclose(box[:2] - upright[:2], box[2] * CENTRE_UP * (turn @ (0, -1) - (0, -1)))


def test_eyes_the_other_way_round_make_no_difference():
    np.testing.assert_array_equal(
        boxes_from_landmarks(FACE[None, [1, 0, 2, 3]]), boxes_from_landmarks(FACE[None])
    )


def test_landmarks_at_one_point_have_a_box_without_width():
    box = boxes_from_landmarks(np.full((1, 4, 2), 30.0))
    assert np.isfinite(box).all() and box[0, 2] == 0


def test_no_landmarks_have_no_boxes():
    assert boxes_from_landmarks(np.zeros((0, 4, 2))).shape == (0, 4)
