"""The CSV table and the text for a terminal."""

import csv
import dataclasses
import io

import pytest

from avloc.report.tables import CSV_COLUMNS, csv_header, csv_rows, text_block
from avloc.structures import (
    Analysed,
    Detection,
    Modality,
    Prediction,
    Reason,
    Recording,
    Segment,
    Status,
    Sync,
    Verdict,
)


def prediction_of(id: str = "clip.mp4", **changes) -> Prediction:
    recording = Recording(
        id=id, path=id, sha256="ab", n_bytes=1, container="wav", start=0.0, duration=9.0, streams=()
    )
    analysed = Analysed(9.0, 9.0, 8.0, None, None, 0.875, None)
    prediction = Prediction(
        recording=recording,
        status=Status.ANALYSED,
        verdict=Verdict.NONE_FOUND,
        score=0.25,
        threshold=0.5,
        analysed=analysed,
    )
    return dataclasses.replace(prediction, **changes)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_header() + text, newline="")))


DETECTIONS = (
    Detection(Segment(3.28, 4.6), 0.941203, Modality.AUDIO, face=0, llr=-1.25),
    Detection(Segment(3600.0, 3661.5), 0.5, Modality.BOTH, channel=1),
)


def test_csv_has_a_row_a_segment_with_the_recording_repeated():
    rows = read(csv_rows(prediction_of(detections=DETECTIONS)))
    assert [row["start_s"] for row in rows] == ["3.28", "3600.0"]
    assert {row["id"] for row in rows} == {"clip.mp4"}
    assert rows[0] | {"modality": "audio", "face": "0", "channel": "", "segment_score": "0.941203"} == rows[0]


def test_csv_has_one_row_with_empty_segment_columns_for_a_recording_without_any():
    (row,) = read(csv_rows(prediction_of(warnings=(Reason.DRIFT, Reason.TRUNCATED))))
    assert tuple(row) == CSV_COLUMNS
    assert (
        row["verdict"] == "none_found" and row["coverage_audio"] == "0.875" and row["coverage_visual"] == ""
    )
    assert row["warnings"] == "drift truncated"
    assert all(row[key] == "" for key in ("start_s", "end_s", "segment_score", "modality", "channel", "face"))


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-rf.wav", "@SUM(A1)", "\t=1", "\r=1"])
def test_csv_neutralises_names_that_a_spreadsheet_would_run(name):
    (row,) = read(csv_rows(prediction_of(name)))
    assert row["id"] == "'" + name


def test_csv_keeps_negative_numbers_as_numbers():
    rows = read(csv_rows(prediction_of(detections=DETECTIONS)))
    assert rows[0]["segment_llr"] == "-1.25"


@pytest.mark.parametrize(
    "name", ["a,b.wav", 'say "hi".wav', "two\nlines.wav", "cr\rhere.wav", "<img onerror>;'x"]
)
def test_csv_gives_every_name_back(name):
    (row,) = read(csv_rows(prediction_of(name)))
    assert row["id"] == name


def test_text_shows_segments_with_times_what_was_forged_and_score():
    text = text_block(prediction_of(detections=DETECTIONS, verdict=Verdict.FORGED_SEGMENTS_FOUND))
    assert "forged segments found (threshold 0.500)" in text
    first, second = (
        line.split() for line in text.splitlines() if line.split()[0:1] in (["0:00:03.280"], ["1:00:00.000"])
    )
    assert first == ["0:00:03.280", "0:00:04.600", "1.320s", "0.941", "sound,", "face", "0"]
    assert second == ["1:00:00.000", "1:01:01.500", "61.500s", "0.500", "both,", "channel", "1"]


def test_text_never_calls_a_recording_genuine_and_says_what_was_analysed():
    text = text_block(prediction_of())
    assert "none found" in text and "does not show that the recording is genuine" in text
    assert "authentic" not in text.lower()
    assert "87.5% of the sound analysed, picture absent" in text


def test_text_explains_reasons_and_warnings():
    text = text_block(
        prediction_of(
            verdict=Verdict.INCONCLUSIVE, reasons=(Reason.LOW_SNR,), warnings=(Reason.UNCALIBRATED,)
        )
    )
    assert "inconclusive" in text
    assert "reason    low_snr: Noise" in text and "warning   uncalibrated: " in text


def test_text_of_a_failure_says_what_happened():
    failed = prediction_of(
        status=Status.ERROR, verdict=None, score=None, reasons=(Reason.NOT_FOUND,), message="no such file"
    )
    text = text_block(failed)
    assert "failed" in text and "no such file" in text and "not_found: There is no such file." in text
    assert "coverage" not in text and "verdict" not in text


def test_text_says_which_way_a_constant_offset_goes():
    assert "sound 0.200 s late" in text_block(prediction_of(sync=Sync(0.2)))
    assert "sound 0.200 s early" in text_block(prediction_of(sync=Sync(-0.2)))
    assert "sync" not in text_block(prediction_of(sync=Sync(1e-9)))


def test_a_name_cannot_steer_the_terminal():
    text = text_block(prediction_of("\x1b[2Jevil\nverdict none found‮.wav"))
    assert "\x1b" not in text and "‮" not in text
    assert text.splitlines()[0] == r"\x1b[2Jevil\nverdict none found\u202e.wav"
