"""The mouth of another time of the same face, blended in: on crops and on whole frames alike."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from avloc.features.crops import MOUTH_CROP_PX, crop_to_frame, crop_to_mouth, mouth_square


@dataclass(frozen=True, slots=True)
class MouthMask:
    """Soft ellipse over the mouth, in pixels of the mouth crop; it may reach beyond the crop.

    ``centre`` and ``radii`` are (x, y); ``softness`` is half the width of the rim, in radii.
    """

    centre: tuple[float, float]
    radii: tuple[float, float]
    softness: float

    def weights(self, to_mouth: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Weight in [0, 1] of the new mouth, (H, W), in the pixels that ``to_mouth`` (3, 3) places."""
        rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
        x, y = columns * to_mouth[0, 0] + to_mouth[0, 2], rows * to_mouth[1, 1] + to_mouth[1, 2]
        reach = np.sqrt(
            ((x - self.centre[0]) / self.radii[0]) ** 2 + ((y - self.centre[1]) / self.radii[1]) ** 2
        )
        return np.clip((1 + self.softness - reach) / (2 * self.softness), 0, 1).astype(np.float32)

    def corners(self) -> np.ndarray:
        """Upper left and lower right corner of what it covers, as columns of homogeneous points (3, 2)."""
        reach = np.multiply(self.radii, 1 + self.softness)
        return np.stack([np.append(self.centre - reach, 1.0), np.append(self.centre + reach, 1.0)], axis=1)


@dataclass(frozen=True, slots=True)
class MouthEdit:
    """Frames ``[first, last)`` of an item get the mouth of ``source_frames`` of a clip.

    ``source_frames`` (last - first,) index the clip that the mouth is from; ``mask`` is
    where; ``blur_px`` softens it as generators do, in pixels of the mouth crop (0: not at all); ``gate``
    (last - first,) in [0, 1] is the weight of each frame, None for all of it.
    """

    first: int
    last: int
    source_frames: np.ndarray
    mask: MouthMask
    blur_px: float
    gate: np.ndarray | None = None

    def strength(self, k: int) -> float:
        """Weight of the ``k``-th frame."""
        return 1.0 if self.gate is None else float(self.gate[k])


def draw_mask(rng: np.random.Generator) -> MouthMask:
    """Draw an ellipse of random size, place and softness."""
    centre = rng.uniform([44, 44], [52, 54])
    radii = rng.uniform([26, 18], [42, 34])
    return MouthMask(tuple(centre.tolist()), tuple(radii.tolist()), float(rng.uniform(0.08, 0.35)))


def draw_source_frames(
    rng: np.random.Generator, present: np.ndarray, n_frames: int, away: np.ndarray | None
) -> np.ndarray | None:
    """Choose ``n_frames`` frames of a clip in which the face is seen, played forwards, backwards or held.

    ``away`` (n_frames,) are the frames that are replaced, if it is the same clip: no frame comes within 3
    frames of its own place, where it would be the genuine mouth or nearly so.
    """
    if len(present) < n_frames:
        return None
    for _ in range(12):
        start = int(rng.integers(0, len(present) - n_frames + 1))
        if present[start : start + n_frames].mean() < 0.9:
            continue
        frames = np.arange(start, start + n_frames)
        way = rng.random()
        if way < 0.3:
            frames = np.full(n_frames, frames[0]) if way < 0.1 else frames[::-1].copy()
        if away is None or np.abs(frames - away).min() > 3:
            return frames
    return None


def blend_crops(
    crops: Mapping[str, np.ndarray], source: Mapping[str, np.ndarray], edit: MouthEdit
) -> dict[str, np.ndarray]:
    """Apply ``edit`` to crops of an item, uint8 (T, H, W) by name, with those of the source clip; new arrays.

    In every crop it is the same edit at the place of the mouth, as crops of edited frames would show it.
    """
    edited = {name: crop.copy() for name, crop in crops.items()}
    for name, out in edited.items():
        to_mouth = crop_to_mouth(name)
        mask = edit.mask.weights(to_mouth, out.shape[1:])
        blur_px = edit.blur_px / to_mouth[0, 0]
        for k, frame in enumerate(range(edit.first, edit.last)):
            new = source[name][edit.source_frames[k]]
            out[frame] = _blend(crops[name][frame], new, mask, blur_px, edit.strength(k))
    return edited


def blend_frames(
    frames: np.ndarray, boxes: np.ndarray, source: np.ndarray, source_boxes: np.ndarray, edit: MouthEdit
) -> np.ndarray:
    """Apply ``edit`` to frames (T, H, W, 3) uint8 through the face boxes (T, 4) of both; a new array."""
    out = frames.copy()
    for k, frame in enumerate(range(edit.first, edit.last)):
        other = int(edit.source_frames[k])
        if not (np.isfinite(boxes[frame]).all() and np.isfinite(source_boxes[other]).all()):
            continue
        to_host, to_source = (
            crop_to_frame(mouth_square(box), MOUTH_CROP_PX) for box in (boxes[frame], source_boxes[other])
        )
        (x, right), (y, bottom) = _covered(to_host @ edit.mask.corners(), frames.shape[2], frames.shape[1])
        if x >= right or y >= bottom:
            continue
        region = (slice(y, bottom), slice(x, right))
        from_region = np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
        to_mouth = np.linalg.inv(to_host) @ from_region
        moving = np.linalg.inv(to_source @ to_mouth)  # source frame to region
        size = (right - x, bottom - y)
        moved = cv2.warpAffine(source[other], moving[:2], size, borderMode=cv2.BORDER_REPLICATE)
        mask = edit.mask.weights(to_mouth, size[::-1])
        blur_px = edit.blur_px / to_mouth[0, 0]
        out[frame][region] = _blend(frames[frame][region], moved, mask, blur_px, edit.strength(k))
    return out


def _covered(corners: np.ndarray, width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Columns and rows [first, last) of a frame between two ``corners`` (3, 2), as far as they lie in it."""
    first, last = np.floor(corners[:2, 0]), np.ceil(corners[:2, 1]) + 1
    (x, y), (right, bottom) = (
        np.clip(edge, 0, (width, height)).astype(int).tolist() for edge in (first, last)
    )
    return (x, right), (y, bottom)


def _blend(
    host: np.ndarray, source: np.ndarray, mask: np.ndarray, blur_px: float, strength: float
) -> np.ndarray:
    new = source.astype(np.float32)
    if blur_px > 0:
        new = cv2.GaussianBlur(new, (0, 0), blur_px)
    rim = (mask > 0) & (mask < 0.9)
    if rim.any():
        # Light changes from time to time; the rim of the mask says by how much, per colour.
        new = new + (host[rim].astype(np.float32).mean(axis=0) - new[rim].mean(axis=0))
    weight = strength * (mask if host.ndim == 2 else mask[:, :, None])
    return np.clip(np.round(host * (1 - weight) + new * weight), 0, 255).astype(np.uint8)
