from fractions import Fraction

import numpy as np
import pytest
import soundfile

from avloc.media.encode import write_audio, write_video
from avloc.media.probe import open_recording
from avloc.media.whole import read_audio, read_frames


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "new\nline.WAV"])
def test_sound_that_was_written_is_read_again(make, name):
    tone = make.tone(1.0, channels=2)
    path = make.folder / name
    write_audio(path, tone, 16000)
    np.testing.assert_allclose(read_audio(path), tone, atol=1e-4)  # 16 bits
    write_audio(path, tone, 16000)


def test_other_sample_types_can_be_asked_for(make):
    path = make.folder / "a.wav"
    write_audio(path, make.tone(rate=8000), 8000, subtype="ULAW")
    assert soundfile.info(str(path)).subtype == "ULAW"
    assert open_recording(path).audio.codec == "pcm_mulaw"


@pytest.mark.parametrize(
    ("name", "shape", "subtype"),
    [
        ("a.mp3", (1, 10), "PCM_16"),
        ("a.wav", (10,), "PCM_16"),
        ("a.wav", (1, 10), "NO"),
        ("a.wav", (65, 10), "PCM_16"),
    ],
)
def test_sound_that_cannot_be_written_is_refused(make, name, shape, subtype):
    with pytest.raises(ValueError):
        write_audio(make.folder / name, np.zeros(shape, np.float32), 16000, subtype=subtype)


def test_a_clip_that_was_written_is_read_again_in_time(make):
    path = make.folder / "a.mp4"
    frames = [make.square(i, white=i == 30) for i in range(50)]
    write_video(path, frames, Fraction(25), make.tone(2.0, channels=2, clicks=[1.2]), 16000)
    recording = open_recording(path)
    assert (recording.video.codec, recording.audio.codec, recording.audio.n_channels) == ("h264", "aac", 2)
    pictures, _ = read_frames(path)
    assert pictures.shape == (50, 48, 64, 3)
    assert pictures.mean(axis=(1, 2, 3)).argmax() == 30
    assert np.abs(read_audio(path)[0]).argmax() // 640 == 30
    assert np.abs(pictures[0].astype(int) - frames[0]).mean() < 3  # lossy


def test_a_clip_may_be_silent_and_is_the_same_each_time(make):
    for name in "ab":
        write_video(make.folder / name, (make.square(i) for i in range(5)), Fraction(30000, 1001))
    assert open_recording(make.folder / "a").audio is None
    assert (make.folder / "a").read_bytes() == (make.folder / "b").read_bytes()


@pytest.mark.parametrize(
    ("frames", "samples", "rate", "message"),
    [
        ([], None, None, "at least one"),
        ([np.zeros((5, 8, 3), np.uint8)], None, None, "even"),
        ([np.zeros((6, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)], None, None, "shape"),
        ([np.zeros((6, 8, 3), np.uint8)], np.zeros((1, 5), np.float32), None, "together"),
        ([np.zeros((6, 8, 3), np.uint8)], np.zeros((3, 5), np.float32), 16000, "channels"),
    ],
)
def test_a_clip_that_cannot_be_written_is_refused(make, frames, samples, rate, message):
    with pytest.raises(ValueError, match=message):
        write_video(make.folder / "a.mp4", frames, Fraction(25), samples, rate)
