"""Recordings read as a whole: how long each stream is, which sound and which face it holds."""

import numpy as np
import pytest

from avloc.media.decode import AudioBlock, FaceFrames, VideoBlock
from avloc.pipelines import whole_streams
from avloc.pipelines.whole_streams import read_streams
from avloc.structures import Reason, Recording

CROP = ("mouth96_box",)


def sound(n_samples: int, *, n_channels: int = 1, start: int = 0, missing: slice = slice(0, 0)) -> AudioBlock:
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, (n_channels, n_samples)).astype(np.float32)
    present = np.ones(n_samples, dtype=bool)
    present[missing] = False
    return AudioBlock(start, samples, present)


def face(number: int, n_frames: int, side: float, *, absent: slice = slice(0, 0)) -> FaceFrames:
    present = np.ones(n_frames, dtype=bool)
    present[absent] = False
    boxes = np.where(present[:, None], np.array([0, 0, side, side], np.float32), np.nan).astype(np.float32)
    crops = np.where(present[:, None, None], np.uint8(number + 1), np.uint8(0)) * np.ones(
        (1, 96, 96), np.uint8
    )
    return FaceFrames(number, boxes, present, {"mouth96_box": crops})


def shown(start: int, n_frames: int, *faces: FaceFrames) -> VideoBlock:
    nothing = np.zeros(n_frames, dtype=bool)
    return VideoBlock(start, np.arange(start, start + n_frames), faces, nothing)


@pytest.fixture
def read(monkeypatch):
    """Read blocks in place of a file."""

    def read(*blocks: AudioBlock | VideoBlock, duration_s: float = 1.0, max_frames: int = 100, crops=CROP):
        class Fake:
            warnings = (Reason.TRUNCATED,)

            def __init__(self, recording, **options):
                assert options["frames"] == (0, max_frames)

            def __iter__(self):
                return iter(blocks)

        monkeypatch.setattr(whole_streams, "Decoder", Fake)
        recording = Recording("x", "x", "00", 1, "wav", 0.0, duration_s)
        return read_streams(recording, crops=crops, max_frames=max_frames)

    return read


def test_each_stream_has_its_own_length_and_a_rest_of_sound_is_none(read):
    streams, warnings = read(sound(16_000), sound(1_000, start=16_000), shown(0, 25, face(0, 25, 50)))
    assert len(streams["audio"].present) == 26 and streams["audio"].arrays["waveform"].shape == (26 * 640,)
    assert len(streams["visual"].present) == 25 and warnings == (Reason.TRUNCATED,)
    assert read(sound(639))[0] == {}


def test_the_mean_of_the_channels_is_heard_also_of_silence(read):
    block = sound(25 * 640, n_channels=2)
    waveform = read(block)[0]["audio"].arrays["waveform"]
    np.testing.assert_allclose(waveform, block.samples.mean(axis=0), atol=1e-6)
    silent = AudioBlock(0, np.zeros((2, 25 * 640), np.float32), block.present)
    assert not read(silent)[0]["audio"].arrays["waveform"].any()


def test_where_sound_is_missing_frames_are_not_present(read):
    present = read(sound(25 * 640, missing=slice(640, 3 * 640)))[0]["audio"].present
    assert np.flatnonzero(~present).tolist() == [1, 2]


def test_the_face_that_is_largest_over_the_recording_is_shown_and_others_where_it_is_away(read):
    blocks = (
        shown(0, 10, face(0, 10, 60), face(1, 10, 50)),  # larger here
        shown(10, 10, face(1, 10, 50)),
        shown(20, 10, face(1, 10, 50, absent=slice(0, 5)), face(2, 10, 20, absent=slice(0, 3))),
        shown(30, 4),
    )
    visual = read(*blocks)[0]["visual"]
    who = visual.arrays["mouth96_box"][:, 0, 0]
    assert who.tolist() == [2] * 20 + [0] * 3 + [3] * 2 + [2] * 5 + [0] * 4
    np.testing.assert_array_equal(visual.present, who > 0)


def test_a_picture_without_a_face_is_absent(read):
    assert read(sound(640), shown(0, 25))[0].keys() == {"audio"}


def test_a_recording_that_is_longer_is_cut_and_says_so(read):
    streams, warnings = read(sound(640 * 21), duration_s=2.0, max_frames=20)
    assert len(streams["audio"].present) == 20 and warnings == (Reason.TRUNCATED, Reason.LIMIT_REACHED)
    assert read(sound(640 * 20), duration_s=0.8, max_frames=20)[1] == (Reason.TRUNCATED,)
