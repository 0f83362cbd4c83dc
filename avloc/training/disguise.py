"""A mouth as another face before another camera would show it; the points of its lips go along.

Far wider than ``avloc.training.crops``: for learning how lips and speech go together from very few faces. No
trace of a forgery would survive it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from avloc.datasets.lips import N_LIP_POINTS
from avloc.features.crops import MOUTH_CROP_PX

CENTRE = (MOUTH_CROP_PX - 1) / 2
LOWER_MIDDLE, UPPER_MIDDLE = 5, 15  # of a contour
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
class _Mouth:
    """What is between the lips, gray values and heights: upper teeth, tongue or lower teeth, and the cavity.

    ``lip_gain``: how much brighter the lips are.
    """

    teeth: float
    teeth_px: float
    cavity: float
    tongue: float
    tongue_px: float
    lip_gain: float


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
    rng: np.random.Generator, crops: np.ndarray, lips: np.ndarray | None = None, *, repaint: bool = True
) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """Show a clip of mouth crops as another face, light and camera would.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    crops : np.ndarray [shape=(T, 96, 96), uint8]
        Gray crops of one clip.
    lips : np.ndarray [shape=(T, 40, 2), px of the crop], optional
        Contours that go along, as ``datasets.lips`` gives them; NaN stays NaN. Where they are known, teeth,
        tongue and the colour of the lips become another's too.
    repaint : bool
        Whether they do.

    Returns
    -------
    np.ndarray [shape=(T, 96, 96), uint8]
        New crops.
    np.ndarray [shape=(T, 40, 2), float32] or None
        The contours, in their old order.
    bool
        Whether left and right have changed sides.
    """
    placement, look = _draw_placement(rng, len(crops)), _draw_look(rng)
    known = np.zeros(len(crops), bool) if lips is None else np.isfinite(lips).all((1, 2))
    mouth = _draw_mouth(rng) if rng.random() < 0.7 and repaint else None
    shown = np.empty_like(crops)
    for t, crop in enumerate(crops):
        if known[t] and mouth is not None:
            crop = _paint(crop, lips[t], mouth)
        source = cv2.transform(placement.base, placement.steps[t]) + np.float32(CENTRE)
        moved = cv2.remap(crop, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        shown[t] = _expose(rng, moved, look)
    if lips is None:
        return shown, None, placement.mirrored
    followed = placement.follow(np.where(known[:, None, None], lips, 0.0))
    followed[~known] = np.nan
    return shown, followed, placement.mirrored


def _draw_placement(rng: np.random.Generator, n_frames: int) -> _Placement:
    scale, aspect = np.exp(rng.normal(0, 0.16)), np.exp(rng.normal(0, 0.1))
    angle, shear = np.deg2rad(rng.normal(0, 7)), rng.normal(0, 0.06)
    move, mirrored = rng.normal(0, 6.0, size=2), bool(rng.random() < 0.5)
    still = _turn(angle) @ np.array([[1, shear], [0, 1]]) @ np.diag([scale * aspect, scale / aspect])
    if mirrored:
        still = still @ np.diag([-1.0, 1.0])
    steps = np.tile(np.column_stack((still, np.zeros(2))), (n_frames, 1, 1))
    if rng.random() < 0.7:
        frames = rng.uniform(6, 30)  # between two turns of the head
        reach = np.exp(rng.uniform(np.log(0.3), np.log(8.0)))  # px
        turns = np.deg2rad(_drift(rng, n_frames, frames, 0.8 * reach))
        sizes = np.exp(_drift(rng, n_frames, frames, 0.01 * reach))
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


def _draw_mouth(rng: np.random.Generator) -> _Mouth:
    return _Mouth(
        teeth=rng.uniform(110, 240),
        teeth_px=rng.uniform(2, 7) if rng.random() < 0.7 else 0.0,
        cavity=rng.uniform(5, 80),
        tongue=rng.uniform(60, 220),
        tongue_px=rng.uniform(1, 5) if rng.random() < 0.4 else 0.0,
        lip_gain=np.exp(rng.normal(0, 0.25)),
    )


def _paint(picture: np.ndarray, lips: np.ndarray, mouth: _Mouth) -> np.ndarray:
    """Give a crop other lips and what is between them."""
    outer, inner = lips[: N_LIP_POINTS // 2], lips[N_LIP_POINTS // 2 :]
    opening, ring = _inside(inner), _inside(outer)
    row = np.arange(MOUTH_CROP_PX, dtype=np.float32)[:, None]
    upper, lower = inner[UPPER_MIDDLE, 1], inner[LOWER_MIDDLE, 1]
    inside = np.full((MOUTH_CROP_PX, 1), mouth.cavity, np.float32)
    inside = np.where(row > lower - mouth.tongue_px, np.float32(mouth.tongue), inside)
    inside = np.where(row < upper + mouth.teeth_px, np.float32(mouth.teeth), inside)
    # Closed lips hide what is between them, though their contour has a width of a pixel.
    shown = opening * np.float32(np.clip((lower - upper) / 3.0, 0.0, 1.0))
    painted = picture * (1 + np.float32(mouth.lip_gain - 1) * (ring - opening).clip(0, 1))
    return np.clip(painted * (1 - shown) + inside * shown, 0, 255).astype(np.uint8)


def _inside(contour: np.ndarray) -> np.ndarray:
    """Share of each pixel inside a closed contour (P, 2), with a soft edge; float32 (96, 96)."""
    mask = np.zeros((MOUTH_CROP_PX, MOUTH_CROP_PX), np.uint8)
    fixed = np.round(contour * 16).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, lineType=cv2.LINE_AA, shift=4)
    return cv2.GaussianBlur(mask, (5, 5), 0.8).astype(np.float32) * np.float32(1 / 255)


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
