import struct

import pytest

from avloc.media.content import inspect_content


@pytest.fixture
def inspect(tmp_path):
    def run(content: bytes):
        path = tmp_path / "a"
        path.write_bytes(content)
        return inspect_content(path)

    return run


def wave(n_data: int, declared: int, extra: bytes = b"", form: bytes = b"RIFF") -> bytes:
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 2, 8000, 32000, 4, 16)
    body = b"WAVE" + extra + fmt + b"data" + struct.pack("<I", declared) + bytes(n_data)
    return form + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("content", "kind", "truncated"),
    [
        (wave(100, 100), "wav", False),
        (wave(100, 400), "wav", True),
        (wave(100, 0xFFFFFFFF), "wav", False),
        (wave(100, 0), "wav", False),
        (wave(100, 0xFFFFFFFF, b"ds64" + struct.pack("<IQQQI", 28, 200, 100, 25, 0), b"RF64"), "wav", False),
        (wave(100, 0xFFFFFFFF, b"ds64" + struct.pack("<IQQQI", 28, 200, 900, 25, 0), b"RF64"), "wav", True),
        (wave(10, 10, b"LIST" + struct.pack("<I", 3) + b"abc\0"), "wav", False),
        (b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x88" + bytes(8), "matroska", False),
        (b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x88" + bytes(3), "matroska", True),
        (b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\xff" + bytes(3), "matroska", False),
        (
            b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + bytes(3),
            "matroska",
            False,
        ),
        (b"OggS" + bytes(30), "ogg", False),
        (b"\xff\xfb\x90\x00" + bytes(100), None, False),
    ],
)
def test_structures_that_run_past_the_end_are_truncated(inspect, content, kind, truncated):
    found = inspect(content)
    assert (found.kind, found.truncated, found.refusal) == (kind, truncated, None)


def test_the_claims_of_a_wave_header_are_read(inspect):
    found = inspect(wave(100, 100))
    assert (found.n_channels, found.sample_rate) == (2, 8000)
    assert found.promised_s is None, "the demuxer knows the length of a whole file"
    assert inspect(wave(100, 64000)).promised_s == 2.0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"RIFF\x00\x00", "truncated"),
        ("ffconcat version 1.0".encode("utf-8-sig"), "playlist_refused"),
        (b"  #EXTM3U\nhttp://example.org/a.ts", "playlist_refused"),
        (b"https://example.org/stream", "playlist_refused"),
        ("Grüße, 日本".encode(), "not_media"),
        ("Grüße".encode("utf-16"), "not_media"),
        (("é" * 5000).encode()[:4097], "not_media"),
        (b"\x00\x00\x00\x08moov", None),
        (b"\x00\x00\x00\x08moov\x00\x00\x00\x01skip\x00\x00\x00\x00\x00\x00\x00\x04", None),
        (b"\x00\x00\x00\x00mdat1234", "truncated"),
        (b"\x00\x00\x00\x0cftypisom\x00\x00\x00\x03mdat", "truncated"),
    ],
)
def test_what_must_not_be_opened_is_refused_by_name(inspect, content, reason):
    refusal = inspect(content).refusal
    assert (refusal[0] if refusal else None) == reason


def test_boxes_nested_without_end_are_left_alone(inspect):
    box = b""
    for _ in range(3000):
        box = struct.pack(">I", len(box) + 8) + b"trak" + box
    found = inspect(b"\x00\x00\x00\x08ftyp" + struct.pack(">I", len(box) + 8) + b"moov" + box)
    assert found.refusal is None
