"""The lower half of a random face without its mouth: form, light, skin, and how the skin is pulled along.

Places are in pixels of the mouth crop from the middle of the closed mouth, x to the right and y down.
"""

from dataclasses import dataclass

import cv2
import numpy as np

CANVAS_PX = 128
MIDDLE = (CANVAS_PX - 1) / 2


@dataclass(frozen=True, slots=True)
class DrawnFace:
    """A face; pictures are float32 (128, 128).

    ``skin`` in gray values; ``depth`` px towards the camera, 0 at the mouth; ``with_jaw``,
    ``with_corners`` and ``with_upper_lip``: how far skin moves for a pixel of these. ``light`` (3,) points
    to the light (x, y, z), ``ambient`` is its even share. Half ``width``, heights ``upper`` and ``lower`` of
    the lips, ``bow`` and ``bow_width`` of the upper one, ``corner`` how far corners hang, ``skew`` how much
    more one side opens, all px but the last; ``widest`` opening px; ``raised`` share of it above the middle;
    gray values of ``lip``, ``teeth``, ``tongue``, ``cavity``; ``gloss``; ``teeth_at`` where the upper teeth
    end, ``tooth`` width of one, px; ``grain`` (128,) of the lips along x.
    """

    skin: np.ndarray
    depth: np.ndarray
    with_jaw: np.ndarray
    with_corners: np.ndarray
    with_upper_lip: np.ndarray
    light: np.ndarray
    ambient: float
    width: float
    upper: float
    lower: float
    bow: float
    bow_width: float
    corner: float
    skew: float
    widest: float
    raised: float
    lip: float
    teeth: float
    tongue: float
    cavity: float
    gloss: float
    teeth_at: float
    tooth: float
    grain: np.ndarray


@dataclass(frozen=True, slots=True)
class _Form:
    """Where things are, px: see ``DrawnFace``; ``nose`` its lower end, ``chin`` the end of the face."""

    width: float
    upper: float
    lower: float
    nose: float
    nose_width: float
    chin: float
    cheek: float


def draw_face(rng: np.random.Generator) -> DrawnFace:
    """Draw a face and its light."""
    upper, lower = rng.uniform(2.2, 6.0), rng.uniform(4.0, 8.0)
    form = _Form(
        width=rng.uniform(18.0, 24.5),
        upper=upper,
        lower=lower,
        nose=-upper - rng.uniform(8.5, 14.0),
        nose_width=rng.uniform(9.0, 13.5),
        chin=lower + rng.uniform(22.0, 34.0),
        cheek=rng.uniform(40.0, 62.0),
    )
    row, column = np.mgrid[0:CANVAS_PX, 0:CANVAS_PX].astype(np.float32) - np.float32(MIDDLE)
    relief, coarse = _relief(rng, form, column, row)
    light, ambient = _draw_light(rng)
    tone = rng.uniform(85, 205)
    skin = _shade(relief, light, ambient) * np.float32(tone)
    skin *= _texture(rng, form, column, row)
    skin = _surround(rng, form, column, row, skin)
    return DrawnFace(
        skin=np.clip(skin, 0, 255).astype(np.float32),
        depth=coarse,
        **_pulls(form, column, row),
        light=light,
        ambient=ambient,
        width=form.width,
        upper=upper,
        lower=lower,
        bow=rng.uniform(0.2, 0.5) * upper,
        bow_width=rng.uniform(2.5, 5.0),
        corner=rng.normal(0.5, 1.3),
        skew=rng.normal(0, 0.15),
        widest=rng.uniform(12.0, 20.0),
        raised=rng.uniform(0.2, 0.4),
        lip=tone * rng.uniform(0.55, 0.97),
        teeth=float(np.clip(tone * rng.uniform(1.0, 1.7), 60, 250)),
        tongue=tone * rng.uniform(0.5, 0.85),
        cavity=tone * rng.uniform(0.05, 0.3),
        gloss=rng.uniform(0, 45) if rng.random() < 0.6 else 0.0,
        teeth_at=rng.uniform(-0.5, 3.5),
        tooth=rng.uniform(3.4, 5.0),
        grain=(1 + rng.uniform(0, 0.06) * rng.standard_normal(CANVAS_PX)).astype(np.float32),
    )


def _draw_light(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Draw where the light comes from, mostly above, and its even share."""
    side, height = np.deg2rad(rng.normal(0, 30)), np.deg2rad(rng.normal(32, 20))
    light = np.array([np.sin(side) * np.cos(height), -np.sin(height), np.cos(side) * np.cos(height)])
    return light.astype(np.float32), float(rng.uniform(0.3, 0.75))


def _bump(x: np.ndarray, y: np.ndarray, at: tuple[float, float], spread: tuple[float, float]) -> np.ndarray:
    return np.exp(-0.5 * (((x - at[0]) / spread[0]) ** 2 + ((y - at[1]) / spread[1]) ** 2))


def _rise(distance: np.ndarray, softness: float) -> np.ndarray:
    """Go from 0 to 1 where a distance in px is 0."""
    return 0.5 + 0.5 * np.tanh(distance * (0.5 / softness))


def _relief(
    rng: np.random.Generator, form: _Form, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Height (128, 128) px of the face towards the camera; with all that light shows, and without detail."""
    coarse = -0.5 * (x / form.cheek) ** 2 * form.cheek * 0.75 - 0.006 * (y - 5) ** 2
    coarse += rng.uniform(1.5, 4.0) * _bump(x, y, (0, 1), (16, 14))  # teeth push the lips forward
    chin = form.chin - 9
    coarse += rng.uniform(2.5, 5.5) * _bump(x, y, (0, chin), (9, 6.5))
    nose = rng.uniform(9, 14) * _bump(x, y, (0, form.nose - 6), (0.5 * form.nose_width, 9))
    wings = rng.uniform(3, 5)
    for side in (-1, 1):
        nose += wings * _bump(x, y, (0.72 * side * form.nose_width, form.nose - 4), (3.2, 3.6))
    nose *= _rise(form.nose - 0.06 * np.abs(x) - y, rng.uniform(0.7, 1.3))
    fine = np.zeros_like(x)
    between = _bump(x, y, (0, (form.nose - form.upper) / 2), (99, 3.5))
    depth = rng.uniform(0.2, 0.9)
    fine -= depth * np.exp(-0.5 * (x / 1.6) ** 2) * between
    fine += 0.6 * depth * np.exp(-0.5 * ((np.abs(x) - 3.6) / 1.3) ** 2) * between
    fine -= rng.uniform(0.6, 2.2) * _bump(x, y, (0, form.lower + rng.uniform(3.0, 5.0)), (12, 2.6))
    # The fold from the wings of the nose past the corners: cheeks outside stand higher.
    along = np.clip((y - form.nose + 4) / (10 - form.nose + 4), 0, 1.6)
    fold = form.nose_width + 1 + (form.width + 5 - form.nose_width) * along**0.8
    sharp, deep = rng.uniform(1.2, 3.0), rng.uniform(0.0, 1.8)
    shown = np.clip((y - form.nose + 8) / 8, 0, 1) * np.clip((rng.uniform(8, 22) - y) / 12, 0, 1)
    fine += deep * shown * _rise(np.abs(x) - fold, sharp)
    fine -= rng.uniform(0.2, 1.2) * sum(_bump(x, y, (s * (form.width + 2.5), 1), (2.2, 3.0)) for s in (-1, 1))
    return (coarse + nose + fine).astype(np.float32), (coarse + nose - coarse.max()).astype(np.float32)


def _shade(relief: np.ndarray, light: np.ndarray, ambient: float) -> np.ndarray:
    """Light on a matt surface, about 1 where it looks into the camera."""
    down, across = np.gradient(relief)
    facing = (-across * light[0] - down * light[1] + light[2]) / np.sqrt(1 + across**2 + down**2)
    direct = facing.clip(0) / max(float(light[2]), 0.35)
    return (ambient + (1 - ambient) * direct).clip(0, 1.6).astype(np.float32)


def _noise(rng: np.random.Generator, spread: tuple[float, float]) -> np.ndarray:
    """Smooth noise of unit variance; ``spread`` (x, y) px."""
    noise = rng.standard_normal((CANVAS_PX, CANVAS_PX), dtype=np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=spread[0], sigmaY=spread[1])
    return noise / noise.std()


def _texture(rng: np.random.Generator, form: _Form, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Darken by blotches, pores, moles, nostrils, stubble or a beard; factor (128, 128)."""
    skin = 1 + rng.uniform(0, 0.035) * _noise(rng, (6, 6)) + rng.uniform(0, 0.03) * _noise(rng, (0.8, 0.8))
    for _ in range(rng.poisson(0.8)):
        at, size = (rng.uniform(-40, 40), rng.uniform(-30, 35)), rng.uniform(0.6, 1.5)
        skin -= rng.uniform(0.1, 0.45) * _bump(x, y, at, (size, size))
    dark, apart = rng.uniform(0.2, 0.75), rng.uniform(0.38, 0.55) * form.nose_width
    size = (rng.uniform(1.8, 3.0), rng.uniform(0.7, 1.6))
    for side in (-1, 1):
        skin *= 1 - dark * _bump(x, y, (side * apart, form.nose - 0.5), size)
    hair = np.clip(0.75 + 0.25 * _noise(rng, (0.4, rng.uniform(0.4, 1.2))), 0, 1)
    if rng.random() < 0.3:  # on the lip
        place = _bump(x, y, (0, (form.nose - form.upper) / 2), (form.width * 0.75, 0.28 * -form.nose))
        skin *= 1 - rng.uniform(0.1, 0.75) * np.clip(1.4 * place, 0, 1) * hair
    if rng.random() < 0.35:  # on chin and jaw
        low = _rise(y - form.lower - rng.uniform(3, 7), 2.0)
        beside = _rise(np.abs(x) - form.width - rng.uniform(5, 14), 3.0) * _rise(y + rng.uniform(2, 12), 4.0)
        low = np.maximum(low, beside)
        skin *= 1 - rng.uniform(0.08, 0.65) * low * hair
    return skin.astype(np.float32)


def _surround(
    rng: np.random.Generator, form: _Form, x: np.ndarray, y: np.ndarray, skin: np.ndarray
) -> np.ndarray:
    """Put what is behind beside the face, and the neck below it."""
    power = rng.uniform(2.0, 3.0)
    low = np.maximum(y + 10, 0) / (form.chin + 10)
    outside = ((np.abs(x) / form.cheek) ** power + low**power) ** (1 / power) - 1
    edge = rng.uniform(1.0, 2.5) / form.cheek
    inside = _rise(-outside, edge)
    neck_width = form.cheek * rng.uniform(0.65, 0.9)
    neck = np.where(y > 0, _rise(neck_width + 0.15 * (y - form.chin) - np.abs(x), 2.0), 0)
    below = skin.mean() * rng.uniform(0.4, 0.95) * (1 + 0.05 * _noise(rng, (8, 8)))
    behind = rng.uniform(5, 235) * (1 + rng.uniform(0, 0.25) * _noise(rng, (9, 14)))
    return inside * skin + (1 - inside) * (neck * below + (1 - neck) * behind)


def _pulls(form: _Form, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """How far skin goes along with the jaw, the corners and the upper lip."""
    chin = np.clip((y + 2) / (form.lower + 4), 0, 1) * np.clip((form.chin + 22 - y) / 18, 0, 1)
    jaw = chin * np.clip((form.cheek + 8 - np.abs(x)) / 30, 0, 1)
    corners = np.sign(x) * np.exp(-0.5 * ((np.abs(x) - form.width) / 9) ** 2 - 0.5 * (y / 10) ** 2)
    lip = _bump(x, y, (0, -form.upper), (form.width * 0.6, 0.35 * -form.nose))
    names = ("with_jaw", "with_corners", "with_upper_lip")
    return {n: v.astype(np.float32) for n, v in zip(names, (jaw, corners, lip), strict=True)}
