"""Mouths from landmarks, as the public lip readers cut them: smoothed, warped to a mean face, cropped.

NumPy and OpenCV only.

Four points of a face (right eye, left eye, nose, mouth) are smoothed over time; the similarity that brings
them closest to those of a mean face gives a picture of 256 x 256, of which a square around the mouth is cut.
"""

from collections.abc import Sequence

import cv2
import numpy as np

CANVAS_PX = 256
PATCH_PX = 96
HALF_WIDTH = 6  # frames to each side that landmarks are averaged over
MOUTH = 3  # of the four points
# Right eye, left eye, nose, mouth: means of groups of the 68 points of the public "20 words" mean face.
MEAN_FACE = np.array(
    [
        [102.0739430570659, 94.27230352389712],
        [156.3613054162131, 93.57815605186966],
        [129.00373787023733, 135.90343028603127],
        [129.31337322587925, 157.82299634918854],
    ]
)


def fill_landmarks(points: Sequence[np.ndarray | None]) -> np.ndarray:
    """Give every frame landmarks: in between evenly, before the first and behind the last face as there.

    Parameters
    ----------
    points : sequence of float (4, 2) [px], or None
        None where no face was found.

    Returns
    -------
    float64 (n, 4, 2) [px]

    Raises
    ------
    ValueError
        If no frame has a face.
    """
    known = [i for i, row in enumerate(points) if row is not None]
    if not known:
        raise ValueError("no frame has landmarks")
    rows = np.stack([np.asarray(points[i], dtype=np.float64) for i in known]).reshape(len(known), -1)
    frames = np.arange(len(points))
    filled = [np.interp(frames, known, rows[:, column]) for column in range(rows.shape[1])]
    return np.stack(filled, axis=1).reshape(len(points), -1, 2)


def smooth_landmarks(points: np.ndarray, half_width: int = HALF_WIDTH) -> np.ndarray:
    """Average landmarks over time, and put the average where the face is in this frame.

    Parameters
    ----------
    points : float (n, 4, 2) [px]
        On consecutive frames of one face.
    half_width : int [frames, >= 0]
        Frames to each side; the window stays symmetric, so it shrinks to one frame at both ends.

    Returns
    -------
    float64 (n, 4, 2) [px]
        The shape is that of the average, the centroid that of the frame.
    """
    points = np.asarray(points, dtype=np.float64)
    n = len(points)
    smoothed = np.empty_like(points)
    for i in range(n):
        half = min(half_width, i, n - 1 - i)
        mean = points[i - half : i + half + 1].mean(axis=0)
        smoothed[i] = mean - mean.mean(axis=0) + points[i].mean(axis=0)
    return smoothed


def fit_similarity(points: np.ndarray, target: np.ndarray = MEAN_FACE) -> np.ndarray:
    """Give the rotation, scale and shift (2, 3) that bring points closest to a target, in least squares.

    The public code asks OpenCV for the least median; on smooth tracks the two agree within 2e-5 px.

    Parameters
    ----------
    points : float (n, 2) [px]
        In the frame.
    target : float (n, 2) [px]
        On the canvas.

    Raises
    ------
    ValueError
        If all points are one.
    """
    centre, target_centre = points.mean(axis=0), target.mean(axis=0)
    x, y = (points - centre).T
    u, v = (target - target_centre).T
    spread = (x**2 + y**2).sum()
    if not spread > 0:
        raise ValueError(f"landmarks must be at different places, got {points.tolist()}")
    cosine, sine = (x * u + y * v).sum() / spread, (x * v - y * u).sum() / spread
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack((rotation, target_centre - rotation @ centre))


def mouth_patch(frame_gray: np.ndarray, points: np.ndarray, *, size_px: int = PATCH_PX) -> np.ndarray:
    """Cut the mouth out of a frame that is warped to the mean face.

    Parameters
    ----------
    frame_gray : uint8 (H, W)
        Beyond its edge is black.
    points : float (4, 2) [px]
        Smoothed landmarks.
    size_px : int
        Side of the square. Where it would leave the canvas it is moved back, however far; the public code
        raises beyond 5 px.

    Returns
    -------
    uint8 (size_px, size_px)
    """
    to_canvas = fit_similarity(points)
    x, y = to_canvas[:, :2] @ points[MOUTH] + to_canvas[:, 2]
    left, top = (round(min(max(c, size_px / 2), CANVAS_PX - size_px / 2) - size_px / 2) for c in (x, y))
    warped = cv2.warpAffine(
        frame_gray, to_canvas, (CANVAS_PX, CANVAS_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    return warped[top : top + size_px, left : left + size_px]
