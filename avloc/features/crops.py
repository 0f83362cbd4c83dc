"""Boxes over time made smooth; the mouth and the face cut from a full-size frame. NumPy and OpenCV only."""

import math

import cv2
import numpy as np

MOUTH_CROP_PX = 96
MOUTH_DOWN = 0.775  # centre of the mouth below the upper edge of a Haar face box, in box heights
MOUTH_SIDE = 0.65  # side of the square around it, in box widths: the mouth of a talking face is 45-55 px wide
FACE_CROP_PX = 112
FACE_SIDE = 1.4  # in box widths: the box and a border of a fifth of it on every side, with chin and hairline
FACE_UP = MOUTH_DOWN - 0.5  # centre of the face above that of the mouth, in box widths: the middle of the box
SMOOTHING_HALF_WIDTH = 6
AROUND_FACE = 0.5  # box sizes of border that a landmark model sees on every side of a face
LARGEST_CUT_PX = 320


def smooth_boxes(boxes: np.ndarray, half_width: int = SMOOTHING_HALF_WIDTH) -> np.ndarray:
    """Centred moving average along one face track, over fewer frames at its ends.

    Parameters
    ----------
    boxes : float (n, C) [px]
        x, y, width, height on consecutive frames of one track; landmarks may follow.
    half_width : int [frames, >= 0]
        Frames to each side; the window stays symmetric, so it shrinks to one frame at both ends.

    Returns
    -------
    float32 (n, C)

    Examples
    --------
    >>> smooth_boxes(np.array([[0.0] * 4, [3.0] * 4, [0.0] * 4]), half_width=1)[:, 0].tolist()
    [0.0, 1.0, 0.0]
    """
    n = len(boxes)
    total = np.cumsum(np.concatenate([np.zeros((1, np.shape(boxes)[1])), boxes]), axis=0, dtype=np.float64)
    centre = np.arange(n)
    half = np.minimum(half_width, np.minimum(centre, n - 1 - centre))
    mean = (total[centre + half + 1] - total[centre - half]) / (2 * half + 1)[:, None]
    return mean.astype(np.float32)


def mouth_crop(frame_gray: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Square around the mouth of a face box, resampled by area with sub-pixel position.

    Parameters
    ----------
    frame_gray : uint8 (H, W)
    box : float (4,) [px]
        x, y, width, height of the face in this frame; beyond the frame its edge is repeated.

    Returns
    -------
    uint8 (96, 96)

    Raises
    ------
    ValueError
        If the box is not finite or has no width.
    """
    return _cut_square(frame_gray, *mouth_square(box), MOUTH_CROP_PX)


def face_crop(frame_gray: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Square around the whole face with its border, 1.4 box widths wide, uint8 (112, 112).

    Parameters and errors as of ``mouth_crop``.
    """
    return _cut_square(frame_gray, *face_square(box), FACE_CROP_PX)


def cut_face(picture: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, int, int, float]:
    """Cut a face with its border out of a picture (H, W, 3), made smaller where it is large.

    Returns
    -------
    tuple
        The cut, its left and top in pixels of the picture, and its scale: a point p of the cut lies at
        p / scale + (left, top).
    """
    x, y, width, height = _checked(box)
    rows, columns = picture.shape[:2]
    left, top = max(0, int(x - AROUND_FACE * width)), max(0, int(y - AROUND_FACE * height))
    right = min(columns, int(x + (1 + AROUND_FACE) * width) + 1)
    bottom = min(rows, int(y + (1 + AROUND_FACE) * height) + 1)
    cut = np.ascontiguousarray(picture[top:bottom, left:right])
    scale = min(1.0, LARGEST_CUT_PX / max(cut.shape[:2]))
    if scale < 1:
        cut = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cut, left, top, scale


def mouth_square(box: np.ndarray) -> tuple[float, float, float]:
    """Left, top and side in pixels of the frame of the square that the mouth crop shows."""
    x, y, width, height = _checked(box)
    side = MOUTH_SIDE * width
    return x + (width - side) / 2, y + MOUTH_DOWN * height - side / 2, side


def face_square(box: np.ndarray) -> tuple[float, float, float]:
    """Left, top and side of the square that the face crop shows; in it the mouth square has a fixed place."""
    x, y, width, height = _checked(box)
    side = FACE_SIDE * width
    return x + (width - side) / 2, y + MOUTH_DOWN * height - FACE_UP * width - side / 2, side


def crop_to_frame(square: tuple[float, float, float], size_px: int) -> np.ndarray:
    """Map (3, 3) from the pixels of a crop of a square to those of the frame, between centres of pixels."""
    left, top, side = square
    step = side / size_px
    return np.array([[step, 0, left + 0.5 * step - 0.5], [0, step, top + 0.5 * step - 0.5], [0, 0, 1]])


def crop_to_mouth(name: str) -> np.ndarray:
    """Map (3, 3) from the pixels of the crop ``name`` to those of the mouth crop: the same for every face.

    Examples
    --------
    >>> print(crop_to_mouth("mouth96_box")[0, 0], crop_to_mouth("face112")[0, 0].round(3))
    1.0 1.846
    """
    if name == "mouth96_box":
        return np.eye(3)
    if name != "face112":
        raise ValueError(f"crops are mouth96_box and face112, got {name!r}")
    anywhere = np.array([0.0, 0.0, 1.0, 1.0])
    of_mouth = crop_to_frame(mouth_square(anywhere), MOUTH_CROP_PX)
    return np.linalg.inv(of_mouth) @ crop_to_frame(face_square(anywhere), FACE_CROP_PX)


def _checked(box: np.ndarray) -> tuple[float, float, float, float]:
    x, y, width, height = (float(value) for value in box)
    if not (math.isfinite(x + y + width + height) and width > 0 and height > 0):
        raise ValueError(f"expected a finite face box with a size, got {[x, y, width, height]}")
    return x, y, width, height


def _cut_square(frame_gray: np.ndarray, left: float, top: float, side: float, size_px: int) -> np.ndarray:
    oversampling = max(1, math.ceil(side / size_px))
    n = size_px * oversampling
    step = side / n  # source pixels between samples, at most one: every source pixel is seen
    # Pixel centres: sample i of the crop lies at left + (i + 0.5) * step - 0.5 in the frame.
    to_frame = np.array([[step, 0.0, left + 0.5 * step - 0.5], [0.0, step, top + 0.5 * step - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(frame_gray, to_frame, (n, n), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    if oversampling == 1:
        return sampled
    return cv2.resize(sampled, (size_px, size_px), interpolation=cv2.INTER_AREA)
