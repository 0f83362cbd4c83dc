"""The mouth of another time of the same face, blended in: on crops and on whole frames alike."""

from dataclasses import dataclass

import cv2
import numpy as np

from avloc.features.crops import MOUTH_DOWN, MOUTH_SIDE

CROP_PX = 96


@dataclass(frozen=True, slots=True)
class MouthEdit:
    """Frames ``[first, last)`` of an item get the mouth of ``source_frames`` of a clip.

    ``source_frames`` (last - first,) index the clip that the mouth is from; ``mask`` (96, 96) in [0, 1] is
    the weight of the new mouth; ``blur_px`` softens it as generators do (0: not at all); ``gate``
    (last - first,) in [0, 1] is the weight of each frame, None for all of it.
    """

    first: int
    last: int
    source_frames: np.ndarray
    mask: np.ndarray
    blur_px: float
    gate: np.ndarray | None = None

    def strength(self, k: int) -> float:
        """Weight of the ``k``-th frame."""
        return 1.0 if self.gate is None else float(self.gate[k])


def draw_mask(rng: np.random.Generator) -> np.ndarray:
    """Soft ellipse over the mouth (96, 96), of random size, place and softness."""
    rows, columns = np.mgrid[:CROP_PX, :CROP_PX].astype(np.float32)
    centre = rng.uniform([44, 44], [52, 54])
    radii = rng.uniform([26, 18], [42, 34])
    reach = np.sqrt(((columns - centre[0]) / radii[0]) ** 2 + ((rows - centre[1]) / radii[1]) ** 2)
    softness = rng.uniform(0.08, 0.35)
    return np.clip((1 + softness - reach) / (2 * softness), 0, 1).astype(np.float32)


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


def blend_crops(mouth: np.ndarray, source: np.ndarray, edit: MouthEdit) -> np.ndarray:
    """Apply ``edit`` to the crops (T, 96, 96) uint8 of an item with those of the source clip; a new array."""
    out = mouth.copy()
    for k, frame in enumerate(range(edit.first, edit.last)):
        new = source[edit.source_frames[k]]
        out[frame] = _blend(mouth[frame], new, edit.mask, edit.blur_px, edit.strength(k))
    return out


def blend_frames(
    frames: np.ndarray, boxes: np.ndarray, source: np.ndarray, source_boxes: np.ndarray, edit: MouthEdit
) -> np.ndarray:
    """Apply ``edit`` to frames (T, H, W, 3) uint8 through the face boxes (T, 4) of both; a new array."""
    out = frames.copy()
    for k, frame in enumerate(range(edit.first, edit.last)):
        other = int(edit.source_frames[k])
        if not (np.isfinite(boxes[frame]).all() and np.isfinite(source_boxes[other]).all()):
            continue
        to_host, to_source = _crop_to_frame(boxes[frame]), _crop_to_frame(source_boxes[other])
        between = to_host @ np.linalg.inv(to_source)  # source frame to host frame
        size = (frames.shape[2], frames.shape[1])
        moved = cv2.warpAffine(source[other], between[:2], size, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpAffine(edit.mask, to_host[:2], size)
        x, y, width, height = cv2.boundingRect((mask > 0).astype(np.uint8))
        if width == 0 or height == 0:
            continue
        region = (slice(y, y + height), slice(x, x + width))
        out[frame][region] = _blend(
            frames[frame][region], moved[region], mask[region], edit.blur_px, edit.strength(k)
        )
    return out


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


def _crop_to_frame(box: np.ndarray) -> np.ndarray:
    """Map (3, 3) from pixels of the mouth crop to those of the frame, as ``mouth_crop`` cuts it."""
    x, y, width, height = (float(v) for v in box)
    side = MOUTH_SIDE * width
    step = side / CROP_PX
    left, top = x + (width - side) / 2, y + MOUTH_DOWN * height - side / 2
    return np.array(
        [[step, 0, left + 0.5 * step - 0.5], [0, step, top + 0.5 * step - 0.5], [0, 0, 1]], dtype=np.float64
    )
