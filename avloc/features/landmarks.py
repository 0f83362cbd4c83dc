"""Face boxes from landmarks, where the cascade would have put them. NumPy only.

The mouth is cut from boxes of the cascade that ``FaceDetector`` runs, and the networks learnt from those. A
box from landmarks is therefore as wide as the cascade's, and puts the mouth at the same place in the crop.
"""

import numpy as np

from avloc.features.crops import MOUTH_DOWN

# Least squares over the boxes of FaceTracker on 24 people, each counting once, from four points of a detector
# and from the means of the 68: on 7 others the width is off by 8 % and the centre of a crop of 96 px by 8 px
# (root mean square; mean error -3.5 % and under 1.5 px).
WIDTH_OF_EYES = 1.6
WIDTH_OF_FACE = 1.04
CENTRE_UP = 0.026  # of the width


def boxes_from_landmarks(points: np.ndarray) -> np.ndarray:
    """Give the box that the cascade would find around a face.

    Its width is a sum of the distance of the eyes and that from between them to the mouth, so that a head
    that turns does not become small at once. The mouth crop is centred a little above the mouth, towards the
    eyes.

    Parameters
    ----------
    points : float (n, 4, 2) [px]
        Right eye, left eye, nose tip, mouth centre.

    Returns
    -------
    float64 (n, 4) [px]
        x, y, width, height; as high as wide, and of no width where the eyes and the mouth are one point.

    Examples
    --------
    >>> box = boxes_from_landmarks(np.array([[[40, 50], [60, 50], [50, 60], [50, 70]]]))[0]
    >>> bool(box[0] < 40 and box[0] + box[2] > 60 and box[2] == box[3])
    True
    """
    right, left, _, mouth = np.moveaxis(np.asarray(points, dtype=np.float64), 1, 0)
    up = (right + left) / 2 - mouth
    height = np.linalg.norm(up, axis=1)
    side = WIDTH_OF_EYES * np.linalg.norm(left - right, axis=1) + WIDTH_OF_FACE * height
    towards_eyes = up / np.maximum(height, np.finfo(np.float64).tiny)[:, None]
    centre = mouth + CENTRE_UP * side[:, None] * towards_eyes  # of the mouth crop
    corner = centre - side[:, None] * np.array([0.5, MOUTH_DOWN])
    return np.concatenate([corner, side[:, None], side[:, None]], axis=1)
