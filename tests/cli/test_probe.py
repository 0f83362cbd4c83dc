"""``avloc probe``."""

import json
from fractions import Fraction

import pytest

from avloc.cli import probe
from avloc.errors import UnreadableMediaError
from avloc.structures import AudioInfo, Reason, Recording, VideoInfo

STREAMS = (
    VideoInfo(0, "h264", Fraction(30000, 1001), 640, 360, 0.0, 11.5, True, True),
    AudioInfo(1, "aac", 44100, 2, 0.476, None, True),
    AudioInfo(2, "mp3", 8000, 1, 0.0, 3.0, False),
)


@pytest.fixture(autouse=True)
def fake_opener(monkeypatch):
    """Open files by name, without a decoder."""

    def open_recording(path, limits, input_format):
        if "missing" in path:
            raise UnreadableMediaError(path, "no such file", reason="not_found")
        if "cut" in path:
            raise UnreadableMediaError(path, "no moov\x1b box", reason="truncated")
        told = {"warnings": (Reason.VARIABLE_RATE,)}
        told |= {"notes": ("pixels: 9x9 px, at most 8 px",)} if "large" in path else {}
        return Recording(path, path, "ab" * 32, 99, "mov,mp4", 0.0, 11.5, STREAMS, **told)

    monkeypatch.setattr(probe, "open_recording", open_recording)


def test_json_holds_the_input_of_the_result_document(run):
    code, out, err = run("probe", "dir/a.mp4")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert document["status"] == "readable" and document["warnings"] == ["variable_rate"]
    assert [stream["used"] for stream in document["input"]["streams"]] == [True, True, False]
    assert document["input"]["name"] == "a.mp4" and document["duration_s"] == 11.5


def test_a_cap_that_kept_a_stream_out_is_named(run):
    assert json.loads(run("probe", "large.mp4").out)["message"] == "pixels: 9x9 px, at most 8 px"
    assert json.loads(run("probe", "a.mp4").out)["message"] is None


def test_failures_have_rows_with_codes_and_exit_3(run):
    code, out, _ = run("probe", "a.mp4", "missing.mp4", "cut.mp4")
    rows = json.loads(out)
    assert code == 3
    assert [row["status"] for row in rows] == ["readable", "error", "not_analysable"]
    assert [row["reasons"] for row in rows] == [[], ["not_found"], ["truncated"]]
    assert {frozenset(row) for row in rows} == {frozenset(rows[0])}


def test_text_says_what_would_be_analysed(run):
    code, out, _ = run("probe", "--format", "text", "a.mp4", "cut.mp4")
    assert code == 3
    assert "0 video h264, 640x360, 30000/1001 frames a second, variable, from 0.000 s: analysed" in out
    assert "1 audio aac, 44100 Hz, 2 channels, from 0.476 s: analysed" in out
    assert "2 audio mp3, 8000 Hz, 1 channel, from 0.000 s: not analysed" in out
    assert "warning   variable_rate: " in out and "reason    truncated: " in out and "\x1b" not in out


def test_an_unknown_limit_exits_with_2(run):
    assert run("probe", "a.mp4", "--limit", "mood=1").code == 2


def test_quiet_and_verbose_exclude_each_other(run):
    assert run("probe", "a.mp4", "--quiet", "-v").code == 2
