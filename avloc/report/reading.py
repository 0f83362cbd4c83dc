"""Result documents back to predictions.

A document holds a recording's name, not its path, so the recording of a document that was read has that name
as its ``path``; its ``duration`` is the analysed one.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from avloc.errors import SchemaError
from avloc.report.json_schema import MAJOR, SCHEMA
from avloc.structures import (
    Analysed,
    AudioInfo,
    Channel,
    Curve,
    Detection,
    Face,
    Modality,
    Prediction,
    Provenance,
    Reason,
    Recording,
    Segment,
    Span,
    Status,
    Sync,
    Timing,
    Verdict,
    VideoInfo,
)


def from_dict(document: Mapping[str, Any]) -> Prediction:
    """Read a result document.

    Parameters
    ----------
    document : mapping
        A document of schema ``avloc.result/1``; keys that a later minor version added are ignored.

    Returns
    -------
    Prediction

    Raises
    ------
    SchemaError
        If the document is of a newer major version or of none, lacks a key or holds a value that cannot be.
    """
    _check_version(document)
    try:
        return _prediction(document)
    except KeyError as error:
        raise SchemaError(
            f"a document of {SCHEMA} needs the key {error.args[0]!r}, which is missing"
        ) from error
    except (TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise SchemaError(f"a value does not fit {SCHEMA}: {error}") from error


def _check_version(document: Mapping[str, Any]) -> None:
    given = document.get("schema") if isinstance(document, Mapping) else None
    match = re.fullmatch(r"avloc\.result/(\d+)(?:\.\d+)?", given) if isinstance(given, str) else None
    if match is None:
        raise SchemaError(f"expected a document with schema {SCHEMA!r}, got {given!r}")
    if int(match[1]) > MAJOR:
        raise SchemaError(f"this avloc reads schemas up to {SCHEMA!r}, got {given!r}; use a newer avloc")


def _prediction(document: Mapping[str, Any]) -> Prediction:
    timing, proposals, verdict = document.get("timing"), document.get("proposals"), document["verdict"]
    return Prediction(
        recording=_recording(document["input"], document["analysed"]["duration_s"]),
        status=Status(document["status"]),
        verdict=None if verdict is None else Verdict(verdict),
        reasons=tuple(Reason(code) for code in document["reasons"]),
        warnings=tuple(Reason(code) for code in document["warnings"]),
        message=document["message"],
        score=document["score"],
        llr=document["llr"],
        threshold=document["threshold"],
        detections=tuple(_detection(row) for row in document["segments"]),
        curves=tuple(_curve(row) for row in document["curves"]),
        spans=tuple(_span(row) for row in document["spans"]),
        channels=tuple(_channel(row) for row in document["channels"]),
        faces=tuple(Face(row["id"], _segment(row), tuple(row["box"])) for row in document["faces"]),
        sync=Sync(document["sync"]["offset_s"], document["sync"]["drift_ppm"]),
        analysed=_analysed(document["analysed"]),
        provenance=_provenance(document, timing),
        timing=None if timing is None else Timing(timing["wall_s"], timing["real_time_factor"]),
        proposals=None if proposals is None else tuple(tuple(row) for row in proposals),
    )


def _segment(row: Mapping[str, Any]) -> Segment:
    return Segment(float(row["start_s"]), float(row["end_s"]))


def _pair(interval: list[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (interval[0], interval[1])


def _detection(row: Mapping[str, Any]) -> Detection:
    return Detection(
        segment=_segment(row),
        score=row["score"],
        modality=Modality(row["modality"]),
        channel=row["channel"],
        face=row["face"],
        llr=row["llr"],
        start_interval=_pair(row["start_interval_s"]),
        end_interval=_pair(row["end_interval_s"]),
        evidence=tuple(row["evidence"]),
    )


def _curve(row: Mapping[str, Any]) -> Curve:
    return Curve(
        name=row["name"],
        start=row["start_s"],
        rate=Fraction(row["rate"]),
        values=tuple(row["values"]),
        channel=row["channel"],
        face=row["face"],
    )


def _span(row: Mapping[str, Any]) -> Span:
    return Span(row["kind"], _segment(row), code=row["code"], channel=row["channel"], face=row["face"])


def _channel(row: Mapping[str, Any]) -> Channel:
    return Channel(
        index=row["index"],
        role=row["role"],
        path=row["path"],
        relation=row["relation"],
        bandwidth_hz=row["bandwidth_hz"],
        snr_db=row["snr_db"],
        clipping=row["clipping"],
        threshold=row["threshold"],
        score=row["score"],
        coverage=row["coverage"],
    )


def _analysed(row: Mapping[str, Any]) -> Analysed:
    return Analysed(
        duration_s=row["duration_s"],
        audio_s=row["audio_s"],
        speech_s=row["speech_s"],
        video_s=row["video_s"],
        face_s=row["face_s"],
        coverage_audio=row["coverage"]["audio"],
        coverage_visual=row["coverage"]["visual"],
    )


def _provenance(document: Mapping[str, Any], timing: Mapping[str, Any] | None) -> Provenance | None:
    model, tool = document["model"], document["tool"]
    if model["name"] is None:
        return None
    return Provenance(
        model=model["name"],
        model_sha256=model["sha256"],
        network=model["network"],
        version=tool["version"],
        kernels=tool["kernels"],
        device=None if timing is None else timing["device"],
        calibration=model["calibration"],
    )


def _recording(row: Mapping[str, Any], duration: float | None) -> Recording:
    return Recording(
        id=row["id"],
        path=row["name"],
        sha256=row["sha256"],
        n_bytes=row["bytes"],
        container=row["container"],
        start=row["start_s"],
        duration=duration,
        streams=tuple(_stream(stream) for stream in row["streams"]),
        extra=row["extra"],
    )


def _stream(row: Mapping[str, Any]) -> AudioInfo | VideoInfo:
    if row["kind"] == "audio":
        return AudioInfo(
            index=row["index"],
            codec=row["codec"],
            sample_rate=row["sample_rate"],
            n_channels=row["channels"],
            start=row["start_s"],
            duration=row["duration_s"],
            used=row["used"],
        )
    rate = row["frame_rate"]
    return VideoInfo(
        index=row["index"],
        codec=row["codec"],
        frame_rate=None if rate is None else Fraction(rate),
        width=row["width"],
        height=row["height"],
        start=row["start_s"],
        duration=row["duration_s"],
        variable_rate=row["variable_rate"],
        used=row["used"],
    )
