"""Where faces are on one small frame, and where a box goes on the next. NumPy and OpenCV only."""

import cv2
import numpy as np

SMALL_WIDTH_PX = 256
SMALL_AREA_PX = 256 * 256  # a portrait frame is made smaller still: the cost of a cascade follows the area
MIN_FACE_PX = 24
ROI_MARGIN = 0.4  # of the box width, around a face that is expected
ROI_SIZES = (0.7, 1.4)  # of the expected box width
MIN_OVERLAP = 0.35  # IoU from which a detection is the expected face

FLOW_POINTS = 7  # to each side of a grid over the box
FLOW_INSET = 0.12  # of the box, left out at its edges: hair and background
FLOW_WINDOW = (11, 11)
FLOW_LEVELS = 3
FLOW_ROUND_TRIP_PX = 1.0
FLOW_MIN_POINTS = 18  # of 49; two thirds and more within a shot, up to a third across a cut
PATCH_PX = 24
MIN_SIMILARITY = 0.5  # correlation of the face with itself one frame earlier


def shrink(frame_gray: np.ndarray) -> np.ndarray:
    """Small copy of a frame, averaged by area; a frame that is small already stays as it is.

    Parameters
    ----------
    frame_gray : uint8 (H, W)

    Returns
    -------
    uint8 (h, w)
        At most 256 px wide and of at most 256 * 256 px.
    """
    height, width = frame_gray.shape
    scale = min(1.0, SMALL_WIDTH_PX / width, (SMALL_AREA_PX / (width * height)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(frame_gray, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame_gray


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boxes x, y, width, height, in [0, 1].

    Examples
    --------
    >>> overlap(np.array([0, 0, 2, 2]), np.array([1, 0, 2, 2]))
    0.3333333333333333
    """
    low = np.maximum(first[:2], second[:2])
    high = np.minimum(first[:2] + first[2:], second[:2] + second[2:])
    shared = float(np.prod(np.maximum(0.0, high - low)))
    return shared / (float(first[2] * first[3]) + float(second[2] * second[3]) - shared)


class FaceDetector:
    """Haar cascade ``frontalface_alt2`` of OpenCV on small frames; boxes are float64 (4,) x, y, w, h."""

    def __init__(self) -> None:
        path = cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml"
        self._cascade = cv2.CascadeClassifier(path)
        if self._cascade.empty():
            raise ValueError(f"expected OpenCV's cascade file at {path!r}; install opencv-python>=4.11,<5")

    def find(self, small: np.ndarray) -> list[np.ndarray]:
        """List every face of the frame, the largest first."""
        if min(small.shape) < MIN_FACE_PX:
            return []
        found = self._cascade.detectMultiScale(small, 1.1, 3, minSize=(MIN_FACE_PX, MIN_FACE_PX))
        boxes = [np.asarray(box, dtype=np.float64) for box in found]
        return sorted(boxes, key=lambda box: (-box[2] * box[3], box[0], box[1]))

    def find_near(self, small: np.ndarray, expected: np.ndarray) -> np.ndarray | None:
        """Choose the face that overlaps the expected box best, None when there is none."""
        x, y, width, height = expected
        margin = ROI_MARGIN * width
        top, left = max(0, round(y - margin)), max(0, round(x - margin))
        roi = small[top : max(0, round(y + height + margin)), left : max(0, round(x + width + margin))]
        smallest = max(20, int(ROI_SIZES[0] * width))  # the cascade itself is 20 px wide
        if min(roi.shape) < smallest:
            return None
        largest = int(ROI_SIZES[1] * width) + 1
        found = self._cascade.detectMultiScale(
            roi, 1.07, 2, minSize=(smallest, smallest), maxSize=(largest, largest)
        )
        boxes = [np.asarray(box, dtype=np.float64) + (left, top, 0, 0) for box in found]
        boxes = [box for box in boxes if overlap(box, expected) >= MIN_OVERLAP]
        return max(boxes, key=lambda box: overlap(box, expected)) if boxes else None


def follow_box(before: np.ndarray, after: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """Move a box with the picture by median flow (Kalal et al., Forward-Backward Error, ICPR 2010).

    Parameters
    ----------
    before, after : uint8 (h, w)
        Two small frames, in either order of time.
    box : float64 (4,) [px]
        In ``before``.

    Returns
    -------
    float64 (4,) or None
        The box in ``after``; None when the picture inside it is not the same any more, as at a shot cut.
    """
    if after is before:
        return box
    span = np.linspace(FLOW_INSET, 1.0 - FLOW_INSET, FLOW_POINTS)
    grid = np.stack(np.meshgrid(box[0] + span * box[2], box[1] + span * box[3]), axis=-1)
    start = grid.reshape(-1, 1, 2).astype(np.float32)
    levels = {"winSize": FLOW_WINDOW, "maxLevel": FLOW_LEVELS}
    end, forth, _ = cv2.calcOpticalFlowPyrLK(before, after, start, None, **levels)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(after, before, end, None, **levels)
    round_trip = np.linalg.norm(back - start, axis=2)[:, 0]
    good = (forth[:, 0] == 1) & (returned[:, 0] == 1) & (round_trip <= FLOW_ROUND_TRIP_PX)
    if good.sum() < FLOW_MIN_POINTS:
        return None
    start, end = start[good, 0].astype(np.float64), end[good, 0].astype(np.float64)
    centre = box[:2] + box[2:] / 2 + np.median(end - start, axis=0)
    size = box[2:] * _median_scale(start, end)
    moved = np.concatenate([centre - size / 2, size])
    return moved if _similarity(before, box, after, moved) >= MIN_SIMILARITY else None


def _median_scale(start: np.ndarray, end: np.ndarray) -> float:
    """Median ratio of the distances between points, after to before."""
    half = len(start) // 2
    before = np.linalg.norm(start[:half, None] - start[None, half:], axis=2)
    after = np.linalg.norm(end[:half, None] - end[None, half:], axis=2)
    apart = before > 1.0
    return float(np.median(after[apart] / before[apart])) if apart.any() else 1.0


def _similarity(before: np.ndarray, box: np.ndarray, after: np.ndarray, moved: np.ndarray) -> float:
    """Correlation in [-1, 1] of what two boxes hold; 0.0 when one of them is flat."""
    patches = []
    for image, (x, y, width, height) in ((before, box), (after, moved)):
        to_image = np.array([[width / PATCH_PX, 0.0, x], [0.0, height / PATCH_PX, y]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        patch = cv2.warpAffine(
            image, to_image, (PATCH_PX, PATCH_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        patches.append(patch.astype(np.float64) - patch.mean())
    norm = float(np.linalg.norm(patches[0]) * np.linalg.norm(patches[1]))
    return float((patches[0] * patches[1]).sum()) / norm if norm > 0 else 0.0
