"""Variation of crops: what changes from one camera and face box to another, constant over a clip."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from avloc.features.crops import MOUTH_CROP_PX, crop_to_mouth


@dataclass(frozen=True, slots=True)
class _Variation:
    """How a clip is seen; lengths in pixels of the mouth crop.

    ``move`` (2,) px, ``small`` pixels across the mouth of a face that is far away (0: near), ``table`` (256,)
    uint8 of the exposure.
    """

    scale: float
    angle: float
    move: np.ndarray
    mirrored: bool
    table: np.ndarray
    blur_px: float
    small: int


def vary_crops(rng: np.random.Generator, crops: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Move, scale, mirror, blur and re-expose a clip of crops, the same way in every frame and every crop.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    crops : mapping of str to np.ndarray [shape=(T, H, W), uint8]
        Gray crops of one clip by name.

    Returns
    -------
    dict of str to np.ndarray [uint8]
        New arrays of the same shapes.
    """
    variation = _draw(rng)
    varied = {name: _apply(variation, name, crop) for name, crop in crops.items()}
    if rng.random() < 0.5:
        spread = rng.uniform(1, 6)  # of the noise, in gray values
        for name, crop in varied.items():
            varied[name] = np.clip(crop + rng.normal(0, spread, size=crop.shape), 0, 255).astype(np.uint8)
    return varied


def _draw(rng: np.random.Generator) -> _Variation:
    scale, angle = rng.uniform(0.85, 1.15), rng.uniform(-8, 8)
    move, mirrored = rng.uniform(-6, 6, size=2), bool(rng.random() < 0.5)
    gain, offset, gamma = rng.uniform(0.7, 1.3), rng.uniform(-25, 25), np.exp(rng.uniform(-0.3, 0.3))
    table = np.clip(255 * (np.arange(256) / 255) ** gamma * gain + offset, 0, 255).astype(np.uint8)
    blur_px = rng.uniform(0.4, 1.5) if rng.random() < 0.3 else 0.0
    small = int(rng.integers(32, 80)) if rng.random() < 0.3 else 0
    return _Variation(scale, angle, move, mirrored, table, blur_px, small)


def _apply(variation: _Variation, name: str, crops: np.ndarray) -> np.ndarray:
    """Show crops (T, size, size) as the camera of ``variation`` would."""
    size = crops.shape[-1]
    to_mouth = crop_to_mouth(name)
    coarseness = to_mouth[0, 0]  # pixels of the mouth crop a pixel
    # The camera moves about the middle of the mouth, so every crop shows the lips at the same place.
    middle = (MOUTH_CROP_PX / 2, MOUTH_CROP_PX / 2)
    of_mouth = np.vstack([cv2.getRotationMatrix2D(middle, variation.angle, variation.scale), [0.0, 0.0, 1.0]])
    of_mouth[:2, 2] += variation.move
    if variation.mirrored:
        of_mouth[0] = np.array([0.0, 0.0, MOUTH_CROP_PX - 1.0]) - of_mouth[0]
    placement = (np.linalg.inv(to_mouth) @ of_mouth @ to_mouth)[:2]
    small = round(variation.small * size / MOUTH_CROP_PX * coarseness)
    blur_px = variation.blur_px / coarseness
    varied = np.empty_like(crops)
    for k, crop in enumerate(crops):
        moved = cv2.warpAffine(
            crop, placement, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        if 0 < small < size:
            moved = cv2.resize(cv2.resize(moved, (small, small), interpolation=cv2.INTER_AREA), (size, size))
        if blur_px:
            moved = cv2.GaussianBlur(moved, (0, 0), blur_px)
        varied[k] = variation.table[moved]
    return varied
