"""The result document ``avloc.result/1``: a ``Prediction`` as a plain dictionary, and its canonical bytes.

Times and scores are rounded to six decimals here and nowhere else. ``report/reading.py`` is the way back,
``report/json_schema.py`` the published description; both are reachable from here.
"""

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from numbers import Integral
from os.path import basename
from typing import Any

from avloc.report.json_schema import SCHEMA, json_schema
from avloc.report.reading import from_dict
from avloc.structures import (
    Analysed,
    AudioInfo,
    Channel,
    Curve,
    Detection,
    Face,
    Prediction,
    Recording,
    Segment,
    Span,
    VideoInfo,
)

__all__ = ["SCHEMA", "canonical", "from_dict", "json_schema", "recording_to_dict", "to_dict", "to_json"]

DECIMALS = 6
STEP_S = 10.0**-DECIMALS  # the shortest span that can be written and read back


def to_dict(prediction: Prediction, *, reproducible: bool = False) -> dict[str, Any]:
    """Turn a prediction into the result document, every key present.

    Parameters
    ----------
    prediction : Prediction
        What avloc says about one recording.
    reproducible : bool
        Leave ``timing`` out, so that equal analyses give equal bytes.

    Returns
    -------
    dict
        Plain values that ``json_schema()`` accepts; numbers rounded to six decimals.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    made_by, timing = prediction.provenance, prediction.timing
    document = {
        "schema": SCHEMA,
        "status": str(prediction.status),
        "verdict": None if prediction.verdict is None else str(prediction.verdict),
        "reasons": [str(reason) for reason in prediction.reasons],
        "warnings": [str(reason) for reason in prediction.warnings],
        "message": _text(prediction.message),
        "score": _number(prediction.score),
        "llr": _number(prediction.llr),
        "threshold": _number(prediction.threshold),
        "segments": [_detection(detection) for detection in prediction.detections],
        "curves": [_curve(curve) for curve in prediction.curves],
        "spans": [_span(span) for span in prediction.spans],
        "channels": [_channel(channel) for channel in prediction.channels],
        "faces": [_face(face) for face in prediction.faces],
        "sync": {
            "offset_s": _number(prediction.sync.offset_s),
            "drift_ppm": _number(prediction.sync.drift_ppm),
        },
        "analysed": _analysed(prediction.analysed),
        "input": recording_to_dict(prediction.recording),
        "model": {
            "name": made_by and made_by.model,
            "sha256": made_by and made_by.model_sha256,
            "network": made_by and made_by.network,
            "calibration": made_by and made_by.calibration,
        },
        "custody": None,
        "tool": {
            "name": "avloc",
            "version": made_by and made_by.version,
            "kernels": made_by and made_by.kernels,
        },
    }
    if not reproducible:
        document["timing"] = timing and {
            "wall_s": _number(timing.wall_s),
            "real_time_factor": _number(timing.real_time_factor),
            "device": made_by and made_by.device,
        }
    if prediction.proposals is not None:
        document["proposals"] = [[_number(value) for value in row] for row in prediction.proposals]
    return document


def to_json(prediction: Prediction, *, reproducible: bool = False) -> str:
    """Canonical JSON of a prediction, without a line end; digests are over its bytes without ``timing``."""
    return canonical(to_dict(prediction, reproducible=reproducible))


def canonical(document: Any) -> str:
    r"""Serialise plain values with sorted keys, no spaces, ASCII only and no NaN.

    Examples
    --------
    >>> canonical({"b": [1.5, None], "a": "é"})
    '{"a":"\\u00e9","b":[1.5,null]}'
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _number(value: float | None) -> float | int | None:
    """Finite number with six decimals; an integer stays one, minus zero becomes zero."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if not math.isfinite(value):
        raise ValueError(f"a result document holds finite numbers only, got {float(value)}")
    return round(float(value), DECIMALS) + 0.0


def _whole(value: float | None) -> float | int | None:
    """As ``_number``, but a whole value is written without a decimal point."""
    rounded = _number(value)
    return rounded if rounded is None or rounded != int(rounded) else int(rounded)


def _text(value: str | None) -> str | None:
    """Text that every JSON reader accepts: what stands for bytes that are no UTF-8 is spelt out."""
    if value is None:
        return None
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _times(segment: Segment) -> dict[str, float]:
    start, end = _number(segment.start), _number(segment.end)
    if end <= start:
        end = _number(start + STEP_S)
    return {"start_s": start, "end_s": end}


def _interval(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [_number(edge) for edge in interval]


def _ids(owner: Detection | Curve | Span) -> dict[str, int | None]:
    return {"channel": _number(owner.channel), "face": _number(owner.face)}


def _plain(value: Any) -> Any:
    """Nested evidence as plain values, its numbers rounded like all others."""
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return _text(str(value)) if isinstance(value, str) else _number(value)


def _detection(detection: Detection) -> dict[str, Any]:
    return {
        **_times(detection.segment),
        "score": _number(detection.score),
        "llr": _number(detection.llr),
        "modality": str(detection.modality),
        **_ids(detection),
        "start_interval_s": _interval(detection.start_interval),
        "end_interval_s": _interval(detection.end_interval),
        "evidence": [_plain(entry) for entry in detection.evidence],
    }


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "name": curve.name,
        **_ids(curve),
        "start_s": _number(curve.start),
        "rate": _rate(curve.rate),
        "values": [_number(value) for value in curve.values],
    }


def _rate(rate: Fraction | None) -> str | None:
    return None if rate is None else f"{rate.numerator}/{rate.denominator}"


def _span(span: Span) -> dict[str, Any]:
    return {
        "kind": span.kind,
        "code": span.code,
        **_times(span.segment),
        **_ids(span),
    }


def _channel(channel: Channel) -> dict[str, Any]:
    return {
        "index": _number(channel.index),
        "role": _text(channel.role),
        "path": channel.path,
        "relation": channel.relation,
        "bandwidth_hz": _whole(channel.bandwidth_hz),
        "snr_db": _number(channel.snr_db),
        "clipping": _number(channel.clipping),
        "threshold": _number(channel.threshold),
        "score": _number(channel.score),
        "coverage": _number(channel.coverage),
    }


def _face(face: Face) -> dict[str, Any]:
    return {"id": _number(face.id), **_times(face.segment), "box": [round(edge) for edge in face.box]}


def _analysed(analysed: Analysed) -> dict[str, Any]:
    return {
        "duration_s": _number(analysed.duration_s),
        "audio_s": _number(analysed.audio_s),
        "speech_s": _number(analysed.speech_s),
        "video_s": _number(analysed.video_s),
        "face_s": _number(analysed.face_s),
        "coverage": {
            "audio": _number(analysed.coverage_audio),
            "visual": _number(analysed.coverage_visual),
        },
    }


def recording_to_dict(recording: Recording) -> dict[str, Any]:
    """Turn a recording into the ``input`` object of the document: its name, never its folder."""
    return {
        "id": _text(recording.id),
        "name": _text(basename(recording.path)),
        "sha256": recording.sha256,
        "bytes": recording.n_bytes,
        "container": recording.container,
        "start_s": _number(recording.start),
        "extra": _plain(recording.extra),
        "streams": [_stream(stream) for stream in recording.streams],
    }


def _stream(stream: AudioInfo | VideoInfo) -> dict[str, Any]:
    times = {"start_s": _number(stream.start), "duration_s": _number(stream.duration), "used": stream.used}
    if isinstance(stream, AudioInfo):
        sound = {"sample_rate": stream.sample_rate, "channels": stream.n_channels}
        return {"index": stream.index, "kind": "audio", "codec": stream.codec, **sound, **times}
    return {
        "index": stream.index,
        "kind": "video",
        "codec": stream.codec,
        "frame_rate": _rate(stream.frame_rate),
        "width": stream.width,
        "height": stream.height,
        "variable_rate": stream.variable_rate,
        **times,
    }
