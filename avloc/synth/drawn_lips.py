"""Lips, teeth and tongue of a drawn face: four curves over x for each frame, and what lies between them.

From above: ``outer_top``, the edge of the upper lip with Cupid's bow; ``inner_top``, where the upper lip
ends; ``inner_bottom``, where the lower lip begins, the same curve when lips are closed; ``outer_bottom``. All
meet at the corners. Teeth and tongue have places of their own, fixed to the skull or to the jaw, and are seen
where the lips leave them free.
"""

from dataclasses import dataclass

import numpy as np

from avloc.datasets.lips import N_LIP_POINTS
from avloc.synth.drawn_face import MIDDLE, DrawnFace
from avloc.synth.mouth_motion import MouthShapes

LEFT, RIGHT, TOP, BOTTOM = 32, 96, 38, 104  # part of the canvas that lips can reach
EDGE_PX = 0.8  # half of a soft edge


@dataclass(frozen=True, slots=True)
class Lips:
    """Where lips are in T frames, px from the middle of the closed mouth.

    ``opening_px``, ``jaw_px``, ``widen_px`` and ``raise_px`` (T,): how far lips are apart, the jaw is down,
    corners and the upper lip are from their place; ``half_width`` (T,). ``tongue`` (T,) 0 to 1. Curves
    (T, X) at the columns LEFT to RIGHT of the canvas.
    """

    opening_px: np.ndarray
    jaw_px: np.ndarray
    widen_px: np.ndarray
    raise_px: np.ndarray
    half_width: np.ndarray
    tongue: np.ndarray
    outer_top: np.ndarray
    inner_top: np.ndarray
    inner_bottom: np.ndarray
    outer_bottom: np.ndarray


def place_lips(face: DrawnFace, shapes: MouthShapes) -> Lips:
    """Say where the lips of a face are in each of T shapes."""
    opening = face.widest * shapes.opening + 2.0 * shapes.tuck
    half = face.width * (1 + 0.13 * shapes.width - 0.3 * shapes.rounding + 0.04 * shapes.press)
    half = np.maximum(half, 0.5 * face.width)
    rise = face.raised * opening + 0.5 * shapes.tuck
    thick = (1 + 0.22 * shapes.rounding - 0.1 * shapes.width.clip(0, 1) - 0.1 * shapes.opening.clip(0, 1)) * (
        1 - 0.4 * shapes.press
    )
    upper, lower = face.upper * thick, face.lower * thick * (1 - 0.45 * shapes.tuck)
    x = np.arange(LEFT, RIGHT, dtype=np.float64) - MIDDLE
    s = np.clip(x / half[:, None], -1, 1)  # (T, X)
    inner = 0.9 - 0.08 * shapes.rounding
    hole = (1 - (s / inner[:, None]) ** 2).clip(0) ** 0.8 * (1 + face.skew * s)
    line = (face.corner - 1.2 * shapes.width.clip(0, 1.5))[:, None] * s**2
    arch = (1 - s**2).clip(0)
    top = line - rise[:, None] * hole
    bottom = line + (opening - rise)[:, None] * hole - (1.2 * shapes.tuck)[:, None] * arch
    bottom = np.maximum(bottom, top)
    bow = face.bow * thick[:, None] * np.exp(-((x / face.bow_width) ** 2))
    return Lips(
        opening_px=opening,
        jaw_px=face.widest * 0.85 * shapes.jaw,
        widen_px=half - face.width,
        raise_px=rise,
        half_width=half,
        tongue=shapes.tongue,
        outer_top=np.minimum(line - rise[:, None] * arch - upper[:, None] * arch**0.8 + bow * arch, top),
        inner_top=top,
        inner_bottom=bottom,
        outer_bottom=np.maximum(
            line + (opening - rise)[:, None] * arch**0.8 + lower[:, None] * arch**0.6, bottom
        ),
    )


def contour_points(lips: Lips) -> np.ndarray:
    """Give the contours (T, 40, 2) px: outer, then inner, along the lower lip and back along the upper."""
    angle = np.pi * np.arange(N_LIP_POINTS // 2) / (N_LIP_POINTS // 4)
    upper = np.arange(N_LIP_POINTS // 2) > N_LIP_POINTS // 4
    columns = np.arange(LEFT, RIGHT) - MIDDLE
    points = np.empty((len(lips.half_width), N_LIP_POINTS, 2))
    rings = ((lips.outer_top, lips.outer_bottom, 1.0), (lips.inner_top, lips.inner_bottom, 0.88))
    for k, (top, bottom, share) in enumerate(rings):
        ring = slice(k * N_LIP_POINTS // 2, (k + 1) * N_LIP_POINTS // 2)
        x = -share * lips.half_width[:, None] * np.cos(angle)
        points[:, ring, 0] = x
        for t in range(len(points)):
            curves = (np.interp(x[t], columns, curve[t]) for curve in (top, bottom))
            points[t, ring, 1] = np.where(upper, *curves)
    return points


def paint_lips(face: DrawnFace, lips: Lips, skin: np.ndarray) -> np.ndarray:
    """Paint mouths onto pictures (T, 128, 128) of skin, in place; gray values, float32."""
    part = skin[:, TOP:BOTTOM, LEFT:RIGHT]
    y = (np.arange(TOP, BOTTOM, dtype=np.float32) - np.float32(MIDDLE))[None, :, None]  # (1, Y, 1)
    ot, it, ib, ob = (
        curve.astype(np.float32)[:, None]  # (T, 1, X)
        for curve in (lips.outer_top, lips.inner_top, lips.inner_bottom, lips.outer_bottom)
    )
    x = np.arange(LEFT, RIGHT, dtype=np.float32) - np.float32(MIDDLE)
    half = lips.half_width.astype(np.float32)[:, None, None]
    across = x / half  # (T, 1, X)
    sides = _step(half - np.abs(x))
    level = _step(y - ot)
    level *= _step(ob - y)
    level *= sides
    painted = _lip_surface(face, across, y, ot, it, ib, ob)
    hole = _step(y - it)
    hole *= _step(ib - y)
    hole *= np.clip((ib - it - 0.4) / 1.2, 0, 1) * sides
    painted += hole * (_inside(face, lips, x, y, it, ib) - painted)
    below = np.exp(-np.square((y - ob - 1.0) / 2.6)) * (0.22 * np.clip(1 - across**2, 0, 1))
    part *= 1 - below * (1 - np.float32(face.ambient))
    part += level * (painted - part)
    # Lips that meet throw a line of shadow, and so do the corners, open or closed.
    closed = np.exp(-np.square((y - 0.5 * (it + ib)) / 0.9)) * np.clip(1 - (ib - it) / 1.6, 0, 1)
    part *= 1 - 0.5 * closed * _step(half + 1.0 - np.abs(x))
    return skin


def _step(distance: np.ndarray) -> np.ndarray:
    """Go from 0 to 1 over a soft edge where a distance in px is 0."""
    return np.clip(distance * np.float32(0.5 / EDGE_PX) + np.float32(0.5), 0, 1)


def _lip_surface(
    face: DrawnFace,
    across: np.ndarray,
    y: np.ndarray,
    ot: np.ndarray,
    it: np.ndarray,
    ib: np.ndarray,
    ob: np.ndarray,
) -> np.ndarray:
    """Light on both lips (T, Y, X): each is rolled, the upper one looks down where they meet."""
    is_upper = y < 0.5 * (it + ib)
    up = np.clip((y - ot) / np.maximum(it - ot, 0.7), 0, 1)
    low = np.clip((y - ib) / np.maximum(ob - ib, 0.7), 0, 1)
    slope = np.where(is_upper, 1.1 * up - 0.15, 1.5 * low - 0.75)
    facing = 0.35 * across * face.light[0] + slope * face.light[1] + face.light[2]
    facing /= np.sqrt(1.0 + np.square(slope))
    direct = facing.clip(0) / max(float(face.light[2]), 0.35)
    grain = face.grain[LEFT:RIGHT]
    painted = np.float32(face.lip) * grain * (face.ambient + (1 - face.ambient) * direct)
    if face.gloss:
        shine = np.exp(-np.square((low - 0.35) / 0.16) - np.square(across / 0.45))
        painted += np.where(is_upper, 0, np.float32(face.gloss) * shine)
    return painted.astype(np.float32)


def _inside(
    face: DrawnFace, lips: Lips, x: np.ndarray, y: np.ndarray, it: np.ndarray, ib: np.ndarray
) -> np.ndarray:
    """Show what is between the lips (T, Y, X): cavity, tongue, then teeth, the lower ones on the jaw."""
    jaw = lips.jaw_px.astype(np.float32)[:, None, None]
    tongue = lips.tongue.astype(np.float32)[:, None, None]
    arch = np.clip(1 - np.square(x / np.float32(1.15 * face.width)), 0.1, 1)  # darker towards the corners
    inside = np.full(np.broadcast_shapes(it.shape, y.shape), np.float32(face.cavity))
    lower_edge = np.float32(face.teeth_at) + jaw + 0.10 * np.abs(x)  # the row of teeth is bent
    tip = lower_edge - 0.8 - 0.75 * tongue * jaw.clip(2.0)
    spread = np.clip(1.2 - np.abs(x) / np.float32(0.62 * face.width), 0, 1) ** 0.5
    inside += _step(y - tip) * spread * (np.float32(face.tongue) * (0.65 + 0.35 * tongue) - inside)
    gaps = 1 - 0.14 * np.abs(np.cos(np.pi * x / np.float32(face.tooth))) ** 8
    white = np.float32(face.teeth) * gaps * arch
    low = _step(y - lower_edge)
    inside += low * (0.85 * white - inside)
    upper_edge = np.float32(face.teeth_at) - 0.06 * np.abs(x)
    high = _step(upper_edge - y)
    inside += high * (white * np.clip(0.55 + 0.25 * (y - it), 0.4, 1.0) - inside)
    between = np.clip((tongue - 0.7) / 0.3, 0, 1) * np.clip(
        1 - np.abs(x) / np.float32(0.5 * face.width), 0, 1
    )
    inside += between * _step(y - upper_edge + 0.6) * _step(lower_edge - y + 1.0) * (face.tongue - inside)
    return inside
