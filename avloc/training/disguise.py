"""A mouth as another face before another camera would show it; the points of its lips go along.

Far wider than ``avloc.training.crops``: for learning how lips and speech go together from very few faces. No
trace of a forgery would survive it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from avloc.features.crops import MOUTH_CROP_PX

CENTRE = (MOUTH_CROP_PX - 1) / 2
BEND_GRID = 5  # control points to a side of the smooth field that bends a face into another


@dataclass(frozen=True, slots=True)
class _Placement:
    """Where each pixel comes from: ``steps[t] @ [base, 1]``, both measured from the middle of the crop.

    ``base`` (96, 96, 2) px is a pixel's place, moved and bent; ``bend`` (96, 96, 2) px its bent part;
    ``move`` (2,) px; ``steps`` (T, 2, 3) scale, turn, shear and mirror it, with the slow drift of a head.
    """

    base: np.ndarray
    bend: np.ndarray
    move: np.ndarray
    steps: np.ndarray
    mirrored: bool

    def follow(self, points: np.ndarray) -> np.ndarray:
        """Say where points (T, P, 2) px of the crops are shown."""
        linear, shift = self.steps[:, :, :2], self.steps[:, :, 2]
        there = np.linalg.solve(linear, (points - CENTRE - shift[:, None]).transpose(0, 2, 1))
        flat = there.transpose(0, 2, 1) + CENTRE + self.move
        shown = flat
        for _ in range(3):  # the field is smooth: it bends a place as it bends the place's neighbours
            column, row = np.clip(np.rint(shown), 0, MOUTH_CROP_PX - 1).astype(int).transpose(2, 0, 1)
            shown = flat - self.bend[row, column]
        return shown.astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Look:
    """Exposure ``table`` (256,), ``shade`` (96, 96) or None, blur and noise, coarse pixels, JPEG quality.

    ``cover`` is (left, top, right, bottom, gray value) of something before the mouth, or None.
    """

    table: np.ndarray
    shade: np.ndarray | None
    cover: tuple[int, int, int, int, int] | None
    small_px: int
    blur_px: float
    noise: float
    quality: int


def disguise_mouth(
    rng: np.random.Generator, crops: np.ndarray, points: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """Show a clip of mouth crops as another face, light and camera would.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    crops : np.ndarray [shape=(T, 96, 96), uint8]
        Gray crops of one clip.
    points : np.ndarray [shape=(T, P, 2), px of the crop], optional
        Points that go along; NaN stays NaN.

    Returns
    -------
    np.ndarray [shape=(T, 96, 96), uint8]
        New crops.
    np.ndarray [shape=(T, P, 2), float32] or None
        The points, in their old order.
    bool
        Whether left and right have changed sides.
    """
    placement, look = _draw_placement(rng, len(crops)), _draw_look(rng)
    shown = np.empty_like(crops)
    for t, crop in enumerate(crops):
        source = cv2.transform(placement.base, placement.steps[t]) + np.float32(CENTRE)
        moved = cv2.remap(crop, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        shown[t] = _expose(rng, moved, look)
    followed = None
    if points is not None:
        known = np.isfinite(points).all((1, 2))
        followed = np.full(points.shape, np.nan, dtype=np.float32)
        followed[known] = placement.follow(np.where(known[:, None, None], points, 0.0))[known]
    return shown, followed, placement.mirrored


def _draw_placement(rng: np.random.Generator, n_frames: int) -> _Placement:
    scale, aspect = np.exp(rng.normal(0, 0.13)), np.exp(rng.normal(0, 0.06))
    angle, shear = np.deg2rad(rng.normal(0, 7)), rng.normal(0, 0.06)
    move, mirrored = rng.normal(0, 6.0, size=2), bool(rng.random() < 0.5)
    still = _turn(angle) @ np.array([[1, shear], [0, 1]]) @ np.diag([scale * aspect, scale / aspect])
    if mirrored:
        still = still @ np.diag([-1.0, 1.0])
    steps = np.tile(np.column_stack((still, np.zeros(2))), (n_frames, 1, 1))
    if rng.random() < 0.6:
        frames = rng.uniform(6, 30)  # between two turns of the head
        reach = rng.uniform(0.2, 2.4)
        turns = np.deg2rad(_drift(rng, n_frames, frames, rng.uniform(0, 2.5)))
        sizes = np.exp(_drift(rng, n_frames, frames, rng.uniform(0, 0.03)))
        for t in range(n_frames):
            steps[t, :, :2] = still @ _turn(turns[t]) * sizes[t]
        steps[:, :, 2] = np.column_stack([_drift(rng, n_frames, frames, reach) for _ in range(2)])
    bend = np.zeros((MOUTH_CROP_PX, MOUTH_CROP_PX, 2), np.float32)
    if rng.random() < 0.7:
        bend = _field(rng.normal(0, rng.uniform(0, 3.0), size=(BEND_GRID, BEND_GRID, 2)))
    row, column = np.mgrid[0:MOUTH_CROP_PX, 0:MOUTH_CROP_PX]
    base = np.stack((column, row), axis=-1) - CENTRE - move + bend
    return _Placement(base.astype(np.float32), bend, move, steps, mirrored)


def _draw_look(rng: np.random.Generator) -> _Look:
    value = (np.arange(256) / 255) ** np.exp(rng.normal(0, 0.35))
    if rng.random() < 0.4:  # any rising curve: skin, lips and teeth differ from face to face
        knots = np.concatenate(([0.0], np.cumsum(rng.uniform(0.2, 1.0, size=5))))
        value = np.interp(value, np.linspace(0, 1, 6), knots / knots[-1])
    gain, offset = np.exp(rng.normal(0, 0.25)), rng.normal(0, 0.1)
    cover = None
    if rng.random() < 0.1:
        left, top = rng.integers(0, MOUTH_CROP_PX - 12, size=2)
        width, height = rng.integers(12, 44, size=2)
        cover = (int(left), int(top), int(left + width), int(top + height), int(rng.integers(256)))
    return _Look(
        table=np.clip(255 * ((value - 0.5) * gain + 0.5 + offset), 0, 255).astype(np.uint8),
        shade=_field(np.exp(rng.normal(0, 0.25, size=(3, 3)))) if rng.random() < 0.5 else None,
        cover=cover,
        small_px=int(rng.integers(24, 80)) if rng.random() < 0.3 else 0,
        blur_px=rng.uniform(0.6, 2.6) if rng.random() < 0.3 else 0.0,
        noise=rng.uniform(1, 8) if rng.random() < 0.5 else 0.0,
        quality=int(rng.integers(15, 70)) if rng.random() < 0.3 else 0,
    )


def _expose(rng: np.random.Generator, picture: np.ndarray, look: _Look) -> np.ndarray:
    picture = look.table[picture]
    if look.shade is not None:
        picture = cv2.multiply(picture, look.shade, dtype=cv2.CV_8U)
    if look.cover is not None:
        left, top, right, bottom, value = look.cover
        picture[top:bottom, left:right] = value
    if look.small_px:
        small = cv2.resize(picture, (look.small_px, look.small_px), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (MOUTH_CROP_PX, MOUTH_CROP_PX))
    if look.blur_px:
        picture = cv2.GaussianBlur(picture, (0, 0), look.blur_px)
    if look.noise:
        grain = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(look.noise)
        picture = cv2.add(picture, grain, dtype=cv2.CV_8U)
    if look.quality:
        coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, look.quality])[1]
        picture = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
    return picture


def _turn(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _drift(rng: np.random.Generator, n_frames: int, frames: float, spread: float) -> np.ndarray:
    """Go from one random value to the next in ``frames`` frames each; (n_frames,)."""
    n_values = int(n_frames / frames) + 3
    place = np.arange(n_frames) / frames + rng.random()
    return np.interp(place, np.arange(n_values), rng.normal(0, spread, size=n_values))


def _field(control: np.ndarray) -> np.ndarray:
    """Smooth field over the crop through a few control values; float32."""
    size = (MOUTH_CROP_PX, MOUTH_CROP_PX)
    return cv2.resize(control.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
