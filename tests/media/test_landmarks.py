"""Landmark files: what NumPy writes is read, and all else is refused with the name of the file."""

import os
import zipfile

import numpy as np
import pytest

from avloc.errors import AnnotationError
from avloc.media import landmarks
from avloc.media.landmarks import read_landmarks

POINTS = np.array([[[40, 50], [60, 50], [50, 60], [50, 70]]] * 3, dtype=np.float32)
FRAME = np.arange(3)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("face", [None, np.array([4, 4, 9])])
def test_what_numpy_writes_is_read(tmp_path, save, face):
    arrays = {"points": POINTS, "frame": FRAME, "note": np.array("by hand")}
    arrays |= {} if face is None else {"face": face}
    save(tmp_path / "a.npz", **arrays)
    track = read_landmarks(tmp_path / "a.npz")
    np.testing.assert_array_equal(track.points, POINTS)
    assert track.frame.tolist() == [0, 1, 2]
    assert track.face.tolist() == ([0, 0, 0] if face is None else [4, 4, 9])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"frame": FRAME}, "expected the arrays points and frame, got frame; add points"),
        ({"points": POINTS}, "add frame"),
        ({"landmarks": POINTS}, "got landmarks; add points and frame"),
        ({"points": POINTS, "frame": FRAME + 0.5}, "frame holds whole numbers"),
        ({"points": POINTS.astype(object), "frame": FRAME}, "points is no array of numbers"),
    ],
)
def test_wrong_arrays_are_refused_with_the_file_and_the_reason(tmp_path, arrays, message):
    path = tmp_path / "faces of a.npz"
    np.savez(path, **arrays)
    with pytest.raises(AnnotationError, match="faces of a.npz.*" + message):
        read_landmarks(path)


def test_what_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(AnnotationError, match="expected a file of landmarks .*, got none"):
        read_landmarks(path)
    with pytest.raises(AnnotationError, match="expected a file of landmarks"):
        read_landmarks(tmp_path)
    path.write_bytes(b"right eye, left eye")
    with pytest.raises(AnnotationError, match=r"a\.npz.*as numpy\.savez writes them"):
        read_landmarks(path)
    np.savez(path, points=POINTS, frame=FRAME)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AnnotationError, match=r"as numpy\.savez writes them"):
        read_landmarks(path)
    path.write_bytes(whole.replace(POINTS.tobytes(), POINTS[::-1].tobytes()[:-1] + b"\x01"))
    with pytest.raises(AnnotationError, match="CRC"):
        read_landmarks(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("points.npy", b"no array")
        archive.writestr("frame", b"no array")
    with pytest.raises(AnnotationError, match=r"a\.npz"):
        read_landmarks(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(AnnotationError, match="expected a file of landmarks"):
        read_landmarks(tmp_path / "a.npz")


def test_an_array_over_the_cap_is_refused_before_it_is_read(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", points=np.zeros((5000, 4, 2)), frame=np.arange(5000))
    monkeypatch.setattr(landmarks, "MAX_ARRAY_BYTES", 100_000)
    monkeypatch.setattr(np, "load", lambda *a, **k: pytest.fail("nothing may be read"))
    with pytest.raises(AnnotationError, match="points has 320128 bytes, at most 100000"):
        read_landmarks(tmp_path / "a.npz")
