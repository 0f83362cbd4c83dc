"""The real pipeline through the command line: the demo recording, and files that are none."""

import json
import random
import wave
from pathlib import Path

import jsonschema
import numpy as np

from avloc.cli import localize
from avloc.report.schema import json_schema

DEMO = Path(__file__).resolve().parents[2] / "demo" / "talking_head.mp4"


def speechless_wav(path: Path, seconds: float) -> Path:
    samples = (2000 * np.random.default_rng(1).standard_normal(round(seconds * 16000))).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.tobytes())
    return path


def test_the_demo_recording_is_analysed_whole(run):
    code, out, _ = run("localize", DEMO, "--device", "cpu", "--min-score", "0", "--curves", "--threads", "1")
    document = json.loads(out)
    assert code == 0 and document["status"] == "analysed"
    jsonschema.validate(document, json_schema())
    assert document["analysed"]["coverage"]["audio"] > 0.99
    assert document["analysed"]["coverage"]["visual"] > 0.9
    assert {"score_audio", "score_visual", "discrepancy"} <= {curve["name"] for curve in document["curves"]}
    for segment in document["segments"]:
        assert 0 <= segment["start_s"] < segment["end_s"] <= document["analysed"]["duration_s"] + 1e-6


def test_a_reproducible_run_gives_the_same_bytes(run):
    arguments = ("localize", DEMO, "--device", "cpu", "--reproducible", "--min-score", "0")
    assert run(*arguments).out == run(*arguments).out


def bad_inputs(folder: Path) -> dict[str, str]:
    """Write files that cannot be analysed and name the reason of each."""
    noise = random.Random(0).randbytes(5000)
    wav = speechless_wav(folder / "whole.wav", 1.0).read_bytes()
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "header.wav").write_bytes(wav[:44])
    (folder / "noise.mp4").write_bytes(noise)
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile 'whole.wav'\n")
    (folder / "text.wav").write_text("only words here\n" * 50)
    speechless_wav(folder / "short.wav", 0.3)
    return {
        "empty.mp4": "empty",
        "header.wav": "no_samples",
        "noise.mp4": "unrecognised",
        "list.mp4": "playlist_refused",
        "text.wav": "not_media",
        "short.wav": "too_short",
        "missing.wav": "not_found",
    }


def test_files_that_are_no_recordings_are_rows_with_reasons_and_no_traceback(run, tmp_path):
    expected = bad_inputs(tmp_path)
    paths = [tmp_path / name for name in expected]
    code, out, err = run("localize", *paths, tmp_path / "whole.wav", "--format", "jsonl", "--device", "cpu")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 3 and "Traceback" not in err
    assert [row["input"]["name"] for row in rows] == [*expected, "whole.wav"]
    for row in rows:
        jsonschema.validate(row, json_schema())
    told = {row["input"]["name"]: row["reasons"] for row in rows[:-1]}
    assert told == {name: [reason] for name, reason in expected.items()}
    for row, reason in zip(rows, expected.values(), strict=False):
        assert row["status"] == ("error" if reason == "not_found" else "not_analysable")


def test_the_command_loads_the_localizer_of_the_package():
    localizer = localize.load_localizer("default", device="cpu")
    assert localizer.provenance.model == "default"


def test_probe_tells_what_the_demo_recording_holds(run):
    code, out, _ = run("probe", DEMO)
    used = {stream["kind"] for stream in json.loads(out)["input"]["streams"] if stream["used"]}
    assert code == 0 and used == {"audio", "video"}


def write_tracks(path: Path, n: int) -> Path:
    """Landmarks of the face of the demo recording, which hardly moves, on its first ``n`` frames."""
    points = np.array([[136.0, 116], [190, 116], [163, 144], [163, 172]])
    np.savez(path, points=np.tile(points, (n, 1, 1)), frame=np.arange(n))
    return path


def test_landmarks_take_the_place_of_the_search_for_faces(run, tmp_path):
    options = ("localize", DEMO, "--device", "cpu", "--threads", "1", "--tracks")
    code, out, _ = run(*options, write_tracks(tmp_path / "faces.npz", 125))
    document = json.loads(out)
    jsonschema.validate(document, json_schema())
    assert code == 0 and document["status"] == "analysed"
    (face,) = document["faces"]
    assert (face["start_s"], face["end_s"]) == (0.0, 5.0) and document["analysed"]["video_s"] == 7.72
    assert np.abs(np.subtract(face["box"], [90, 55, 146, 146])).max() < 10  # as the cascade finds it
    part = json.loads(run(*options, tmp_path / "faces.npz", "--start", "4").out)
    assert [(f["start_s"], f["end_s"]) for f in part["faces"]] == [(4.0, 5.0)]


def test_landmarks_of_another_recording_are_told(run, tmp_path):
    code, out, _ = run("localize", DEMO, "--tracks", write_tracks(tmp_path / "faces.npz", 400))
    document = json.loads(out)
    assert (code, document["status"], document["reasons"]) == (3, "not_analysable", ["no_samples"])
    assert "frame 399, and the video has 193 frames" in document["message"]
    wav = speechless_wav(tmp_path / "a.wav", 1.0)
    code, out, _ = run("localize", wav, "--tracks", tmp_path / "faces.npz")
    document = json.loads(out)
    assert (code, document["status"], document["reasons"]) == (3, "not_analysable", ["no_samples"])
    assert "there is no video stream; leave them out" in document["message"]
