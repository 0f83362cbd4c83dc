"""Boxes over time made smooth, and the mouth cut from a full-size frame. NumPy and OpenCV only."""

import math

import cv2
import numpy as np

MOUTH_CROP_PX = 96
MOUTH_DOWN = 0.775  # centre of the mouth below the upper edge of a Haar face box, in box heights
MOUTH_SIDE = 0.65  # side of the square around it, in box widths: the mouth of a talking face is 45-55 px wide
SMOOTHING_HALF_WIDTH = 6


def smooth_boxes(boxes: np.ndarray, half_width: int = SMOOTHING_HALF_WIDTH) -> np.ndarray:
    """Centred moving average along one face track, over fewer frames at its ends.

    Parameters
    ----------
    boxes : float (n, 4) [px]
        x, y, width, height on consecutive frames of one track.
    half_width : int [frames, >= 0]
        Frames to each side; the window stays symmetric, so it shrinks to one frame at both ends.

    Returns
    -------
    float32 (n, 4)

    Examples
    --------
    >>> smooth_boxes(np.array([[0.0] * 4, [3.0] * 4, [0.0] * 4]), half_width=1)[:, 0].tolist()
    [0.0, 1.0, 0.0]
    """
    n = len(boxes)
    total = np.concatenate([np.zeros((1, 4)), np.cumsum(np.asarray(boxes, dtype=np.float64), axis=0)])
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
    x, y, width, height = (float(value) for value in box)
    if not (math.isfinite(x + y + width + height) and width > 0 and height > 0):
        raise ValueError(f"expected a finite face box with a size, got {[x, y, width, height]}")
    side = MOUTH_SIDE * width
    left, top = x + (width - side) / 2, y + MOUTH_DOWN * height - side / 2
    oversampling = max(1, math.ceil(side / MOUTH_CROP_PX))
    n = MOUTH_CROP_PX * oversampling
    step = side / n  # source pixels between samples, at most one: every source pixel is seen
    # Pixel centres: sample i of the crop lies at left + (i + 0.5) * step - 0.5 in the frame.
    to_frame = np.array([[step, 0.0, left + 0.5 * step - 0.5], [0.0, step, top + 0.5 * step - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(frame_gray, to_frame, (n, n), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    if oversampling == 1:
        return sampled
    return cv2.resize(sampled, (MOUTH_CROP_PX, MOUTH_CROP_PX), interpolation=cv2.INTER_AREA)
