"""Picture: which frames an item shows and what was done to them, on crops and on whole frames alike."""

from dataclasses import dataclass

import cv2
import numpy as np

from avloc.datasets.talking_faces import FaceClip
from avloc.synth.mouth import MouthEdit, blend_crops, blend_frames

DRIFT_PX = 1.5  # a frame, of the camera over pictures without a face


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture of an item of T frames.

    Parameters
    ----------
    clip : int
        Index of the clip in its :class:`TalkingFaces`.
    frames : np.ndarray [shape=(T,), int]
        The clip's frame that is shown.
    beneath : np.ndarray [shape=(T,), int] or None
        The clip's frame that shines through, where one dissolves into another.
    weight : np.ndarray [shape=(T,), range [0, 0.5]] or None
        How much of it.
    mouth_edit : MouthEdit or None
        How the mouth was forged, in frames of the item, with the mouth of clip ``source``.
    covered : (int, int) or None
        Frames of the item that show something else, without a face, drawn from ``cover_seed``.
    """

    clip: int
    frames: np.ndarray
    beneath: np.ndarray | None = None
    weight: np.ndarray | None = None
    mouth_edit: MouthEdit | None = None
    source: int = -1
    covered: tuple[int, int] | None = None
    cover_seed: int = 0


def show_crops(
    picture: Picture, clip: FaceClip, source: FaceClip | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Make the crops (T, H, W) uint8 of an item by name and whether a face is there (T,)."""
    crops = {name: _dissolved(picture, crop) for name, crop in clip.crops.items()}
    present = clip.present[picture.frames]
    if picture.mouth_edit is not None:
        crops = blend_crops(crops, source.crops, picture.mouth_edit)
    if picture.covered is not None:
        hidden = slice(*picture.covered)
        crops = {name: crop.copy() for name, crop in crops.items()}
        for crop in crops.values():
            crop[hidden] = 0
        present[hidden] = False
    return crops, present


def show_frames(
    picture: Picture,
    frames: np.ndarray,
    boxes: np.ndarray,
    source: np.ndarray | None = None,
    source_boxes: np.ndarray | None = None,
) -> np.ndarray:
    """Make the colour frames (T, H, W, 3) uint8 of an item from all frames of its clips and their boxes."""
    shown = _dissolved(picture, frames)
    if picture.mouth_edit is not None:
        shown = blend_frames(shown, boxes[picture.frames], source, source_boxes, picture.mouth_edit)
    if picture.covered is not None:
        first, last = picture.covered
        cover = draw_cover(picture.cover_seed, last - first, *shown.shape[1:3])
        shown = np.concatenate([shown[:first], cover, shown[last:]])
    return shown


def _dissolved(picture: Picture, clip: np.ndarray) -> np.ndarray:
    """Choose and dissolve frames of ``clip``; a view where they follow each other: they may be gigabytes."""
    if picture.weight is None and (np.diff(picture.frames) == 1).all():
        return clip[picture.frames[0] : picture.frames[-1] + 1]
    shown = clip[picture.frames]
    for k in np.flatnonzero(picture.weight) if picture.weight is not None else ():
        under = clip[picture.beneath[k]].astype(np.float32)
        weight = float(picture.weight[k])
        shown[k] = np.round(shown[k] * (1 - weight) + under * weight).astype(np.uint8)
    return shown


def draw_cover(seed: int, n_frames: int, height: int, width: int) -> np.ndarray:
    """Draw ``n_frames`` pictures (n, height, width, 3) uint8 of soft colours under a drifting camera."""
    rng = np.random.default_rng(seed)
    reach = int(np.ceil(DRIFT_PX * n_frames)) + 1
    scene = np.zeros((height + reach, width + reach, 3), dtype=np.float32)
    for size in (4, 12, 40):
        coarse = rng.standard_normal((size, size, 3)).astype(np.float32)
        scene += cv2.resize(coarse, scene.shape[1::-1], interpolation=cv2.INTER_CUBIC) * (40 / size**0.3)
    scene += (
        rng.uniform(60, 190, 3).astype(np.float32) + rng.standard_normal(scene.shape, dtype=np.float32) * 2
    )
    pixels = np.clip(scene, 0, 255).astype(np.uint8)
    way = rng.uniform(0, DRIFT_PX, 2)
    places = [(int(way[0] * k), int(way[1] * k)) for k in range(n_frames)]
    return np.stack([pixels[y : y + height, x : x + width] for y, x in places])
