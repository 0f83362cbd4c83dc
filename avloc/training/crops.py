"""Variation of mouth crops: what changes from one camera and face box to another, constant over a clip."""

import cv2
import numpy as np


def vary_crops(rng: np.random.Generator, crops: np.ndarray) -> np.ndarray:
    """Move, scale, mirror, blur and re-expose a clip of crops, the same way in every frame.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    crops : np.ndarray [shape=(T, 96, 96), uint8]
        Gray mouth crops.

    Returns
    -------
    np.ndarray [shape=(T, 96, 96), uint8]
        A new array.
    """
    scale, angle = rng.uniform(0.85, 1.15), rng.uniform(-8, 8)
    placement = cv2.getRotationMatrix2D((48, 48), angle, scale)
    placement[:, 2] += rng.uniform(-6, 6, size=2)
    if rng.random() < 0.5:
        placement[0] = np.array([0.0, 0.0, 95.0]) - placement[0]
    gain, offset, gamma = rng.uniform(0.7, 1.3), rng.uniform(-25, 25), np.exp(rng.uniform(-0.3, 0.3))
    table = np.clip(255 * (np.arange(256) / 255) ** gamma * gain + offset, 0, 255).astype(np.uint8)
    blur = rng.uniform(0.4, 1.5) if rng.random() < 0.3 else 0.0
    small = int(rng.integers(32, 80)) if rng.random() < 0.3 else 0  # a face that is far away
    varied = np.empty_like(crops)
    for k, crop in enumerate(crops):
        moved = cv2.warpAffine(
            crop, placement, (96, 96), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        if small:
            moved = cv2.resize(cv2.resize(moved, (small, small), interpolation=cv2.INTER_AREA), (96, 96))
        if blur:
            moved = cv2.GaussianBlur(moved, (0, 0), blur)
        varied[k] = table[moved]
    if rng.random() < 0.5:
        noise = rng.normal(0, rng.uniform(1, 6), size=crops.shape)
        varied = np.clip(varied + noise, 0, 255).astype(np.uint8)
    return varied
