"""The messages between the parent and the decoding child.

One message is a length, a JSON header and the raw bytes of the arrays that the header announces. Nothing is
ever unpickled: the child reads untrusted files, so the size of the header and the type and size of each array
are checked here before anything is allocated. What the fields and arrays of a message may hold is checked
afterwards, in ``answers.py`` and ``block_checks.py``, before anything is used.

::

    uint32 little endian   length of the header
    header                 UTF-8 JSON object; "arrays": [{"name", "dtype", "shape"}, ...]
    arrays                 C-contiguous bytes, in that order
"""

import base64
import json
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from avloc.errors import AvlocError

MAX_HEADER_BYTES = 1 << 20  # 1,024 listed streams take a fifth of it
MAX_MESSAGE_BYTES = 1 << 28  # one RGB frame of the largest picture (40 megapixels) takes half of it
MAX_KIND_CHARACTERS = 32
MAX_ARRAYS = 16
MAX_DIMENSIONS = 4
LANDMARK_CROP = "mouth88_landmarks"  # is cut by landmarks, larger than it is read
CROP_SHAPES = {"mouth96_box": (96, 96), "face112": (112, 112), LANDMARK_CROP: (96, 96)}  # of a face, pixels
DTYPES = frozenset(("|b1", "|u1", "<i4", "<i8", "<f4"))


class ProtocolError(AvlocError):
    """The other side sent something that is no message, or one that it may not send.

    ``reason`` is the code that the recording gets.
    """

    reason = "decoder_crash"


@dataclass(frozen=True, slots=True)
class Message:
    """Header fields and named arrays of one message; ``kind`` says what it is."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


def encode_message(message: Message) -> list[bytes | memoryview]:
    """Give the buffers that make up ``message``, to be written one after the other.

    Raises
    ------
    ProtocolError
        If an array has a type outside ``DTYPES`` or the message is larger than the reader allows.

    Examples
    --------
    >>> buffers = encode_message(Message("audio", {"start": 0}, {"samples": np.zeros((1, 3), np.float32)}))
    >>> [len(b) for b in buffers][0], buffers[-1].nbytes
    (4, 12)
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in message.arrays.items()}
    specs = [{"name": n, "dtype": a.dtype.str, "shape": list(a.shape)} for n, a in arrays.items()]
    header = json.dumps({**message.fields, "kind": message.kind, "arrays": specs}).encode()
    if len(header) > MAX_HEADER_BYTES:
        raise ProtocolError(f"a header has at most {MAX_HEADER_BYTES} bytes, got {len(header)}")
    _check_specs(specs)
    buffers: list[bytes | memoryview] = [struct.pack("<I", len(header)), header]
    buffers += [a.reshape(-1).view(np.uint8).data for a in arrays.values() if a.size]
    return buffers


def read_message(read: Callable[[int], bytes | bytearray]) -> Message | None:
    """Read one message; None at the end of the stream.

    Parameters
    ----------
    read : callable
        ``read(n)`` gives exactly n bytes, or fewer when the stream ends.

    Raises
    ------
    ProtocolError
        If the header, a type, a shape or a size is not allowed, or the stream ends inside a message.
    """
    prefix = read(4)
    if not prefix:
        return None
    if len(prefix) < 4:
        raise ProtocolError("the stream ended inside a message")
    (length,) = struct.unpack("<I", prefix)
    if not 2 <= length <= MAX_HEADER_BYTES:
        raise ProtocolError(f"a header has 2 to {MAX_HEADER_BYTES} bytes, got {length}")
    header = _parse_header(_read_exactly(read, length))
    specs, kind = header.pop("arrays", []), header.pop("kind", None)
    if not isinstance(kind, str) or len(kind) > MAX_KIND_CHARACTERS:
        raise ProtocolError(f"a message needs a kind, got {repr(kind)[:100]}")
    _check_specs(specs)
    arrays = {}
    for spec in specs:
        dtype = np.dtype(spec["dtype"])
        n_bytes = int(np.prod(spec["shape"], dtype=np.int64)) * dtype.itemsize
        data = bytearray(_read_exactly(read, n_bytes)) if n_bytes else bytearray()
        arrays[spec["name"]] = np.frombuffer(data, dtype).reshape(spec["shape"])
    return Message(kind, header, arrays)


def pack_path(path: str | bytes | os.PathLike) -> str:
    r"""Give a path in a form that JSON carries whatever bytes its name has.

    Examples
    --------
    >>> unpack_path(pack_path("a\udcff.wav")) == "a\udcff.wav"
    True
    """
    return base64.b64encode(os.fsencode(path)).decode("ascii")


def unpack_path(packed: str) -> str:
    """Inverse of ``pack_path``."""
    return os.fsdecode(base64.b64decode(packed, validate=True))


def _read_exactly(read: Callable[[int], bytes | bytearray], n: int) -> bytes | bytearray:
    data = read(n)
    if len(data) != n:
        raise ProtocolError(f"the stream ended inside a message: {len(data)} of {n} bytes")
    return data


def _parse_header(raw: bytes | bytearray) -> dict:
    try:
        header = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a header must be JSON: {error}") from error
    if not isinstance(header, dict):
        raise ProtocolError(f"a header must be a JSON object, got {type(header).__name__}")
    return header


def _check_specs(specs: Any) -> None:
    """Refuse array announcements that are malformed or would allocate too much."""
    if not isinstance(specs, list) or len(specs) > MAX_ARRAYS:
        raise ProtocolError(f"a message has at most {MAX_ARRAYS} arrays, got {str(specs)[:100]}")
    total = 0
    for spec in specs:
        if not isinstance(spec, dict) or set(spec) != {"name", "dtype", "shape"}:
            raise ProtocolError(f"an array needs name, dtype and shape, got {str(spec)[:100]}")
        shape = spec["shape"]
        if not (isinstance(spec["name"], str) and isinstance(spec["dtype"], str) and spec["dtype"] in DTYPES):
            got = repr(spec["dtype"])[:100]
            raise ProtocolError(f"an array has a name and one of the types {sorted(DTYPES)}, got {got}")
        if not isinstance(shape, list) or not 1 <= len(shape) <= MAX_DIMENSIONS:
            raise ProtocolError(f"an array has 1 to {MAX_DIMENSIONS} dimensions, got {str(shape)[:100]}")
        n_bytes = int(spec["dtype"][2:])
        for size in shape:
            if type(size) is not int or not 0 <= size <= MAX_MESSAGE_BYTES:
                raise ProtocolError(
                    f"a dimension is an integer in [0, {MAX_MESSAGE_BYTES}], got {str(size)[:100]}"
                )
            n_bytes *= size  # Python integers do not overflow
        total += n_bytes
    if total > MAX_MESSAGE_BYTES:
        raise ProtocolError(f"the arrays of a message have at most {MAX_MESSAGE_BYTES} bytes, got {total}")
