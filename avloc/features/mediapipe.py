"""Landmarks by MediaPipe's face detector (BlazeFace) and face mesh; needs the extra ``avloc[face]``.

Bazarevsky et al., BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs, 2019.
Grishchenko et al., Attention Mesh: High-fidelity Face Mesh Prediction in Real-time, 2020.
"""

import numpy as np

LEAST_SCORE = 0.5
N_POINTS = 4  # of six: right eye, left eye, nose tip, mouth centre; the ears are left out
# Of the mesh's 478 points: the outer contour of the lips, from the right corner along the lower lip to the
# left one and back along the upper lip, then the inner contour in the same order.
LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
)
LEAST_MESH_SCORE = 0.3
INSTALL = "pip install 'avloc[face]'"


class FaceLandmarker:
    """Find four landmarks of every face on a picture.

    Parameters
    ----------
    near : bool
        Use the model for faces within about 2 m, in place of the one for up to about 5 m.

    Raises
    ------
    ModuleNotFoundError
        If MediaPipe is not installed; the message says how to.
    """

    def __init__(self, *, near: bool = False) -> None:
        try:
            from mediapipe.python.solutions.face_detection import FaceDetection
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        self._detection = FaceDetection(
            model_selection=0 if near else 1, min_detection_confidence=LEAST_SCORE
        )

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Find the faces of one picture.

        Parameters
        ----------
        picture : uint8 (H, W, 3)
            RGB.

        Returns
        -------
        float64 (n, 4, 2) [px]
            Right eye, left eye, nose tip and mouth centre; may lie a little outside the picture.
        """
        height, width, _ = picture.shape
        found = self._detection.process(np.ascontiguousarray(picture)).detections or ()
        points = [[(p.x, p.y) for p in face.location_data.relative_keypoints[:N_POINTS]] for face in found]
        return np.array(points, dtype=np.float64).reshape(-1, N_POINTS, 2) * (width, height)


class LipLandmarker:
    """Find the contours of the lips of one face along the pictures of a clip.

    Raises
    ------
    ModuleNotFoundError
        If MediaPipe is not installed; the message says how to.
    """

    def __init__(self) -> None:
        try:
            from mediapipe.python.solutions.face_mesh import FaceMesh
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        self._mesh = FaceMesh(
            max_num_faces=1,
            refine_landmarks=True,  # by attention to the lips
            min_detection_confidence=LEAST_MESH_SCORE,
            min_tracking_confidence=LEAST_MESH_SCORE,
        )

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Find the lips on the next picture of the clip.

        Parameters
        ----------
        picture : uint8 (H, W, 3)
            RGB, the face and some border.

        Returns
        -------
        float64 (40, 2) [px]
            ``LIPS``; NaN without a face.
        """
        height, width, _ = picture.shape
        found = self._mesh.process(np.ascontiguousarray(picture)).multi_face_landmarks
        if not found:
            return np.full((len(LIPS), 2), np.nan)
        return np.array([(found[0].landmark[k].x, found[0].landmark[k].y) for k in LIPS]) * (width, height)


def _missing(error: ModuleNotFoundError) -> ModuleNotFoundError:
    message = f"landmarks are found by MediaPipe, which is not installed; run {INSTALL}"
    return ModuleNotFoundError(message, name=error.name)
