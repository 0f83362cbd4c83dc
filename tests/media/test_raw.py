"""Sound without a header, read as the user says it is."""

import av
import numpy as np
import pytest

from avloc.errors import UnreadableMediaError
from avloc.media.decode import Decoder
from avloc.media.probe import open_recording
from avloc.media.supervisor import Limits
from avloc.structures import RAW_CODECS, RawFormat, Reason


def encode(codec: str, samples: np.ndarray, rate: int) -> bytes:
    """What the public coder makes of sound (C, n); no header."""
    context = av.CodecContext.create(f"pcm_{codec}", "w")
    context.sample_rate, context.layout = rate, {1: "mono", 2: "stereo"}[len(samples)]
    packed = {"u8": "u8", "s24le": "s32", "s32le": "s32", "f32le": "flt"}.get(codec, "s16")
    context.format = packed
    scale = {"u8": 127, "s16": 32767, "s32": 2**31 - 128, "flt": 1}[packed]
    kind = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32}[packed]
    values = samples.T.astype(np.float64) * scale + (128 if packed == "u8" else 0)
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(values.astype(kind).reshape(1, -1)), format=packed, layout=context.layout.name
    )
    frame.sample_rate = rate
    return b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))


def read(path, raw):
    recording = open_recording(path, input_format=raw)
    decoder = Decoder(recording, crops=(), sample_rate=recording.audio.sample_rate)
    return recording, np.concatenate([block.samples for block in decoder], axis=1)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("codec", RAW_CODECS)
def test_every_codec_gives_back_what_was_coded(make, tmp_path, codec, channels):
    samples = make.tone(1.5, 8000, channels=channels, clicks=[0.7])
    path = tmp_path / "call"
    path.write_bytes(encode(codec, samples, 8000))
    recording, decoded = read(path, RawFormat(codec, 8000, channels))
    assert (recording.audio.sample_rate, recording.audio.n_channels) == (8000, channels)
    assert recording.container == codec and recording.duration == pytest.approx(1.5)
    assert Reason.TRUNCATED not in recording.warnings
    np.testing.assert_allclose(
        decoded, samples, atol={"mulaw": 0.03, "alaw": 0.03, "u8": 0.016}.get(codec, 1e-4)
    )


def test_a_file_with_a_header_is_opened_as_what_it_is(make):
    path = make.wav(rate=16000)
    recording, decoded = read(path, RawFormat("mulaw", 8000, 2))
    assert recording.container == "wav" and decoded.shape[0] == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"a transcript\n" * 99, "not_media"),
        (b"%PDF-1.7" + bytes(range(128, 255)), "not_media"),
    ],
)
def test_what_is_no_sound_stays_refused(tmp_path, content, reason):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(UnreadableMediaError) as error:
        open_recording(path, input_format=RawFormat("alaw", 8000, 1))
    assert error.value.reason == reason


def test_caps_hold_for_what_the_user_claims(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(range(128, 256)) * 99)
    with pytest.raises(UnreadableMediaError, match="channels: 65"):
        open_recording(path, input_format=RawFormat("alaw", 8000, 65))
    with pytest.raises(UnreadableMediaError, match="sample_rate_min"):
        open_recording(path, input_format=RawFormat("alaw", 100, 1))
    limits = Limits(duration_s=1.0)
    with pytest.raises(UnreadableMediaError, match="duration_s"):
        open_recording(path, input_format=RawFormat("alaw", 8000, 1), limits=limits)


@pytest.mark.parametrize(
    "text",
    ["", "mulaw", "mulaw,", "mulaw,8000,", "mulaw,8e3", "mulaw,8000,2,1", "gsm,8000,1", "u8,0", "u8,-1,1"],
)
def test_a_format_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="mulaw"):
        RawFormat.parse(text)


def test_one_channel_is_meant_where_none_is_said():
    assert RawFormat.parse("s16le,16000") == RawFormat("s16le", 16000, 1)
