"""Landmarks by MediaPipe's face detector (BlazeFace); needs the extra ``avloc[face]``.

Bazarevsky et al., BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs, 2019.
"""

import numpy as np

LEAST_SCORE = 0.5
N_POINTS = 4  # of six: right eye, left eye, nose tip, mouth centre; the ears are left out
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
            message = f"landmarks are found by MediaPipe, which is not installed; run {INSTALL}"
            raise ModuleNotFoundError(message, name=error.name) from error
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
