"""What the child may answer to a request: which keys, types, shapes and values, and in which order.

The child reads untrusted files, so it is taken for compromised: nothing that it says is used before it passed
here. Each kind of message has a table; a message that does not fit it is a breach of the protocol. An honest
child never sends one, whatever the file holds.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from avloc.media.clock import GRID_RATE, frame_to_sample
from avloc.media.headers import find_excess
from avloc.media.protocol import Message, ProtocolError

CROP_SHAPE = (96, 96)
NAME_CHARACTERS = 256
MESSAGE_CHARACTERS = 4096
N_NOTES = 1 << 13  # one for each stream that the demuxer may open, and a few
SLACK_S = 10.0  # an estimated duration may be a little too short
LARGEST = 1 << 53  # whole numbers up to it are exact in float64
LARGEST_TERM = 1 << 128  # of a fraction: 64-bit timestamps times 32-bit time bases, summed
LARGEST_PIXEL = 1e6  # of a box

Check = Callable[[Any], bool]


class DurationError(ProtocolError):
    """The blocks go on past the longest recording that is analysed."""

    reason = "limit_reached"


def _whole(low: int, high: int = LARGEST) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _number(low: float, high: float) -> Check:
    return lambda value: type(value) in (int, float) and low <= value <= high  # NaN compares false


def _maybe(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _one_of(*allowed: str) -> Check:
    return lambda value: isinstance(value, str) and value in allowed


def _some_of(*allowed: str) -> Check:
    one = _one_of(*allowed)
    return lambda value: isinstance(value, list) and all(map(one, value)) and len(set(value)) == len(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= NAME_CHARACTERS and value.isprintable()


def _is_notes(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= N_NOTES and all(map(_is_name, value))


def _is_ratio(value: Any) -> bool:
    """Whether two whole numbers make a fraction that a float can hold."""
    term = _whole(-LARGEST_TERM, LARGEST_TERM)
    return isinstance(value, list) and len(value) == 2 and all(map(term, value)) and value[1] > 0


_is_count = _maybe(_whole(0))
_is_index = _maybe(_whole(0, 1 << 31))
_is_header_integer = _whole(-(1 << 32), 1 << 32)  # streams that are only listed may claim anything
_is_spent = _number(-1.0, 1e9)  # seconds; a difference of two clocks may round below zero

FAILURE = {
    "reason": _one_of(
        *("empty", "not_media", "playlist_refused", "external_reference", "encrypted", "truncated"),
        *("unrecognised", "no_samples", "codec_unsupported", "limit_reached", "decode_errors"),
        *("changed_during_read", "out_of_memory", "internal_error"),
    ),
    "message": lambda value: isinstance(value, str),  # ``clean_text`` shortens it
}
OPEN_END = {
    "container": _is_name,
    "zero": _is_ratio,
    "streams": lambda value: isinstance(value, list),
    "audio": _is_index,
    "video": _is_index,
    "warnings": _some_of("truncated", "extension_mismatch", "limit_reached", "codec_unsupported"),
    "notes": _is_notes,
}
STREAM = {
    "index": _whole(0, 1 << 31),
    "kind": _one_of("audio", "video"),
    "codec": _maybe(_is_name),
    "start": _maybe(_is_ratio),
    "duration": _maybe(_number(-1e30, 1e30)),
}
AUDIO_STREAM = STREAM | {"sample_rate": _is_header_integer, "channels": _is_header_integer}
VIDEO_STREAM = STREAM | {
    "frame_rate": _maybe(lambda value: _is_ratio(value) and value[0] > 0),
    "width": _is_header_integer,
    "height": _is_header_integer,
    "variable_rate": _maybe(lambda value: type(value) is bool),
}
DECODE_END = {
    "warnings": _some_of(
        *("truncated", "decode_errors", "limit_reached", "timestamps_repaired", "sanitised_samples", "drift")
    ),
    "notes": _is_notes,
    **dict.fromkeys(("n_errors", "n_samples", "n_grid_frames", "n_frames", "n_gaps"), _is_count),
    "drift_ppm": _maybe(_number(-1e9, 1e9)),
    "decode_s": _is_spent,
    "face_s": _is_spent,
}
BLOCK = {"start": _whole(0), "media_s": _number(0.0, 1e12)}


class AnswerCheck:
    """Checks the answers to one request, one after the other.

    Parameters
    ----------
    request : Message
        What the child was asked: it says which answers there may be, and the caps.
    """

    def __init__(self, request: Message) -> None:
        asked = request.fields
        self._limits: Mapping[str, float] = asked["limits"]
        self._checks: dict[str, Callable[[Message], None]] = {
            "heartbeat": lambda message: _check_fields(message, {}),
            "failure": lambda message: _check_fields(message, FAILURE),
            "end": self._check_open_end,
        }
        self._crops: tuple[str, ...] = ()
        self._rates: dict[str, int | Fraction] = {}  # units of a second, by kind of block
        self._next: dict[str, int] = {}  # where the next block begins; none where the track has ended
        self._shapes: dict[str, tuple[int, ...]] = {}  # what does not change along a track
        if request.kind == "decode":
            self._checks["end"] = lambda message: _check_fields(message, DECODE_END)
            self._crops = tuple(f"crop_{name}" for name in asked["crops"])
            if asked["audio"] is not None:
                self._rates["audio"] = asked["sample_rate"]
            if asked["video"] is not None:
                self._rates["colour" if asked["picture"] == "colour" else "video"] = GRID_RATE
            first, last = asked["frames"]
            self._next = {kind: frame_to_sample(first, rate) for kind, rate in self._rates.items()}
            self._end_s = self._limits["duration_s"] + SLACK_S if last is None else float(last / GRID_RATE)

    def __call__(self, message: Message) -> None:
        """Check the next answer.

        Raises
        ------
        ProtocolError
            If the request has no such answer, or not now; ``DurationError`` where blocks outrun the cap.
        """
        try:
            self._check(message)
        except DurationError:
            raise
        except ProtocolError as error:
            raise ProtocolError(f"the decoder broke the protocol: {error}") from error

    def _check(self, message: Message) -> None:
        if message.kind in self._next:
            self._check_block(message)
        elif message.kind not in self._checks:
            raise ProtocolError(f"no answer of the kind {message.kind!r} is expected")
        elif message.arrays:
            raise ProtocolError(f"{message.kind} has no arrays, got {_show(sorted(message.arrays))}")
        else:
            self._checks[message.kind](message)

    def _check_block(self, message: Message) -> None:
        """Blocks follow each other without a hole, all of a second but the last of their track."""
        kind, rate = message.kind, self._rates[message.kind]
        _check_fields(message, BLOCK)
        n = {"audio": self._check_sound, "video": self._check_pictures, "colour": self._check_colour}[kind](
            message.arrays
        )
        start, full = message.fields["start"], 1 if kind == "colour" else int(rate)
        if not 1 <= n <= full:
            raise ProtocolError(f"{kind}: a block has 1 to {full} entries, got {n}")
        if start != self._next[kind]:
            raise ProtocolError(f"{kind}: the next block begins at {self._next[kind]}, got {start}")
        end_s = float((start + n) / rate)
        if abs(message.fields["media_s"] - end_s) > 1e-6:
            raise ProtocolError(f"{kind}: the block ends at {end_s} s, got {message.fields['media_s']}")
        if end_s > self._end_s:
            raise DurationError(f"duration_s: decoding gives over {self._limits['duration_s']:.0f} s")
        if n == full:
            self._next[kind] = start + n
        else:
            del self._next[kind]

    def _check_sound(self, arrays: Mapping[str, np.ndarray]) -> int:
        n_channels, n = _check_arrays("audio", arrays, {"samples": ("<f4", 2), "present": ("|b1", 1)})
        self._keep_shape("audio", (n_channels,), n_channels <= self._limits["channels"])
        if arrays["present"].shape != (n,) or arrays["present"].view(np.uint8).max(initial=0) > 1:
            raise ProtocolError("audio: present says true or false for each sample")
        if not (np.abs(arrays["samples"]) <= 1).all():  # false for NaN too
            raise ProtocolError("audio: samples lie in [-1, 1]")
        return n

    def _check_pictures(self, arrays: Mapping[str, np.ndarray]) -> int:
        table = {"source_index": ("<i8", 1), "face": ("<i4", 1), "boxes": ("<f4", 2)}
        (n,) = _check_arrays("video", arrays, table | dict.fromkeys(self._crops, ("|u1", 3)))
        expected = {"face": (n,), "boxes": (n, 4), **dict.fromkeys(self._crops, (n, *CROP_SHAPE))}
        for name, shape in expected.items():
            if arrays[name].shape != shape:
                raise ProtocolError(f"video: {name} has the shape {shape}, got {arrays[name].shape}")
        sources, face = arrays["source_index"], arrays["face"]
        if min(sources.min(initial=0), face.min(initial=0)) < -1 or sources.max(initial=0) > LARGEST:
            raise ProtocolError("video: frames and faces are counted from 0, or -1 for none")
        boxes = arrays["boxes"][face >= 0]
        if not ((np.abs(boxes) <= LARGEST_PIXEL).all() and (boxes[:, 2:] > 0).all()):
            raise ProtocolError("video: a face that is there has a box")
        return n

    def _check_colour(self, arrays: Mapping[str, np.ndarray]) -> int:
        shape = _check_arrays("colour", arrays, {"frame": ("|u1", 3)})
        self._keep_shape("colour", shape, shape[0] * shape[1] <= self._limits["pixels"] and shape[2] == 3)
        return 1

    def _keep_shape(self, kind: str, shape: tuple[int, ...], allowed: bool) -> None:
        if not allowed or 0 in shape or self._shapes.setdefault(kind, shape) != shape:
            raise ProtocolError(f"{kind}: the shape {shape} is over a cap, empty or not that of before")

    def _check_open_end(self, message: Message) -> None:
        _check_fields(message, OPEN_END)
        fields, kinds = message.fields, {"audio": AUDIO_STREAM, "video": VIDEO_STREAM}
        if len(fields["streams"]) > self._limits["streams_listed"]:
            raise ProtocolError(f"{len(fields['streams'])} streams are listed")
        streams = {}
        for facts in fields["streams"]:
            kind = facts.get("kind") if isinstance(facts, dict) else None
            _check_table("stream", facts, kinds.get(kind, STREAM) if isinstance(kind, str) else STREAM)
            streams[facts["index"]] = facts
        if len(streams) < len(fields["streams"]):
            raise ProtocolError("two streams have one index")
        used = [(kind, fields[kind]) for kind in kinds if fields[kind] is not None]
        for kind, index in used:
            facts = streams.get(index)
            if (
                facts is None
                or facts["kind"] != kind
                or None in (facts["codec"], facts["start"])
                or any(type(value) is int and value < 0 for value in facts.values())
                or (facts["duration"] or 0.0) > self._limits["duration_s"]
                or find_excess(facts, self._limits)
            ):
                raise ProtocolError(f"stream {index} cannot be the {kind} that is used")
        starts = [Fraction(*streams[index]["start"]) for _, index in used]
        if not starts or min(starts) != Fraction(*fields["zero"]):
            raise ProtocolError("zero is where the first used stream begins")


def clean_text(text: str) -> str:
    """Give a message of the child in a length and in characters that every output can hold.

    Examples
    --------
    >>> clean_text("no frame" + chr(0xD800))
    'no frame?'
    """
    return text[:MESSAGE_CHARACTERS].encode(errors="replace").decode()


def _show(value: Any) -> str:
    try:
        return repr(value)[:80]
    except RecursionError:
        return "values in values without end"


def _check_fields(message: Message, table: Mapping[str, Check]) -> None:
    _check_table(message.kind, message.fields, table)


def _check_table(what: str, values: Any, table: Mapping[str, Check]) -> None:
    if not isinstance(values, Mapping) or set(values) != set(table):
        raise ProtocolError(f"{what} has the keys {sorted(table)}, got {_show(values)}")
    for key, check in table.items():
        if not check(values[key]):
            raise ProtocolError(f"{what}: {key} cannot be {_show(values[key])}")


def _check_arrays(
    what: str, arrays: Mapping[str, np.ndarray], table: Mapping[str, tuple[str, int]]
) -> tuple[int, ...]:
    """Compare names, types and numbers of dimensions; give the shape of the first array of the table."""
    if set(arrays) != set(table):
        raise ProtocolError(f"{what} has the arrays {sorted(table)}, got {_show(sorted(arrays))}")
    for name, (dtype, n_dimensions) in table.items():
        array = arrays[name]
        if array.dtype.str != dtype or array.ndim != n_dimensions:
            got = f"{array.dtype.str} of shape {array.shape}"
            raise ProtocolError(f"{what}: {name} is {dtype} of {n_dimensions} dimensions, got {got}")
    return arrays[next(iter(table))].shape
