import numpy as np
import pytest

from avloc.errors import MissingStreamError
from avloc.media.decode import AudioBlock, Decoder
from avloc.media.probe import open_recording
from avloc.media.whole import read_audio, read_frames


def test_the_whole_sound_is_that_of_the_blocks(make):
    path = make.wav(samples=make.tone(2.5))
    blocks = [b.samples for b in Decoder(open_recording(path)) if isinstance(b, AudioBlock)]
    assert len(blocks) == 3
    np.testing.assert_array_equal(read_audio(path), np.concatenate(blocks, axis=1))


def test_a_missing_stream_is_named(make):
    with pytest.raises(MissingStreamError, match="video"):
        read_frames(make.wav())
    with pytest.raises(MissingStreamError, match="sound"):
        read_audio(make.clip(sound_codec=None))
    path = make.clip("long.mp4", times=[0, 30, 61], samples=make.tone(0.5))
    with pytest.raises(ValueError, match="60"):
        read_frames(path)


def test_a_refusal_in_the_middle_does_not_disturb_the_next_reading(make, monkeypatch):
    path = make.clip("clip.mp4", samples=make.tone(1.0))
    n_frames = len(read_frames(path)[0])
    with monkeypatch.context() as short:
        short.setattr("avloc.media.whole.GRID_RATE", 0.01)  # as if the clip were longer than its header says
        with pytest.raises(ValueError, match="got more"):
            read_frames(path)
    assert len(read_frames(path)[0]) == n_frames and read_audio(path).shape[0] == 1
