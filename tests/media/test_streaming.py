from fractions import Fraction

import numpy as np
import pytest

from avloc.errors import UnreadableMediaError
from avloc.media.decode import AudioBlock, Decoder, VideoBlock
from avloc.media.probe import open_recording
from avloc.media.supervisor import Limits
from avloc.structures import Reason


def lengths(decoder: Decoder) -> tuple[float, float]:
    """Seconds of sound and of picture."""
    blocks = list(decoder)
    heard = sum(b.samples.shape[1] for b in blocks if isinstance(b, AudioBlock)) / 16000
    return heard, sum(len(b.source_index) for b in blocks if isinstance(b, VideoBlock)) / 25


def test_the_stream_that_expands_too_much_ends_and_the_other_goes_on(make):
    path = make.clip(samples=make.tone(2.0, 8000), rate=8000, size=(320, 240))
    limits = Limits(expansion=64_000 / path.stat().st_size * 2)  # the sound has 64,000 bytes as floats
    decoder = Decoder(open_recording(path), limits=limits)
    heard, seen = lengths(decoder)
    assert heard == pytest.approx(2.0, abs=0.15)
    assert seen < 0.1
    assert decoder.warnings == (Reason.LIMIT_REACHED,)
    assert "expansion" in decoder.notes[0]


def test_where_every_stream_goes_over_a_cap_the_recording_is_refused(make):
    recording = open_recording(make.clip())
    with pytest.raises(UnreadableMediaError, match="pixels|expansion") as caught:
        list(Decoder(recording, limits=Limits(expansion=0.001)))
    assert caught.value.reason == "limit_reached"


def test_a_picture_that_grows_within_the_stream_is_a_limit(make):
    recording = open_recording(make.clip())  # opened under a larger cap than decoded
    decoder = Decoder(recording, limits=Limits(pixels=100))
    heard, seen = lengths(decoder)
    assert heard > 1.9
    assert seen == 0
    assert "pixels" in decoder.notes[0]


def lying_flac(make, seconds: float):
    """Write a FLAC file whose header promises one second."""
    import av

    path = make.folder / "lying.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=16000, layout="mono")
        for _ in range(round(seconds * 25)):
            frame = av.AudioFrame.from_ndarray(np.ones((1, 640), np.int16), format="s16", layout="mono")
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    data[22:26] = (16000).to_bytes(4, "big")  # the number of samples in STREAMINFO
    path.write_bytes(data)
    return path


def test_a_header_that_lies_about_the_duration_does_not_lift_the_cap(make):
    limits = Limits(duration_s=2.0)
    recording = open_recording(lying_flac(make, 7.9), limits=limits)
    assert recording.duration == 1.0
    heard = 0
    with pytest.raises(UnreadableMediaError, match="duration_s") as caught:
        for block in Decoder(recording, limits=limits):
            heard += block.samples.shape[1]
    assert caught.value.reason == "limit_reached" and heard <= 3 * 16000


def test_a_little_more_than_the_header_says_is_no_reason_to_stop(make):
    limits = Limits(duration_s=2.0)
    decoder = Decoder(open_recording(lying_flac(make, 2.08), limits=limits), limits=limits)
    assert lengths(decoder)[0] == pytest.approx(2.08, abs=0.001)
    assert Reason.LIMIT_REACHED not in decoder.warnings


def test_the_stream_that_goes_on_after_the_cap_ends_and_the_other_is_whole(make):
    long = make.clip(samples=make.tone(1.0), times=[Fraction(i, 25) for i in range(125)])
    limits = Limits(duration_s=2.0)  # opened under a larger cap than decoded
    decoder = Decoder(open_recording(long), limits=limits)
    heard, seen = lengths(decoder)
    assert heard == pytest.approx(1.0, abs=0.15) and 2.0 < seen < 3.0
    assert decoder.warnings == (Reason.LIMIT_REACHED,) and "duration_s" in decoder.notes[0]


@pytest.mark.parametrize("wrong", ["picture", "sound"])
@pytest.mark.parametrize("gone_s", [60, 3000])
def test_a_single_timestamp_far_away_does_not_move_what_follows(make, wrong, gone_s):
    import av

    plain = make.clip(sound_codec="pcm_s16le", name="plain.mkv", samples=make.tone(4.0),
                      times=[Fraction(i, 25) for i in range(100)])  # fmt: skip
    path = make.folder / "far.mkv"
    with av.open(str(plain)) as source, av.open(str(path), "w") as container:
        streams = {s.index: container.add_stream_from_template(s) for s in source.streams}
        for n, packet in enumerate(p for p in source.demux() if p.size):
            kind = "picture" if packet.stream.type == "video" else "sound"
            if kind == wrong and n > 60:
                packet.pts += round(gone_s / packet.time_base)
                wrong = None
            packet.stream = streams[packet.stream.index]
            container.mux(packet)
    limits = Limits(frame_rate=1000)  # the file was copied without its rate
    decoder = Decoder(open_recording(path, limits=limits), limits=limits)
    heard, seen = lengths(decoder)
    assert wrong is None and (heard, seen) == pytest.approx((4.0, 4.0), abs=0.1)
    assert set(decoder.warnings) <= {Reason.TIMESTAMPS_REPAIRED, Reason.TRUNCATED, Reason.VARIABLE_RATE}


@pytest.mark.parametrize("times", [[0, 1, 31], [0, 1, 31, 32], [0, 30, 60, 90]])
def test_frames_far_apart_are_believed(make, times):
    decoder = Decoder(open_recording(make.clip(times=times, samples=make.tone(1.0))))
    assert lengths(decoder)[1] >= times[-1]
    assert Reason.TIMESTAMPS_REPAIRED not in decoder.warnings


def test_sound_that_drifts_against_the_picture_is_reported(make):
    import av

    path = make.folder / "drift.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for i in range(1500):  # 60 s of samples in packets whose timestamps run 0.1 % ahead
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 640), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16000, round(i * 640 * 1.001)
            container.mux(stream.encode(frame))
    decoder = Decoder(open_recording(path))
    heard, _ = lengths(decoder)
    assert heard == pytest.approx(60.06, abs=0.015)
    assert Reason.DRIFT in decoder.warnings
    assert decoder.drift_ppm == pytest.approx(1000, rel=0.2)


def test_bytes_that_no_decoder_takes_are_decode_errors(make):
    data = bytearray(make.clip("a.mp4", samples=make.tone(4.0), picture_codec=None).read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = b"\xff" * (end - start)
    path = make.folder / "b.mp4"
    path.write_bytes(data)
    with pytest.raises(UnreadableMediaError) as caught:
        list(Decoder(open_recording(path)))
    assert caught.value.reason == "decode_errors"
