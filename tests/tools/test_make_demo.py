"""The demo recording that is committed: what its script promises of it."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from avloc.media.probe import open_recording
from avloc.media.whole import read_audio

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "demo" / "talking_head.mp4"


@pytest.fixture(scope="module")
def make_demo():
    spec = importlib.util.spec_from_file_location("make_demo", ROOT / "tools" / "make_demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_face_is_found_in_nine_of_ten_frames(make_demo):
    assert make_demo.face_share(CLIP) >= 0.9


def test_the_clip_is_small_and_the_truth_lies_inside_it():
    assert CLIP.stat().st_size < 1_000_000
    recording = open_recording(CLIP)
    truth = json.loads((ROOT / "demo" / "truth.json").read_text())
    for segment in truth["segments"]:
        assert 0 < segment["start_s"] < segment["end_s"] < recording.duration
    assert np.abs(read_audio(CLIP)).max() > 0.1


def test_a_replaced_word_leaves_the_rest_as_it_was(make_demo):
    samples = np.sin(np.arange(16000) / 20).astype(np.float32)
    forged, end = make_demo.replace_word(samples, 0.3, 0.6, np.ones(9000, np.float32))
    assert len(forged) == 16000 and end == 0.6
    np.testing.assert_array_equal(forged[:4800], samples[:4800])
    np.testing.assert_array_equal(forged[9600:], samples[9600:])
    assert np.abs(forged[5200:9000] - samples[5200:9000]).mean() > 0.1


def test_lips_close_in_a_pause_and_open_in_a_vowel(make_demo):
    lips = make_demo.lip_curve([("pau", 0.4), ("ae", 0.8), ("pau", 1.2)], 30)
    assert lips.shape == (30, 2)
    assert lips[2, 0] < 0.05 and lips[15, 0] > 0.7 and lips[28, 0] < 0.05


def test_a_word_that_was_not_spoken_is_an_error(make_demo):
    with pytest.raises(SystemExit, match="did not speak"):
        make_demo.find_word([("pau", 0.2), ("n", 0.3)], ("s", "eh"))
