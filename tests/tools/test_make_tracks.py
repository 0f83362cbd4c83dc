"""The tool that writes landmarks: a detector that is known, and MediaPipe where it is installed."""

import importlib.util
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avloc.media.decode import Decoder, VideoBlock
from avloc.media.encode import write_video
from avloc.media.landmarks import read_landmarks
from avloc.media.probe import open_recording
from avloc.media.supervisor import Limits

ROOT = Path(__file__).resolve().parents[2]
HAS_MEDIAPIPE = importlib.util.find_spec("mediapipe") is not None
FACE = np.array([[24.0, 20], [40, 20], [32, 28], [32, 36]])


@pytest.fixture(scope="module")
def make_tracks():
    spec = importlib.util.spec_from_file_location("make_tracks", ROOT / "tools" / "make_tracks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("rate", [10, 25, 50])
def test_landmarks_belong_to_the_frames_that_they_were_found_on(make_tracks, tmp_path, rate):
    """The brightness of each frame says where its face is."""
    shades = np.arange(40, 200, 4)
    frames = [np.full((96, 128, 3), shade, np.uint8) for shade in shades]
    write_video(tmp_path / "a.mp4", frames, Fraction(rate))

    def find(picture: np.ndarray) -> np.ndarray:
        return FACE[None] + (picture.mean() / 4, 0)

    track = make_tracks.make_track(open_recording(tmp_path / "a.mp4"), find)
    step = max(1, rate // 25)
    assert len(track.frame) == len(shades) // step and set(np.diff(track.frame)) == {step}
    assert not track.face.any()
    np.testing.assert_allclose(track.points[:, 0, 0] - 24, shades[track.frame] / 4, atol=1.0)


@pytest.fixture
def brighter(tmp_path):
    """A clip of 200 frames, its 0.25 s of sound, and a finder that notes the shades it was shown."""
    frames = [np.full((96, 128, 3), 20 + i, np.uint8) for i in range(200)]
    write_video(tmp_path / "b.mp4", frames, Fraction(25))
    seen = []

    def find(picture: np.ndarray) -> np.ndarray:
        seen.append(round(picture.mean()) - 20)
        return FACE[None]

    return tmp_path / "b.mp4", find, seen


@pytest.mark.parametrize("part", [(0, 50), (90, 110), (180, None), (300, None)])
def test_a_part_is_looked_at_with_a_second_of_context(make_tracks, brighter, part):
    path, find, seen = brighter
    first, last = part
    track = make_tracks.make_track(open_recording(path), find, frames=part)
    expected = np.arange(200)[max(0, first - 25) : None if last is None else last + 25]
    assert track.frame.tolist() == expected.tolist()  # counted from the beginning of the recording
    assert np.abs(np.array(seen) - expected).max(initial=0) <= 2  # of a lossy codec


def test_what_lies_behind_a_limit_is_not_looked_at(make_tracks, brighter, caplog):
    path, find, _ = brighter
    track = make_tracks.make_track(open_recording(path), find, limits=Limits(duration_s=2.0))
    assert 50 <= len(track.frame) <= 65 and "duration_s" in caplog.text


@pytest.mark.dataset
@pytest.mark.skipif(not HAS_MEDIAPIPE, reason="needs MediaPipe: pip install 'avloc[face]'")
def test_a_track_of_a_real_clip_cuts_the_mouths_that_the_cascade_does(
    make_tracks, shared_media, tmp_path, capsys
):
    manifest = json.loads((shared_media / "manifest.json").read_text())
    assert next(e for e in manifest["entries"] if e["file"] == "genuine/marlin02.mp4")["use"] == "dev"
    path = shared_media / "genuine" / "marlin02.mp4"
    make_tracks.main([str(path), str(tmp_path / "faces")])
    track = read_landmarks(tmp_path / "faces")
    assert "1 faces" in capsys.readouterr().out
    rows = []
    for landmarks in (None, track):
        blocks = [b for b in Decoder(open_recording(path), landmarks=landmarks) if isinstance(b, VideoBlock)]
        rows.append(
            {
                b.start_frame + int(i): f.crops["mouth96_box"][i].astype(int)
                for b in blocks
                for f in b.faces
                for i in np.flatnonzero(f.present)
            }
        )
    both = sorted(rows[0].keys() & rows[1].keys())
    assert len(both) > 200
    likeness = [np.corrcoef(rows[0][i].ravel(), rows[1][i].ravel())[0, 1] for i in both]
    assert np.median(likeness) > 0.7
