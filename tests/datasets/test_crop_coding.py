"""Coded crops: few bytes, little loss, any number of frames."""

import lzma

import numpy as np
import pytest

from avloc.datasets.crop_coding import SIDE, decode_crops, encode_crops


def moving(n_frames: int, side: int = 96) -> np.ndarray:
    """A smooth face-like picture whose middle opens and closes, with the noise of a camera."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    skin = 120 + 40 * np.sin(3 * x) * np.cos(2 * y)
    opening = 60 * np.exp(-((x - 0.5) ** 2 + (y - 0.6) ** 2) / 0.02)
    frames = [skin - opening * (1 + np.sin(t / 3)) / 2 for t in range(n_frames)]
    return np.clip(np.array(frames) + rng.normal(0, 1, (n_frames, side, side)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("n_frames", "side"), [(75, 96), (8, 96), (1, 96), (13, 112)])
def test_crops_come_back_with_little_loss(n_frames, side):
    crops = moving(n_frames, side)
    again = decode_crops(encode_crops(crops), crops.shape)
    assert again.dtype == np.uint8 and again.shape == crops.shape
    error = (again.astype(float) - crops) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 42


def test_a_smaller_step_loses_less():
    crops = moving(16)
    errors = [
        np.abs(
            decode_crops(encode_crops(crops, step=step), crops.shape, step=step).astype(int) - crops
        ).mean()
        for step in (1.0, 8.0, 64.0)
    ]
    assert errors[0] < 0.3 < errors[1] < errors[2]


def test_coded_crops_compress_well():
    coded = encode_crops(moving(75))
    assert coded.dtype == np.uint8 and coded.shape == (2, 80 * 96 * 96)
    assert len(lzma.compress(coded.tobytes())) < 75 * 500


def test_no_frames_are_no_crops():
    empty = np.zeros((0, 96, 96), np.uint8)
    assert decode_crops(encode_crops(empty), empty.shape).shape == (0, 96, 96)


def test_a_wrong_size_is_refused():
    with pytest.raises(ValueError, match="reshape"):
        decode_crops(encode_crops(moving(8)), (8 * SIDE, 96, 96))
