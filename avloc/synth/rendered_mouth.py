"""Mouth crops of faces that do not exist, drawn from the shapes of a mouth."""

from dataclasses import dataclass

import cv2
import numpy as np

from avloc.datasets.lips import N_LIP_POINTS
from avloc.features.crops import MOUTH_CROP_PX
from avloc.synth.drawn_face import CANVAS_PX, MIDDLE, DrawnFace, draw_face
from avloc.synth.drawn_lips import contour_points, paint_lips, place_lips
from avloc.synth.mouth_motion import MouthShapes

CENTRE = (MOUTH_CROP_PX - 1) / 2


@dataclass(frozen=True, slots=True)
class _Camera:
    """A head: ``turn`` (T, 2, 2) scale and roll, ``move`` (T, 2) px, ``yaw`` and ``pitch`` (T,) rad."""

    turn: np.ndarray
    move: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray


def render_mouth(rng: np.random.Generator, shapes: MouthShapes) -> tuple[np.ndarray, np.ndarray]:
    """Draw a face, light and camera, and show the mouth in each of T shapes.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    shapes : MouthShapes
        Shape of the mouth in each frame of 25 Hz.

    Returns
    -------
    np.ndarray [shape=(T, 96, 96), uint8]
        Gray crops as ``features.crops.mouth_crop`` cuts them, without any fault of a camera but blur.
    np.ndarray [shape=(T, 40, 2), float32, px of the crop]
        Contours of the lips, in the order of ``datasets.lips``.
    """
    n_frames = len(shapes.opening)
    face = draw_face(rng)
    camera = _draw_camera(rng, n_frames)
    lips = place_lips(face, shapes)
    drawn = paint_lips(face, lips, _move_skin(face, lips.jaw_px, lips.widen_px, lips.raise_px))
    blur_px = rng.uniform(0.5, 1.0)
    depth = _depth_of_crop(face)
    shown = np.empty((n_frames, MOUTH_CROP_PX, MOUTH_CROP_PX), np.uint8)
    row, column = np.mgrid[0:MOUTH_CROP_PX, 0:MOUTH_CROP_PX].astype(np.float32)
    for t, picture in enumerate(drawn):
        source = _crop_to_face(camera, t, column, row, depth)
        crop = cv2.remap(picture, *source, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        shown[t] = np.clip(cv2.GaussianBlur(crop, (0, 0), blur_px), 0, 255)
    return shown, _to_crop(camera, contour_points(lips), depth)


def _move_skin(face: DrawnFace, jaw: np.ndarray, widen: np.ndarray, lift: np.ndarray) -> np.ndarray:
    """Pull the skin of the canvas along with the jaw, the corners and the upper lip; (T, H, W) float32."""
    row, column = np.mgrid[0:CANVAS_PX, 0:CANVAS_PX].astype(np.float32)
    moved = np.empty((len(jaw), CANVAS_PX, CANVAS_PX), np.float32)
    for t in range(len(jaw)):
        x = column - np.float32(widen[t]) * face.with_corners
        y = row - np.float32(jaw[t]) * face.with_jaw + np.float32(lift[t]) * face.with_upper_lip
        moved[t] = cv2.remap(face.skin, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return moved


def _draw_camera(rng: np.random.Generator, n_frames: int) -> _Camera:
    """Draw where a head is and how it drifts."""
    reach = np.exp(rng.uniform(np.log(0.2), np.log(3.0)))  # of the drift
    seconds = rng.uniform(0.25, 1.5)

    def drift(spread: float) -> np.ndarray:
        n_values = int(n_frames / 25 / seconds) + 4
        place = np.arange(n_frames) / 25 / seconds + rng.random()
        part = place % 1.0
        values, k = rng.normal(0, spread * reach, size=n_values), place.astype(int)
        part = part**2 * (3 - 2 * part)
        return values[k] * (1 - part) + values[k + 1] * part

    roll = np.deg2rad(rng.normal(0, 4) + drift(1.5))
    scale = np.exp(rng.normal(-0.02, 0.09) + drift(0.01))
    cos, sin = scale * np.cos(roll), scale * np.sin(roll)
    turn = np.stack((np.stack((cos, -sin), -1), np.stack((sin, cos), -1)), -2)
    move = rng.normal((0.0, 3.0), (2.0, 3.0)) + np.stack((drift(1.2), drift(1.2)), -1)
    yaw = np.deg2rad(np.clip(rng.normal(0, 14) + drift(3.0), -40, 40))
    pitch = np.deg2rad(np.clip(rng.normal(0, 7) + drift(2.0), -20, 20))
    return _Camera(turn, move, yaw, pitch)


def _depth_of_crop(face: DrawnFace) -> np.ndarray:
    """Depth (96, 96) px of what a face that looks into the camera shows at each pixel."""
    border = (CANVAS_PX - MOUTH_CROP_PX) // 2
    return np.ascontiguousarray(face.depth[border:-border, border:-border])


def _crop_to_face(
    camera: _Camera, t: int, column: np.ndarray, row: np.ndarray, depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where on the canvas each pixel of frame ``t`` is seen: float32 x and y (96, 96)."""
    back = np.linalg.inv(camera.turn[t]).astype(np.float32)
    x, y = column - np.float32(CENTRE + camera.move[t, 0]), row - np.float32(CENTRE + camera.move[t, 1])
    yaw, pitch = camera.yaw[t], camera.pitch[t]
    across = (back[0, 0] * x + back[0, 1] * y - np.float32(np.sin(yaw)) * depth) / np.float32(np.cos(yaw))
    down = (back[1, 0] * x + back[1, 1] * y - np.float32(np.sin(pitch)) * depth) / np.float32(np.cos(pitch))
    return across + np.float32(MIDDLE), down + np.float32(MIDDLE)


def _to_crop(camera: _Camera, points: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Follow points (T, 40, 2), measured from the middle of the canvas, into the crop."""
    turned = np.stack((np.cos(camera.yaw), np.cos(camera.pitch)), -1)[:, None]
    parallax = np.stack((np.sin(camera.yaw), np.sin(camera.pitch)), -1)[:, None]
    shown = points + CENTRE
    for _ in range(3):  # depth is smooth where the lips are
        column, row = np.clip(np.rint(shown), 0, MOUTH_CROP_PX - 1).astype(int).transpose(2, 0, 1)
        there = points * turned + depth[row, column][..., None] * parallax
        shown = np.einsum("tij,tpj->tpi", camera.turn, there) + CENTRE + camera.move[:, None]
    assert shown.shape[1] == N_LIP_POINTS
    return shown.astype(np.float32)
