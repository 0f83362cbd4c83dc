import hashlib
import os
import random
import struct
import threading
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from avloc.errors import UnreadableMediaError
from avloc.media.decode import AudioBlock, Decoder
from avloc.media.probe import open_recording
from avloc.media.supervisor import Limits
from avloc.structures import AudioInfo, Reason, VideoInfo


def reason_of(path, **options) -> str:
    """Reason with which opening, or decoding after it, fails."""
    with pytest.raises(UnreadableMediaError) as caught:
        for _ in Decoder(open_recording(path, **options), crops=(), limits=options.get("limits")):
            pass
    assert Reason(caught.value.reason)
    assert caught.value.path == os.fspath(path)
    return caught.value.reason


def test_a_clip_is_described_without_decoding_it(make):
    path = make.clip(samples=make.tone(2.0, 44100, 2), rate=44100)
    recording = open_recording(path, id="x", extra={"case": "7"})
    assert (recording.id, recording.extra, recording.path) == ("x", {"case": "7"}, str(path))
    assert recording.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert recording.n_bytes == path.stat().st_size
    assert "mp4" in recording.container.split(",")
    assert recording.warnings == ()
    assert (recording.video.width, recording.video.height, recording.video.codec) == (64, 48, "mpeg4")
    assert (recording.video.frame_rate, recording.video.variable_rate) == (Fraction(25), False)
    assert (recording.audio.sample_rate, recording.audio.n_channels, recording.audio.codec) == (
        44100,
        2,
        "aac",
    )
    assert recording.duration == pytest.approx(2.0, abs=0.03)
    assert open_recording(path).id == str(path)


def test_time_zero_is_the_earliest_presented_timestamp(make):
    late = open_recording(
        make.clip("late.mkv", samples=make.tone(1.5), sound_start=0.476, sound_codec="pcm_s16le")
    )
    assert (late.start, late.video.start) == (0.0, 0.0)
    assert late.audio.start == pytest.approx(0.476, abs=1e-3)
    negative = open_recording(
        make.clip(
            "negative.mkv",
            samples=make.tone(2.2),
            sound_start=-0.2,
            sound_codec="pcm_s16le",
            options={"avoid_negative_ts": "disabled"},
        )
    )
    assert negative.start == pytest.approx(-0.2)
    assert (negative.audio.start, negative.video.start) == (0.0, pytest.approx(0.2))


def test_a_variable_frame_rate_is_noticed(make):
    times = sorted({0.0, *np.random.default_rng(0).uniform(0, 2, 40).round(3)})
    recording = open_recording(make.clip(times=times))
    assert recording.video.variable_rate is True
    assert Reason.VARIABLE_RATE in recording.warnings


def test_cover_art_is_no_video(make):
    path = make.song_with_cover()
    recording = open_recording(path)
    assert recording.video is None
    assert recording.audio is not None
    assert [(type(s), s.used) for s in recording.streams] == [(AudioInfo, True), (VideoInfo, False)]
    assert all(isinstance(block, AudioBlock) for block in Decoder(recording))


def test_of_many_sound_streams_the_first_is_used_and_all_are_listed(make):
    path = make.folder / "many.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(30)]
        for stream in streams:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
    recording = open_recording(path)
    assert len(recording.streams) == 30
    assert [s.index for s in recording.streams if s.used] == [0]
    fewer = open_recording(path, limits=Limits(streams_listed=5))
    assert len(fewer.streams) == 5
    assert Reason.LIMIT_REACHED in fewer.warnings


@pytest.mark.parametrize(
    "name",
    [
        "-rf.wav",
        "http:x.wav",
        "concat:a|b.wav",
        "line\nbreak.wav",
        "quote'\".wav",
        "<img onerror=x>;.wav",
        "=cmd().wav",
        "%d.wav",
        "é" * 125 + ".wav",
        os.fsdecode(b"bytes\xff\xfe.wav"),
    ],
)
def test_every_name_of_a_file_opens(make, name, monkeypatch):
    make.wav(name)
    monkeypatch.chdir(make.folder)
    recording = open_recording(name)
    assert (recording.path, recording.duration) == (name, pytest.approx(1.0))


def test_a_wav_with_a_video_name_is_opened_by_its_content(make):
    recording = open_recording(make.wav("call.mp4"))
    assert recording.container == "wav"
    assert recording.warnings == (Reason.EXTENSION_MISMATCH,)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_streamed_wav_has_the_length_of_its_bytes(make, size):
    path = make.wav(samples=make.tone(3.0))
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", size)
    path.write_bytes(data)
    recording = open_recording(path)
    assert recording.duration == pytest.approx(3.0, abs=0.01)
    assert Reason.TRUNCATED not in recording.warnings


BROKEN = {
    "empty": (b"", "empty"),
    "random": (random.Random(1).randbytes(20_000), "unrecognised"),
    "few_random": (b"\xfe\x01\x99", "unrecognised"),
    "zeros": (bytes(5000), "unrecognised"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(500), "not_media"),
    "zip": (b"PK\x03\x04" + bytes(500), "not_media"),
    "exe": (b"MZ\x90\x00" + bytes(500), "not_media"),
    "text": (b"Dear reader,\nthis is no recording.\n", "not_media"),
    "ffconcat": (b"ffconcat version 1.0\nfile 'neighbour.wav'\n", "playlist_refused"),
    "concat": (b"file 'neighbour.wav'\n", "playlist_refused"),
    "hls": (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nneighbour.wav\n#EXT-X-ENDLIST\n",
        "playlist_refused",
    ),
    "dash": (
        b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">\n</MPD>\n',
        "playlist_refused",
    ),
    "sdp": (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\n", "playlist_refused"),
    "pls": (b"[playlist]\nFile1=neighbour.wav\n", "playlist_refused"),
    "matroska_cut": (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01", "truncated"),
    "flac_cut": (b"fLaC\x00\x00\x00\x22" + bytes(12), "truncated"),
    "mp4_cut": (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isom", "truncated"),
    "mp4_index_missing": (b"\x00\x00\x00\x10ftypisom\x00\x00\x02\x00\x00\x00\x00\x08mdat", "truncated"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_is_no_recording_is_refused_with_a_reason(make, case):
    content, reason = BROKEN[case]
    path = make.folder / "a.mp4"
    path.write_bytes(content)
    neighbour = make.wav("neighbour.wav")
    os.utime(neighbour, (1, 1))
    assert reason_of(path) == reason
    assert neighbour.stat().st_atime == 1, "the neighbour was opened"


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_are_never_a_recording(make, seed):
    path = make.folder / "a.mp4"
    path.write_bytes(random.Random(seed).randbytes(100_000))
    assert reason_of(path) == "unrecognised"


def test_a_wav_header_alone_or_cut_is_refused(make):
    whole = make.wav().read_bytes()
    for n_bytes, reason in ((44, "no_samples"), (20, "truncated"), (8, "truncated"), (40, "truncated")):
        path = make.folder / f"cut{n_bytes}.wav"
        path.write_bytes(whole[:n_bytes])
        assert reason_of(path) == reason, n_bytes
    path.write_bytes(whole[:40] + bytes(4))
    assert reason_of(path) == "no_samples"


def test_an_mp4_cut_before_its_index_or_inside_its_first_frame_is_truncated(make):
    index_last = make.clip("last.mp4").read_bytes()
    path = make.folder / "a.mp4"
    path.write_bytes(index_last[: len(index_last) * 6 // 10])
    assert reason_of(path) == "truncated"
    index_first = make.clip("first.mp4", options={"movflags": "faststart"}).read_bytes()
    start = index_first.index(b"mdat") + 4
    path.write_bytes(index_first[: start + 30])
    assert reason_of(path) == "truncated"


def with_reference(clip: bytes, name: bytes) -> bytes:
    """The same MP4 (index last), its first track's data in another file of that name."""
    at = [clip.index(b"moov")]
    for box in (b"trak", b"mdia", b"minf", b"dinf", b"dref", b"url "):
        at.append(clip.index(box, at[-1]))
    data = bytearray(clip)
    for position in at:  # each of these boxes grows by the name
        size = struct.unpack(">I", data[position - 4 : position])[0]
        data[position - 4 : position] = struct.pack(">I", size + len(name))
    entry = at[-1] + 4
    assert data[entry : entry + 4] == b"\x00\x00\x00\x01"
    return bytes(data[:entry]) + bytes(4) + name + bytes(data[entry + 4 :])


def test_media_in_another_file_and_encrypted_media_are_refused(make):
    clip = make.clip().read_bytes()
    path = make.folder / "b.mov"
    path.write_bytes(with_reference(clip, b"file:///etc/passwd\x00"))
    assert reason_of(path) == "external_reference"
    path.write_bytes(clip.replace(b"mp4v", b"encv"))
    assert reason_of(path) == "encrypted"


def test_an_avi_with_a_playlist_inside_is_refused(make):
    path = make.clip("a.avi", sound_codec="pcm_s16le", picture_codec=None)
    path.write_bytes(path.read_bytes() + b"JUNK\x20\x00\x00\x00#EXTM3U\n#EXTINF:1,\nfile:///x\n")
    assert reason_of(path) == "playlist_refused"


def test_a_path_that_is_no_regular_file_is_refused_without_waiting(make):
    fifo = make.folder / "fifo.wav"
    os.mkfifo(fifo)
    began = time.monotonic()
    assert reason_of(fifo) == "special_file"
    assert reason_of("/dev/zero") == "special_file"
    assert reason_of(make.folder) == "special_file"
    assert reason_of(make.folder / "missing.wav") == "not_found"
    assert reason_of("a\0b.wav") == "not_found"
    loop = make.folder / "loop.wav"
    loop.symlink_to(loop)
    assert reason_of(loop) == "not_found"
    assert time.monotonic() - began < 5.0


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read every file")
def test_a_file_without_permission_is_refused(make):
    path = make.wav()
    path.chmod(0)
    assert reason_of(path) == "permission_denied"


def test_a_file_that_may_not_be_read_is_named_so(make, monkeypatch):
    path = make.wav()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert reason_of(path) == "permission_denied"


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(bytes=1000), "bytes"),
        (Limits(duration_s=0.5), "duration_s"),
        (Limits(channels=1), "channels"),
        (Limits(sample_rate_min=20_000), "sample_rate_min"),
        (Limits(sample_rate_max=8_000), "sample_rate_max"),
        (Limits(expansion=0.5), "expansion"),
    ],
)
def test_a_cap_that_is_reached_is_named(make, limits, name):
    path = make.wav(samples=make.tone(channels=2))
    assert reason_of(path, limits=limits) == "limit_reached"
    with pytest.raises(UnreadableMediaError, match=name):
        list(Decoder(open_recording(path, limits=limits), limits=limits))


@pytest.mark.parametrize("limits", [Limits(pixels=1000), Limits(frame_rate=20)])
def test_where_the_picture_goes_over_a_cap_the_sound_is_still_used(make, limits):
    recording = open_recording(make.clip(), limits=limits)
    assert recording.video is None
    assert recording.audio is not None
    assert len(recording.streams) == 2
    assert Reason.LIMIT_REACHED in recording.warnings


@pytest.mark.parametrize("rate", [1, 4_000_000_000])
def test_an_absurd_sampling_rate_is_a_limit(make, rate):
    path = make.wav()
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", rate)
    path.write_bytes(data)
    assert reason_of(path) == "limit_reached"


def test_sixty_five_thousand_channels_are_a_limit(make):
    path = make.wav()
    data = bytearray(path.read_bytes())
    data[22:24] = struct.pack("<H", 65535)
    data[32:34] = struct.pack("<H", 65534)
    path.write_bytes(data)
    assert reason_of(path) == "limit_reached"


def test_a_file_that_grows_while_it_is_opened_is_an_error(make, monkeypatch):
    path = make.wav()
    from avloc.media import probe

    hash_bytes = probe._hash_bytes

    def hash_and_grow(name):
        with open(name, "ab") as stream:
            stream.write(b"xx")
        return hash_bytes(name)

    monkeypatch.setattr(probe, "_hash_bytes", hash_and_grow)
    assert reason_of(path) == "changed_during_read"


def test_two_threads_may_open_at_the_same_time(make):
    path, found = make.wav(), []
    threads = [threading.Thread(target=lambda: found.append(open_recording(path).duration)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [pytest.approx(1.0)] * 3


def test_every_real_recording_opens(shared_media):
    paths = [
        p for p in sorted(shared_media.rglob("*.*")) if p.suffix != ".json" and p.parent.name != "speech"
    ]
    paths += sorted((shared_media / "speech").glob("*.*"))[::10]
    assert len(paths) > 50
    for path in paths:
        recording = open_recording(path)
        assert recording.duration > 0.5
        assert any(s.used for s in recording.streams)
        if path.suffix in (".flac", ".wav", ".ogg", ".mp3"):
            assert isinstance(recording.audio, AudioInfo)
