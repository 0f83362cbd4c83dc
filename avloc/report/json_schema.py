"""The published description of the result document: JSON Schema, draft 2020-12, closed lists of words."""

from typing import Any

from avloc.structures import ERROR_REASONS, Modality, Reason, Status, Verdict

MAJOR = 1
SCHEMA = f"avloc.result/{MAJOR}"

SPAN_KINDS = ("speech", "face", "analysed", "event", "off_screen_speech", "shot")
EVENT_CODES = (
    "music",
    "hold_tone",
    "dtmf",
    "ring_back",
    "beep",
    "redaction",
    "packet_loss",
    "comfort_noise",
)
CURVE_NAMES = ("score_audio", "score_visual", "discrepancy", "boundary")
RELATIONS = ("distinct", "identical", "silent", "inverted")
PATHS = ("audio_wide", "audio_telephone", "audio_visual", "video_only")

NUMBER = {"type": ["number", "null"]}
INTEGER = {"type": ["integer", "null"], "minimum": 0}
TEXT = {"type": ["string", "null"]}
TIME = {"type": "number", "minimum": 0}
LENGTH = {"type": ["number", "null"], "minimum": 0}
UNIT = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
RATE = {"type": ["string", "null"], "pattern": "^[0-9]+/[1-9][0-9]*$"}
SHA256 = {"type": ["string", "null"]}


def json_schema() -> dict[str, Any]:
    """Describe the result document.

    Returns
    -------
    dict
        A schema that every document of this version satisfies: all keys required but ``timing``, which
        ``--reproducible`` leaves out, and ``proposals``, which is there on request.
    """
    properties = _outcome() | _findings() | _origin()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:avloc:result:{MAJOR}",
        "title": "What avloc says about one recording",
        "type": "object",
        "properties": properties,
        "required": [key for key in properties if key not in ("timing", "proposals")],
        "additionalProperties": False,
        "allOf": _laws(),
    }


def _object(**properties: Any) -> dict[str, Any]:
    """Object with exactly these keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: dict[str, Any], **limits: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **limits}


def _words(words: Any, *, nullable: bool = False) -> dict[str, Any]:
    return {"enum": [str(word) for word in words] + ([None] if nullable else [])}


def _laws() -> list[dict[str, Any]]:
    """Say what a status implies: only an analysed recording has a verdict, the others have a reason."""
    analysed = {"properties": {"status": {"const": str(Status.ANALYSED)}}}
    nothing = {"properties": {key: {"type": "null"} for key in ("verdict", "score", "llr")}}
    nothing["properties"] |= {"segments": {"maxItems": 0}, "reasons": {"minItems": 1}}
    error = {"properties": {"status": {"const": str(Status.ERROR)}}}
    why = {"properties": {"reasons": {"contains": _words(sorted(ERROR_REASONS))}}}
    return [
        {"if": analysed, "then": {"properties": {"verdict": {"type": "string"}}}, "else": nothing},
        {"if": error, "then": why},
    ]


def _outcome() -> dict[str, Any]:
    return {
        "schema": {"const": SCHEMA},
        "status": _words(Status),
        "verdict": _words(Verdict, nullable=True),
        "reasons": _list(_words(Reason)),
        "warnings": _list(_words(Reason)),
        "message": TEXT,
        "score": UNIT,
        "llr": NUMBER,
        "threshold": UNIT,
    }


def _findings() -> dict[str, Any]:
    where = {"channel": INTEGER, "face": INTEGER}
    interval = {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    segment = _object(
        start_s=TIME,
        end_s=TIME,
        score={"type": "number", "minimum": 0, "maximum": 1},
        llr=NUMBER,
        modality=_words(Modality),
        **where,
        start_interval_s=interval,
        end_interval_s=interval,
        evidence=_list({"type": "object"}),
    )
    curve = _object(name=_words(CURVE_NAMES), **where, start_s=TIME, rate=RATE, values=_list(NUMBER))
    code = _words(EVENT_CODES, nullable=True)
    span = _object(kind=_words(SPAN_KINDS), code=code, start_s=TIME, end_s=TIME, **where)
    channel = _object(
        index={"type": "integer", "minimum": 0},
        role={"type": "string"},
        path=_words(PATHS, nullable=True),
        relation=_words(RELATIONS),
        bandwidth_hz=LENGTH,
        snr_db=NUMBER,
        clipping=UNIT,
        threshold=UNIT,
        score=UNIT,
        coverage=UNIT,
    )
    box = _list({"type": "integer"}, minItems=4, maxItems=4)
    return {
        "segments": _list(segment),
        "curves": _list(curve),
        "spans": _list(span),
        "channels": _list(channel),
        "faces": _list(_object(id={"type": "integer", "minimum": 0}, start_s=TIME, end_s=TIME, box=box)),
        "sync": _object(offset_s=NUMBER, drift_ppm=NUMBER),
        "analysed": _object(
            duration_s=LENGTH,
            audio_s=LENGTH,
            speech_s=LENGTH,
            video_s=LENGTH,
            face_s=LENGTH,
            coverage=_object(audio=UNIT, visual=UNIT),
        ),
        "proposals": _list(_list({"type": "number"}, minItems=3, maxItems=3)),
    }


def _origin() -> dict[str, Any]:
    common = {"index": {"type": "integer", "minimum": 0}, "codec": {"type": "string"}}
    times = {"start_s": NUMBER, "duration_s": LENGTH, "used": {"type": "boolean"}}
    size = {"frame_rate": RATE, "width": INTEGER, "height": INTEGER}
    video = _object(
        **common, kind={"const": "video"}, **size, variable_rate={"type": ["boolean", "null"]}, **times
    )
    audio = _object(**common, kind={"const": "audio"}, sample_rate=INTEGER, channels=INTEGER, **times)
    timing = _object(wall_s=TIME, real_time_factor=LENGTH, device=TEXT)
    return {
        "input": _object(
            id={"type": "string"},
            name={"type": "string"},
            sha256=SHA256,
            bytes=INTEGER,
            container=TEXT,
            start_s=NUMBER,
            extra={"type": ["object", "null"], "additionalProperties": TEXT},
            streams=_list({"oneOf": [video, audio]}),
        ),
        "model": _object(
            name=TEXT, sha256=SHA256, network=TEXT, calibration={"type": ["string", "object", "null"]}
        ),
        "custody": {"type": ["object", "null"]},
        "tool": _object(
            name={"const": "avloc"}, version=TEXT, kernels=_words(("cpu", "cuda", "reference"), nullable=True)
        ),
        "timing": {**timing, "type": ["object", "null"]},
    }
