"""Mouths that are warped to a mean face: laws; the published numbers are the parity fixtures'."""

import numpy as np
import pytest

from avloc.features.mean_face import (
    MEAN_FACE,
    fill_landmarks,
    fit_similarity,
    mouth_patch,
    smooth_landmarks,
)

FACE = MEAN_FACE / 2 + 30


def test_missing_landmarks_are_filled_evenly_and_copied_at_the_ends():
    filled = fill_landmarks([None, FACE, None, FACE + 4, None])
    np.testing.assert_allclose(filled - FACE, np.array([0, 0, 2, 4, 4])[:, None, None] * np.ones((1, 4, 2)))


def test_no_landmarks_at_all_are_refused():
    with pytest.raises(ValueError, match="no frame has landmarks"):
        fill_landmarks([None, None])


def test_smoothing_keeps_the_place_of_every_frame_and_averages_the_shape():
    rng = np.random.default_rng(0)
    points = FACE + rng.normal(0, 2, (30, 4, 2))
    smoothed = smooth_landmarks(points)
    np.testing.assert_allclose(smoothed.mean(axis=1), points.mean(axis=1))
    np.testing.assert_array_equal(smoothed[[0, -1]], points[[0, -1]])  # no neighbour on one side
    assert (smoothed[15] - smoothed[15].mean(0)).std() == pytest.approx(FACE.std(axis=0).mean(), rel=0.2)
    spread = [
        np.linalg.norm(x - x.mean(1, keepdims=True) - (FACE - FACE.mean(0))) for x in (points, smoothed)
    ]
    assert spread[1] < spread[0]


@pytest.mark.parametrize("angle", [-0.4, 0.0, 1.0])
def test_a_turned_and_scaled_mean_face_is_brought_back(angle):
    turn = 1.7 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = MEAN_FACE @ turn.T + [40, -9]
    warp = fit_similarity(points)
    np.testing.assert_allclose(points @ warp[:, :2].T + warp[:, 2], MEAN_FACE, atol=1e-9)


def test_one_point_is_no_face():
    with pytest.raises(ValueError, match="at different places"):
        fit_similarity(np.ones((4, 2)))


def test_the_patch_shows_the_mouth_in_its_middle():
    frame = np.zeros((256, 256), np.uint8)
    x, y = MEAN_FACE[3].round().astype(int)
    frame[y - 1 : y + 2, x - 1 : x + 2] = 255
    patch = mouth_patch(frame, MEAN_FACE)
    assert patch.shape == (96, 96) and patch[47:50, 47:50].min() == 255


def test_a_mouth_far_from_the_canvas_is_moved_back_and_not_refused():
    points = MEAN_FACE.copy()
    points[3] += [400, 0]
    assert mouth_patch(np.full((256, 256), 7, np.uint8), points).shape == (96, 96)
