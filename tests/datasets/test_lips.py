"""Lips come from the full pictures, in the pixels of the mouth crop, and are found once."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from avloc.datasets.lips import MIRRORED_LIPS, N_LIP_POINTS, find_lips, read_lips
from avloc.datasets.talking_faces import FaceClip
from avloc.features.crops import MOUTH_CROP_PX, mouth_crop
from avloc.media.encode import write_video

BOX = np.array([300.0, 160.0, 200.0, 200.0])  # large: the landmark model sees it smaller


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> FaceClip:
    """A bright spot on a dark picture moves under a box that stays."""
    path = tmp_path_factory.mktemp("lips") / "spot.mp4"
    row, column = np.mgrid[0:480, 0:800]
    frames = []
    for t in range(10):
        spot = 220 * np.exp(-((column - 380 - 4 * t) ** 2 + (row - 310) ** 2) / (2 * 6.0**2))
        frames.append(np.repeat(spot.astype(np.uint8)[..., None], 3, axis=2))
    write_video(path, frames, Fraction(25))
    gray = [frame[..., 0] for frame in frames]
    present = np.arange(10) != 3
    return FaceClip(
        entry=SimpleNamespace(path=Path(path), sha256="5" * 64),
        samples=np.zeros(6400, np.float32),
        crops={"mouth96_box": np.stack([mouth_crop(picture, BOX) for picture in gray])},
        present=present,
        boxes=np.where(present[:, None], BOX, np.nan).astype(np.float32),
    )


def brightest(picture: np.ndarray) -> np.ndarray:
    """Forty times the centre of what is bright."""
    weight = np.where(picture[..., 0] > 60, picture[..., 0].astype(float), 0.0)
    row, column = np.mgrid[0 : weight.shape[0], 0 : weight.shape[1]]
    centre = np.array([(weight * column).sum(), (weight * row).sum()]) / weight.sum()
    return np.tile(centre, (N_LIP_POINTS, 1))


def test_points_lie_where_the_crop_shows_them(clip):
    lips = find_lips(clip, brightest)
    assert lips.shape == (10, N_LIP_POINTS, 2) and np.isnan(lips[3]).all()
    for t in np.flatnonzero(clip.present):
        expected = brightest(clip.crops["mouth96_box"][t][..., None])
        np.testing.assert_allclose(lips[t], expected, atol=0.6)
        assert (lips[t] > 0).all() and (lips[t] < MOUTH_CROP_PX).all()


def test_lips_are_found_once_and_without_a_finder_only_the_cache_is_read(clip, tmp_path):
    calls = []

    def make_finder():
        calls.append(1)
        return brightest

    assert read_lips(clip, tmp_path, None) is None
    first = read_lips(clip, tmp_path, make_finder)
    np.testing.assert_array_equal(read_lips(clip, tmp_path, make_finder), first)
    np.testing.assert_array_equal(read_lips(clip, tmp_path, None), first)
    assert calls == [1] and len(list(tmp_path.iterdir())) == 1


def test_mirrored_lips_change_the_corners_and_keep_above_above():
    assert sorted(MIRRORED_LIPS) == list(range(N_LIP_POINTS))
    np.testing.assert_array_equal(MIRRORED_LIPS[MIRRORED_LIPS], np.arange(N_LIP_POINTS))
    assert MIRRORED_LIPS[0] == 10 and MIRRORED_LIPS[20] == 30  # corners
    assert all(MIRRORED_LIPS[k] == k for k in (5, 15, 25, 35))  # middle below and above
    assert set(MIRRORED_LIPS[1:10]) == set(range(1, 10))  # the lower lip stays the lower one
