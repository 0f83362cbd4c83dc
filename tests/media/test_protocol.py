import io
import json
import struct

import numpy as np
import pytest

from avloc.media.protocol import (
    MAX_HEADER_BYTES,
    MAX_MESSAGE_BYTES,
    Message,
    ProtocolError,
    encode_message,
    pack_path,
    read_message,
    unpack_path,
)


def raw(header: object, body: bytes = b"") -> io.BytesIO:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return io.BytesIO(struct.pack("<I", len(text)) + text + body)


def test_a_message_survives_the_way_there_and_back():
    arrays = {
        "samples": np.arange(6, dtype=np.float32).reshape(2, 3),
        "present": np.array([True, False]),
        "none": np.zeros((0, 4), np.int64),
    }
    stream = io.BytesIO(b"".join(encode_message(Message("audio", {"start": 7}, arrays))))
    message = read_message(stream.read)
    assert (message.kind, dict(message.fields)) == ("audio", {"start": 7})
    for name, array in arrays.items():
        np.testing.assert_array_equal(message.arrays[name], array)
        assert message.arrays[name].dtype == array.dtype
    assert read_message(stream.read) is None


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "a", "dtype": "|O", "shape": [1]},
        {"name": "a", "dtype": "<f8", "shape": [1]},
        {"name": "a", "dtype": "|u1", "shape": [-1]},
        {"name": "a", "dtype": "|u1", "shape": [True]},
        {"name": "a", "dtype": "|u1", "shape": [1 << 20, 1 << 20, 1 << 20, 1 << 20]},
        {"name": "a", "dtype": "|u1", "shape": [MAX_MESSAGE_BYTES + 1]},
        {"name": "a", "dtype": "|u1", "shape": []},
        {"name": "a", "dtype": "|u1"},
        {"name": 3, "dtype": "|u1", "shape": [1]},
        {"name": "a", "dtype": ["|u1"], "shape": [1]},
        "a",
    ],
)
def test_an_array_that_is_not_allowed_is_refused_before_anything_is_allocated(spec):
    with pytest.raises(ProtocolError):
        read_message(raw({"kind": "audio", "arrays": [spec]}, b"x" * 16).read)


@pytest.mark.parametrize(
    "stream",
    [
        raw(b"[1, 2]"),
        raw(b"not json"),
        raw(b'{"arrays": []}'),
        raw({"kind": "a" * 1000}),
        raw({"kind": "a", "arrays": [{"name": "a", "dtype": "|u1", "shape": [1]}] * 17}, b"x" * 17),
        raw({"kind": "a", "arrays": [{"name": "a", "dtype": "|u1", "shape": [9]}]}, b"short"),
        io.BytesIO(b"\x01"),
        io.BytesIO(struct.pack("<I", MAX_HEADER_BYTES + 1)),
        io.BytesIO(struct.pack("<I", 100) + b"{}"),
    ],
)
def test_what_is_no_message_is_refused(stream):
    with pytest.raises(ProtocolError):
        read_message(stream.read)


def test_a_type_that_the_reader_refuses_is_not_written():
    with pytest.raises(ProtocolError, match="types"):
        encode_message(Message("a", {}, {"x": np.zeros(1, np.float64)}))


@pytest.mark.parametrize("name", ["a.wav", "-rf.wav", "a\nb", "q'\"", "\udcff\udcfe.mp4", "ü/日本"])
def test_every_name_fits_into_a_message(name):
    assert unpack_path(pack_path(name)) == name
