"""What the child may answer to a request: which keys, types, shapes and values, and in which order.

The child reads untrusted files, so it is taken for compromised: nothing that it says is used before it passed
here. Each kind of message has a table; a message that does not fit it is a breach of the protocol. An honest
child never sends one, whatever the file holds. Blocks of media are checked in ``block_checks.py``.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction

from avloc.media.block_checks import BlockCheck, DurationError
from avloc.media.checks import (
    Check,
    check_table,
    is_name,
    is_notes,
    is_ratio,
    maybe,
    number,
    one_of,
    show,
    some_of,
    whole,
)
from avloc.media.headers import find_excess
from avloc.media.protocol import Message, ProtocolError

MESSAGE_CHARACTERS = 4096

_is_count = maybe(whole(0))
_is_index = maybe(whole(0, 1 << 31))
_is_header_integer = whole(-(1 << 32), 1 << 32)  # streams that are only listed may claim anything
_is_spent = number(-1.0, 1e9)  # seconds; a difference of two clocks may round below zero

FAILURE = {
    "reason": one_of(
        *("empty", "not_media", "playlist_refused", "external_reference", "encrypted", "truncated"),
        *("unrecognised", "no_samples", "codec_unsupported", "limit_reached", "decode_errors"),
        *("changed_during_read", "out_of_memory", "internal_error"),
    ),
    "message": lambda value: isinstance(value, str),  # ``clean_text`` shortens it
}
OPEN_END = {
    "container": is_name,
    "zero": is_ratio,
    "streams": lambda value: isinstance(value, list),
    "audio": _is_index,
    "video": _is_index,
    "warnings": some_of("truncated", "extension_mismatch", "limit_reached", "codec_unsupported"),
    "notes": is_notes,
}
STREAM = {
    "index": whole(0, 1 << 31),
    "kind": one_of("audio", "video"),
    "codec": maybe(is_name),
    "start": maybe(is_ratio),
    "duration": maybe(number(-1e30, 1e30)),
}
AUDIO_STREAM = STREAM | {"sample_rate": _is_header_integer, "channels": _is_header_integer}
VIDEO_STREAM = STREAM | {
    "frame_rate": maybe(lambda value: is_ratio(value) and value[0] > 0),
    "width": _is_header_integer,
    "height": _is_header_integer,
    "variable_rate": maybe(lambda value: type(value) is bool),
}
DECODE_END = {
    "warnings": some_of(
        *("truncated", "decode_errors", "limit_reached", "timestamps_repaired", "sanitised_samples", "drift")
    ),
    "notes": is_notes,
    **dict.fromkeys(("n_errors", "n_samples", "n_grid_frames", "n_frames", "n_sources", "n_gaps"), _is_count),
    "drift_ppm": maybe(number(-1e9, 1e9)),
    "decode_s": _is_spent,
    "face_s": _is_spent,
}


class AnswerCheck:
    """Checks the answers to one request, one after the other.

    Parameters
    ----------
    request : Message
        What the child was asked: it says which answers there may be, and the caps.
    """

    def __init__(self, request: Message) -> None:
        self._limits: Mapping[str, float] = request.fields["limits"]
        decodes = request.kind == "decode"
        self._blocks = BlockCheck(request.fields) if decodes else None
        self._checks: dict[str, Callable[[Message], None]] = {
            "heartbeat": lambda message: _check_fields(message, {}),
            "failure": lambda message: _check_fields(message, FAILURE),
            "end": (lambda message: _check_fields(message, DECODE_END)) if decodes else self._check_open_end,
        }

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
        if message.kind in self._checks:
            if message.arrays:
                raise ProtocolError(f"{message.kind} has no arrays, got {show(sorted(message.arrays))}")
            self._checks[message.kind](message)
        elif self._blocks is not None:
            self._blocks(message)
        else:
            raise ProtocolError(f"no answer of the kind {message.kind!r} is expected")

    def _check_open_end(self, message: Message) -> None:
        _check_fields(message, OPEN_END)
        fields, kinds = message.fields, {"audio": AUDIO_STREAM, "video": VIDEO_STREAM}
        if len(fields["streams"]) > self._limits["streams_listed"]:
            raise ProtocolError(f"{len(fields['streams'])} streams are listed")
        streams = {}
        for facts in fields["streams"]:
            kind = facts.get("kind") if isinstance(facts, dict) else None
            check_table("stream", facts, kinds.get(kind, STREAM) if isinstance(kind, str) else STREAM)
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


def _check_fields(message: Message, table: Mapping[str, Check]) -> None:
    check_table(message.kind, message.fields, table)
