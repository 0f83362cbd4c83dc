"""A disguised mouth: the same times, another face, and points that stay on what they mark."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from avloc.training.disguise import _draw_mouth, _paint, disguise_mouth

SPOTS = np.array([[34.0, 40.0], [62.0, 40.0], [48.0, 60.0]])


def make_clip(n_frames: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """White spots on black that sink by half a pixel a frame, and where they are."""
    spots = SPOTS[None] + np.arange(n_frames)[:, None, None] * [0.0, 0.5]
    outer = spots[:, np.arange(20) % 3]
    closed = np.repeat(spots.mean(1, keepdims=True), 20, axis=1)  # nothing is seen between these lips
    lips = np.concatenate((outer, closed), axis=1)
    row, column = np.mgrid[0:96, 0:96]
    crops = np.zeros((n_frames, 96, 96), np.float32)
    for t in range(n_frames):
        for x, y in spots[t]:
            crops[t] += 200 * np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * 2.0**2))
    return crops.clip(0, 255).astype(np.uint8), lips


def brightest_near(picture: np.ndarray, point: np.ndarray, reach: int = 9) -> np.ndarray:
    """Place of the maximum of the blurred picture around a point."""
    left, top = (max(0, int(v) - reach) for v in point)
    part = cv2.GaussianBlur(picture, (0, 0), 2.0)[top : top + 2 * reach, left : left + 2 * reach]
    y, x = np.unravel_index(part.argmax(), part.shape)
    return np.array([left + x, top + y])


def test_points_stay_on_what_they_mark():
    crops, points = make_clip()
    errors = []
    for seed in range(40):
        shown, followed, _ = disguise_mouth(np.random.default_rng(seed), crops, points)
        for t in (0, 11):
            inside = ((followed[t, :3] > 12) & (followed[t, :3] < 84)).all(1)
            errors += [np.abs(brightest_near(shown[t], p) - p).max() for p in followed[t, :3][inside]]
    assert len(errors) > 150
    # A cover, a dark exposure or coarse pixels hide some spots.
    assert np.median(errors) <= 1.0 and np.quantile(errors, 0.8) <= 3.0


def test_mirroring_is_told():
    crops, points = make_clip(1)
    told = []
    for seed in range(40):
        _, followed, mirrored = disguise_mouth(np.random.default_rng(seed), crops, points)
        assert mirrored == (followed[0, 0, 0] > followed[0, 1, 0])
        told.append(mirrored)
    assert 10 <= sum(told) <= 30


def test_unknown_points_stay_unknown_and_no_points_stay_none():
    crops, points = make_clip(3)
    points[1] = np.nan
    _, followed, _ = disguise_mouth(np.random.default_rng(0), crops, points)
    assert np.isnan(followed[1]).all() and np.isfinite(followed[[0, 2]]).all()
    assert disguise_mouth(np.random.default_rng(0), crops)[1] is None


def test_the_same_state_gives_the_same_and_the_input_is_not_touched():
    crops, _ = make_clip(4)
    before = crops.copy()
    first, second = (disguise_mouth(np.random.default_rng(3), crops)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(crops, before)
    assert first.shape == crops.shape and first.dtype == np.uint8
    assert not np.array_equal(first, disguise_mouth(np.random.default_rng(4), crops)[0])


@pytest.mark.parametrize("seed", range(4))
def test_an_empty_clip_stays_empty(seed):
    assert disguise_mouth(np.random.default_rng(seed), np.zeros((0, 96, 96), np.uint8))[0].shape == (
        0,
        96,
        96,
    )


def test_an_open_mouth_is_painted_and_a_closed_one_is_not():
    rng = np.random.default_rng(0)
    angle = -np.pi + 2 * np.pi * np.arange(20) / 20
    ring = np.stack((np.cos(angle), -np.sin(angle)), axis=1)  # from the left corner along the lower lip
    picture = np.full((96, 96), 128, np.uint8)
    mouths = [replace(_draw_mouth(rng), lip_gain=1.0) for _ in range(20)]
    for height, painted in ((8.0, True), (0.0, False)):
        lips = np.concatenate((48 + ring * [24, 12 + height], 48 + ring * [18, height]))
        shown = [_paint(picture, lips, mouth).astype(float) for mouth in mouths]
        assert all((one[:24] == 128).all() and (one[72:] == 128).all() for one in shown)  # the face stays
        middle = np.abs([one[46:51, 46:51].mean() - 128 for one in shown]).mean()
        assert middle > 40 if painted else middle < 1
    pale = _paint(picture, lips, replace(mouths[0], lip_gain=1.5))
    assert pale[48 + 8, 48] > 180 and pale[10, 48] == 128
