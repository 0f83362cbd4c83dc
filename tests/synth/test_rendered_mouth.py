"""Drawn mouths: crops with exact contours, which open and close where the shapes say so."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from avloc.synth.mouth_motion import MouthShapes
from avloc.synth.rendered_mouth import render_mouth

LEFT, LOWER, RIGHT, UPPER = 0, 5, 10, 15  # of a contour, as in ``datasets.lips``


def shapes_of(n_frames: int, **values: float | np.ndarray) -> MouthShapes:
    rest = {name: np.zeros(n_frames) for name in MouthShapes.__slots__}
    return MouthShapes(**rest | {name: np.zeros(n_frames) + value for name, value in values.items()})


def test_crops_and_contours_have_the_shapes_of_real_ones_and_the_seed_decides_all():
    shapes = shapes_of(7, opening=np.linspace(0, 1, 7), jaw=0.3)
    crops, lips = render_mouth(np.random.default_rng(0), shapes)
    assert crops.shape == (7, 96, 96) and crops.dtype == np.uint8
    assert lips.shape == (7, 40, 2) and lips.dtype == np.float32 and np.isfinite(lips).all()
    again, points = render_mouth(np.random.default_rng(0), shapes)
    np.testing.assert_array_equal(crops, again)
    np.testing.assert_array_equal(lips, points)
    other, _ = render_mouth(np.random.default_rng(1), shapes)
    assert np.abs(crops.astype(int) - other).mean() > 5
    assert render_mouth(np.random.default_rng(0), shapes_of(0))[0].shape == (0, 96, 96)


@pytest.mark.parametrize("seed", range(8))
def test_contours_go_from_the_left_corner_along_the_lower_lip_and_back(seed):
    _, lips = render_mouth(np.random.default_rng(seed), shapes_of(3, opening=0.5, jaw=0.4))
    outer, inner = lips[:, :20], lips[:, 20:]
    for ring in (outer, inner):
        assert (ring[:, RIGHT, 0] - ring[:, LEFT, 0] > 15).all()
        assert (ring[:, LOWER, 1] - ring[:, UPPER, 1] > 2).all()
    assert (outer[:, UPPER, 1] < inner[:, UPPER, 1]).all() and (outer[:, LOWER, 1] > inner[:, LOWER, 1]).all()
    assert (np.abs(outer.mean((0, 1)) - 50) < 22).all()  # near the middle of the crop


@pytest.mark.parametrize("seed", range(8))
def test_what_moves_when_lips_open_is_the_mouth_and_the_jaw(seed):
    opening = np.array([0.0, 0.7])
    still, _ = render_mouth(np.random.default_rng(seed), shapes_of(2))
    moved, lips = render_mouth(np.random.default_rng(seed), shapes_of(2, opening=opening, jaw=opening))
    np.testing.assert_array_equal(still[0], moved[0])
    changed = np.abs(still[1].astype(int) - moved[1])
    outer = np.zeros((96, 96), np.uint8)
    cv2.fillPoly(outer, [np.rint(lips[1, :20]).astype(np.int32)], 1)
    inside = changed[outer > 0].mean()
    above = changed[: max(int(lips[1, :, 1].min()) - 8, 1)].mean()
    assert inside > 8 and inside > 4 * above
    gap = lips[:, 20 + LOWER, 1] - lips[:, 20 + UPPER, 1]
    assert gap[0] < 0.3 and gap[1] > 5


def test_rounded_lips_are_narrow_and_spread_ones_wide():
    shapes = shapes_of(3, opening=0.2, rounding=np.array([1.0, 0, 0]), width=np.array([-0.8, 0, 0.8]))
    _, lips = render_mouth(np.random.default_rng(4), shapes)
    width = lips[:, RIGHT, 0] - lips[:, LEFT, 0]
    assert width[0] < 0.8 * width[1] and width[2] > 1.03 * width[1]


def test_teeth_and_tongue_change_nothing_while_lips_are_closed():
    shapes = shapes_of(2, press=0.5)
    plain, _ = render_mouth(np.random.default_rng(6), shapes)
    tongue, _ = render_mouth(np.random.default_rng(6), replace(shapes, tongue=np.ones(2)))
    np.testing.assert_array_equal(plain, tongue)
