"""Smoothing and both crops against plain loops and pictures whose crop is known."""

import numpy as np
import pytest

from avloc.features.crops import (
    FACE_SIDE,
    MOUTH_DOWN,
    MOUTH_SIDE,
    crop_to_mouth,
    face_crop,
    mouth_crop,
    smooth_boxes,
)


def box_with_mouth_square(left: float, top: float, side: float) -> np.ndarray:
    """Face box whose mouth square starts at (left, top) and measures ``side``."""
    width = side / MOUTH_SIDE
    return np.array([left - (width - side) / 2, top + side / 2 - MOUTH_DOWN * width, width, width])


@pytest.mark.parametrize("n", [0, 1, 2, 5, 13, 40])
def test_smoothing_is_the_mean_of_a_window_that_shrinks_at_the_ends(n):
    boxes = np.random.default_rng(n).normal(100, 20, (n, 4))
    expected = np.zeros((n, 4))
    for i in range(n):
        half = min(6, i, n - 1 - i)
        expected[i] = np.mean([boxes[j] for j in range(i - half, i + half + 1)], axis=0)
    np.testing.assert_allclose(smooth_boxes(boxes), expected, rtol=1e-6)  # float32


def test_a_steadily_moving_box_is_not_moved_by_smoothing():
    boxes = np.arange(30.0)[:, None] * np.array([2.0, -1.0, 0.5, 0.5]) + 50
    np.testing.assert_allclose(smooth_boxes(boxes), boxes, rtol=1e-6)


def test_a_crop_of_whole_blocks_is_their_mean():
    frame = np.random.default_rng(0).integers(0, 256, (400, 400)).astype(np.uint8)
    blocks = frame[100 : 100 + 192, 80 : 80 + 192].reshape(96, 2, 96, 2).mean(axis=(1, 3))
    crop = mouth_crop(frame, box_with_mouth_square(80, 100, 192))
    assert crop.shape == (96, 96) and crop.dtype == np.uint8
    assert np.abs(crop - blocks).max() <= 1.0  # two roundings to whole gray values


@pytest.mark.parametrize("side", [40.0, 96.0, 150.3, 333.3])
def test_positions_are_exact_below_a_pixel(side):
    ramp = np.tile(np.arange(250, dtype=np.uint8), (500, 2))[:, :250]
    wide = np.repeat(np.repeat(ramp, 2, axis=0), 2, axis=1)  # gray value g covers columns 2 g and 2 g + 1
    left = 90.3
    crop = mouth_crop(wide, box_with_mouth_square(left, 100.0, side)).astype(float)
    columns = left + (np.arange(96) + 0.5) * side / 96 - 0.5
    # the stairs of the ramp are half a gray value high, rounding adds a half
    assert np.abs(crop.mean(axis=0) - (columns - 0.5) / 2).max() < 1.05
    assert (
        abs((crop.mean(axis=0) - (columns - 0.5) / 2).mean()) < 0.3
    )  # rounding twice lifts by up to a quarter


def test_beyond_the_frame_its_edge_goes_on():
    frame = np.full((100, 100), 77, dtype=np.uint8)
    assert (mouth_crop(frame, np.array([-60.0, 70.0, 90.0, 90.0])) == 77).all()


@pytest.mark.parametrize("box", [[np.nan] * 4, [0, 0, 0, 10], [0, 0, 10, -1], [np.inf, 0, 10, 10]])
def test_a_box_that_is_none_is_refused(box):
    with pytest.raises(ValueError, match="finite face box"):
        mouth_crop(np.zeros((100, 100), np.uint8), np.array(box))
    with pytest.raises(ValueError, match="finite face box"):
        face_crop(np.zeros((100, 100), np.uint8), np.array(box))


def test_a_face_crop_shows_the_box_in_its_middle_with_a_border_of_a_fifth():
    frame = np.random.default_rng(0).integers(0, 256, (400, 400)).astype(np.uint8)
    blocks = frame[60 : 60 + 224, 100 : 100 + 224].reshape(112, 2, 112, 2).mean(axis=(1, 3))
    width = 224 / FACE_SIDE
    crop = face_crop(frame, np.array([100 + 0.2 * width, 60 + 0.2 * width, width, width]))
    assert crop.shape == (112, 112) and crop.dtype == np.uint8
    assert np.abs(crop - blocks).max() <= 1.0  # two roundings to whole gray values


@pytest.mark.parametrize("box", [[120, 90, 160, 160], [120, 90, 160, 150]])
def test_the_mouth_has_its_place_in_the_face_crop(box):
    """A bump at a pixel of the mouth crop lies where the map says in the face crop, whatever the box."""
    rows, columns = np.mgrid[:400, :400]
    face, mouth = np.array(box, float), crop_to_mouth("face112")
    for there in ([55.0, 70.0], [62.0, 78.0]):
        side, (x, y, width, height) = MOUTH_SIDE * face[2], face
        left, top = x + (width - side) / 2, y + MOUTH_DOWN * height - side / 2
        wanted = mouth @ [*there, 1.0]  # in the mouth crop
        centre = np.array([left, top]) + (wanted[:2] + 0.5) * side / 96 - 0.5  # in the frame
        bump = 250 * np.exp(-((columns - centre[0]) ** 2 + (rows - centre[1]) ** 2) / 60)
        for cut, at in ((face_crop, np.array(there)), (mouth_crop, wanted[:2])):
            shown = cut(bump.astype(np.uint8), face).astype(float)
            found = [np.average(np.arange(len(shown)), weights=shown.sum(axis=k)) for k in (0, 1)]
            np.testing.assert_allclose(found, at, atol=0.15)  # whole gray values
    np.testing.assert_array_equal(crop_to_mouth("mouth96_box"), np.eye(3))


def test_an_unknown_crop_has_no_place():
    with pytest.raises(ValueError, match="got 'eyes99'"):
        crop_to_mouth("eyes99")
