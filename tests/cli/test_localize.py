"""``avloc localize`` with a localizer without a network: rows, formats, places, exit codes."""

import csv
import io
import json
import os
import signal
import sys

import jsonschema
import numpy as np
import pytest

from avloc.cli.main import main
from avloc.errors import CheckpointError
from avloc.report.schema import json_schema
from avloc.report.writers import ReportWriter


def test_one_file_gives_one_document(run, fake, files):
    (path,) = files("a.wav")
    code, out, err = run("localize", path)
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert document["input"]["id"] == str(path) and document["verdict"] == "none_found"
    jsonschema.validate(document, json_schema())


def test_several_paths_give_an_array_in_input_order(run, fake, files):
    paths = files("c.wav", "forged.wav", "a.wav")
    code, out, err = run("localize", *paths)
    assert code == 0
    assert [entry["input"]["id"] for entry in json.loads(out)] == [str(path) for path in paths]
    assert err == "avloc: 3 recordings: 1 forged segments found, 2 none found\n"


def test_a_folder_alone_is_not_one_document(run, fake, tmp_path):
    assert isinstance(json.loads(run("localize", tmp_path).out), list)


def test_a_missing_path_among_three_has_its_row_and_exit_3(run, fake, files, tmp_path):
    first, last = files("a.wav", "b.wav")
    code, out, _ = run("localize", "--format", "jsonl", first, tmp_path / "missing.wav", last)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 3
    assert [row["status"] for row in rows] == ["analysed", "error", "analysed"]
    assert rows[1]["reasons"] == ["not_found"] and rows[1]["verdict"] is None


def test_a_recording_that_cannot_be_analysed_exits_with_3(run, fake, files):
    code, out, _ = run("localize", *files("broken.mp4"))
    assert code == 3 and json.loads(out)["status"] == "not_analysable"


def test_an_unforeseen_exception_is_a_row_and_the_run_goes_on(run, fake, files):
    fake.raises["bad"] = ZeroDivisionError("oh no")
    code, out, err = run("localize", "--format", "jsonl", *files("bad.wav", "a.wav", "broken.wav"))
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1, "a defect wins over a failure"
    assert [row["reasons"] for row in rows] == [["internal_error"], [], ["truncated"]]
    assert rows[0]["message"] == "ZeroDivisionError: oh no" and rows[0]["model"]["name"] == "fake"
    assert "Traceback" in err and "oh no" in err
    for row in rows:
        jsonschema.validate(row, json_schema())


def test_lack_of_memory_is_a_row(run, fake, files):
    fake.raises["big"] = MemoryError()
    code, out, _ = run("localize", *files("big.wav"))
    assert code == 3 and json.loads(out)["reasons"] == ["out_of_memory"]


def test_a_value_that_no_document_may_hold_becomes_a_row(run, fake, files):
    code, out, err = run("localize", "--format", "jsonl", *files("nan.wav", "a.wav"))
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1 and [row["reasons"] for row in rows] == [["internal_error"], []]
    assert "finite" in rows[0]["message"] and "Traceback" in err


def test_names_that_are_written_alike_have_two_ids(run, fake, files):
    first, second = files(os.fsdecode(b"c\xff.wav"), "c\\udcff.wav")
    rows = [json.loads(line) for line in run("localize", first, second, "--format", "jsonl").out.splitlines()]
    assert len({row["input"]["id"] for row in rows}) == 2


def test_the_same_path_twice_has_two_ids(run, fake, files):
    (path,) = files("a.wav")
    rows = json.loads(run("localize", path, path, path).out)
    assert [row["input"]["id"] for row in rows] == [f"{path}", f"{path}#2", f"{path}#3"]


@pytest.mark.parametrize(
    "name", ["-rf.wav", 'say "hi"\n=cmd().wav', "<img onerror>;.wav", "é" * 100 + ".wav"]
)
def test_odd_names_come_back_in_every_format(run, fake, files, name, monkeypatch, tmp_path):
    files(name)
    monkeypatch.chdir(tmp_path)
    assert json.loads(run("localize", "--format", "json", "--", name).out)["input"]["id"] == name
    (row,) = csv.DictReader(io.StringIO(run("localize", "--format", "csv", "--", name).out, newline=""))
    assert row["id"].lstrip("'") == name
    assert run("localize", "--format", "text", "--", name).out.count("\n\n") == 1


def test_bytes_that_are_no_text_are_analysed(run, fake, tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.wav")
    with open(path, "wb"):
        pass
    code, out, _ = run("localize", os.fsdecode(path))
    assert code == 0 and json.loads(out)["input"]["name"] == r"caf\udce9.wav"


def test_text_is_the_default_on_a_terminal_only(run, fake, files, monkeypatch):
    (path,) = files("forged.wav")
    assert run("localize", path).out.startswith("{")
    monkeypatch.setattr("_pytest.capture.EncodedFile.isatty", lambda self: True)
    monkeypatch.setattr("_pytest.capture.CaptureIO.isatty", lambda self: True, raising=False)
    code, out, err = run("localize", path)
    assert out.startswith(str(path)) and "forged segments found" in out
    assert "[1/1]" in err and err.endswith("\r\x1b[K"), "progress is shown and cleared"
    assert run("localize", "--quiet", path).err == ""


def test_output_goes_to_a_file_and_stdout_stays_empty(run, fake, files, tmp_path):
    (path,) = files("a.wav")
    code, out, _ = run("localize", path, "--output", tmp_path / "out.json")
    assert (code, out) == (0, "")
    assert json.loads((tmp_path / "out.json").read_text())["input"]["id"] == str(path)


def test_output_goes_to_a_folder_one_file_a_recording(run, fake, files, tmp_path):
    (tmp_path / "results").mkdir()
    code, out, _ = run("localize", *files("a.wav", "forged.wav"), "--output", tmp_path / "results")
    assert (code, out) == (0, "")
    documents = [json.loads(path.read_text()) for path in sorted((tmp_path / "results").iterdir())]
    assert [document["verdict"] for document in documents] == ["none_found", "forged_segments_found"]


def test_an_output_that_cannot_be_opened_is_wrong_usage_before_anything_runs(run, fake, files, tmp_path):
    code, _, err = run("localize", *files("a.wav"), "--output", tmp_path / "no" / "such" / "out.json")
    assert code == 2 and "cannot be written" in err and fake.seen == []


@pytest.mark.parametrize("output", ["a.wav", "link", "./b.json", "./", ""])
def test_an_output_that_is_an_input_or_nothing_is_wrong_usage(
    run, fake, files, tmp_path, monkeypatch, output
):
    monkeypatch.chdir(tmp_path)
    files("a.wav", "b", "b.json")
    os.symlink("a.wav", "link")
    code, out, err = run("localize", "a.wav", "b", "b.json", "--output", output)
    assert (code, out, fake.seen) == (2, "", []) and "name" in err and "folder" in err
    assert sorted(os.listdir(tmp_path)) == ["a.wav", "b", "b.json", "link"]
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.json").read_bytes() == b"x"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_stops_the_run_with_a_code_and_no_traceback(run, fake, files):
    paths = files("a.wav", "b.wav")
    code, _, err = run("localize", *paths, "--output", "/dev/full", "--format", "jsonl", "--threads", "1")
    assert code == 3 and "output_failed: No space left" in err and "Traceback" not in err
    assert len(fake.seen) == 1


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (None, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_an_interrupt_keeps_what_was_written(run, fake, files, tmp_path, monkeypatch, error, code):
    paths = files("a.wav", "stop.wav", "c.wav")
    if error is None:
        real = type(fake).__call__

        def terminate(self, path, **options):
            if "stop" in path:
                os.kill(os.getpid(), signal.SIGTERM)
            return real(self, path, **options)

        monkeypatch.setattr(type(fake), "__call__", terminate)
    else:
        fake.raises["stop"] = error
    outcome = run("localize", *paths, "--output", tmp_path / "out.json", "--threads", "1")
    assert outcome.code == code and "1 of 3 recordings are written" in outcome.err
    (document,) = json.loads((tmp_path / "out.json").read_text())
    assert document["input"]["id"] == str(paths[0])


def test_an_interrupt_before_the_first_row_leaves_the_old_file(run, fake, files, tmp_path):
    (tmp_path / "out.json").write_text("old")
    fake.raises["stop"] = KeyboardInterrupt()
    assert run("localize", *files("stop.wav"), "--output", tmp_path / "out.json").code == 130
    assert (tmp_path / "out.json").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["out.json", "stop.wav"]


def test_options_reach_the_localizer(run, fake, files):
    options = "--threshold 0.4 --min-score 0 --max-segments 7 --curves --device cpu --weights my --threads 2"
    run("localize", *files("a.wav"), *options.split(), "--all-proposals", "9", "--limit", "duration_s=60")
    limits = fake.settings.pop("limits")
    assert (limits.duration_s, limits.channels) == (60.0, 64)
    assert fake.settings == {
        "weights": "my",
        "threshold": 0.4,
        "min_score": 0.0,
        "max_segments": 7,
        "curves": True,
        "device": "cpu",
        "threads": 2,
        "all_proposals": 9,
        "frames": False,
        "channels": None,
        "roles": {},
        "start_s": None,
        "end_s": None,
        "input_format": None,
    }


def test_defaults_leave_the_decision_to_the_weights(run, fake, files):
    run("localize", *files("a.wav"))
    assert fake.settings["threshold"] is None and fake.settings["min_score"] is None
    assert fake.settings["weights"] == "default" and fake.settings["device"] in ("cpu", "cuda")


@pytest.mark.parametrize(
    "option",
    [
        ["--threshold", "1.5"],
        ["--threshold", "nan"],
        ["--min-score", "-0.1"],
        ["--max-segments", "0"],
        ["--threads", "0"],
        ["--device", "tpu"],
        ["--device", "cuda:99"],
        ["--format", "xml"],
        ["--limit", "mood=3"],
        ["--limit", "duration_s=long"],
        ["--limit", "pixels=-1"],
        ["--curves", "--format", "csv"],
        ["--curves", "--format", "text"],
        ["--all-proposals", "5", "--format", "csv"],
        ["--channels", "left"],
        ["--channels", "-1"],
        ["--channels", "left=a,0=b"],
        ["--channels", "left="],
        ["--channels", "left=a,right=a"],
        ["--channels", "each", "--channels", "0"],
        ["--files-from", "no-such-list"],
        ["--files-from", ""],
        ["--frames", ""],
        ["--frames", "out.cvs"],
        ["--tracks", "no-such.npz"],
        ["--tracks", ""],
        ["--input-format", "mulaw"],
        ["--input-format", "mp3,8000,2"],
        ["--input-format", "mulaw,0,2"],
        ["--start", "-1"],
        ["--start", "1:75"],
        ["--end", "inf"],
        ["--end", "0"],
        ["--start", "1:10", "--end", "70"],
        ["--frames", "out.csv", "--output", "./out.csv"],
        ["--quiet", "-v"],
    ],
    ids=" ".join,
)
def test_a_wrong_option_exits_with_2_before_anything_runs(run, fake, files, option):
    code, out, err = run("localize", *files("a.wav"), *option)
    assert code == 2 and out == "" and ("Error" in err or "the list" in err) and fake.seen == []


def test_options_that_would_do_nothing_say_why(run, fake, files, monkeypatch):
    (path,) = files("a.wav")
    monkeypatch.setattr("avloc.cli.localize.default_format", lambda output: "text")
    err = run("localize", path, "--curves").err
    assert "--curves adds to the result document, and --format text does not hold it" in err
    assert "--format json or jsonl" in err
    assert "leave one out" in run("localize", path, "--quiet", "-vv").err
    options = ["--curves", "--all-proposals", "3", "--reproducible", "--threads", "1", "--format", "jsonl"]
    assert run("localize", path, *options).code == 0


def test_weights_that_do_not_load_exit_with_2(run, files, monkeypatch):
    def load(weights, **settings):
        raise CheckpointError(f"{weights!r}: no such weights")

    monkeypatch.setattr("avloc.cli.localize.load_localizer", load)
    assert run("localize", *files("a.wav"), "--weights", "nope") == (
        2,
        "",
        "avloc: 'nope': no such weights\n",
    )


def test_reproducible_documents_hold_no_timing_and_take_one_thread(run, fake, files):
    (path,) = files("a.wav")
    assert "timing" in json.loads(run("localize", path).out)
    assert "timing" not in json.loads(run("localize", path, "--reproducible").out)
    assert fake.settings["threads"] == 1


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["a.wav"], 0),
        (["a.wav", "forged.wav"], 10),
        (["forged.wav", "broken.wav"], 3),
        (["forged.wav", "bad.wav"], 1),
    ],
)
def test_fail_on_detection_gives_way_to_failures_and_defects(run, fake, files, names, code):
    fake.raises["bad"] = RuntimeError()
    assert run("localize", "--fail-on-detection", *files(*names)).code == code


def test_verbose_gives_one_log_line_a_recording(run, fake, files):
    err = run("localize", "-v", *files("a.wav", "forged.wav")).err
    assert err.count("avloc: ") == 3 and "forged.wav: forged_segments_found" in err


def test_a_stdout_that_is_not_there_is_a_usage_error(run, fake, files, monkeypatch, tmp_path):
    paths = files("a.wav", "b.wav")
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["localize", "--device", "cpu", *map(str, paths)]) == 2
    assert main(["localize", "--device", "cpu", *map(str, paths), "--output", str(tmp_path / "o.json")]) == 0
    assert len(json.loads((tmp_path / "o.json").read_text())) == 2


def test_a_stderr_that_is_not_there_changes_nothing(fake, files, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stderr", None)
    output = tmp_path / "o.json"
    assert main(["localize", "--device", "cpu", *map(str, files("a.wav")), "--output", str(output)]) == 0
    assert json.loads(output.read_text())["status"] == "analysed"


def test_a_place_that_holds_no_row_at_all_ends_the_run(run, fake, files, monkeypatch):
    def refuse(self, prediction):
        raise ValueError("no row")

    monkeypatch.setattr(ReportWriter, "write", refuse)
    code, out, err = run("localize", *files("a.wav"), "--device", "cpu")
    assert code == 1 and err.count("Traceback") <= 4


def test_a_closed_stdout_ends_the_run_quietly(tmp_path):
    # in a child, because the interpreter's own stdout is at stake
    import subprocess

    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import conftest\nfrom avloc.cli import localize\nfrom avloc.cli.main import main\n"
        "localize.load_localizer = lambda weights, **settings: conftest.FakeLocalizer()\n"
        "sys.exit(main(['localize', '--format', 'jsonl', '--quiet', '--device=cpu', *['/dev/null'] * 300]))"
    )
    command = f'{sys.executable} -c "$CODE" {os.path.dirname(__file__)} | head -n 1; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command], env={**os.environ, "CODE": code}, capture_output=True, text=True, check=True
    )
    document, status = done.stdout.splitlines()
    assert json.loads(document)["schema"] == "avloc.result/1" and status == "3"
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.fixture
def tracks(tmp_path):
    path = tmp_path / "faces.npz"
    np.savez(path, points=np.full((3, 4, 2), np.nan), frame=np.arange(3))
    return path


def test_landmarks_reach_the_localizer(run, fake, files, tracks):
    assert run("localize", *files("a.wav"), "--tracks", tracks).code == 0
    (given,) = fake.tracks
    assert given.points.shape == (0, 4, 2)


def test_landmarks_are_those_of_one_recording(run, fake, files, tracks, tmp_path):
    paths = files("a.wav", "b.wav")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "c.wav").write_bytes(b"x")
    (tmp_path / "list").write_text("a.wav\n")
    many = (paths, ["-r", tmp_path / "folder"], ["--files-from", tmp_path / "list"])
    for given in many:
        code, _, err = run("localize", *given, "--tracks", tracks)
        assert code == 2 and "--tracks holds the faces of one recording; give one PATH" in err
    assert fake.seen == []


def test_wrong_landmarks_are_named_before_anything_is_analysed(run, fake, files, tmp_path):
    np.savez(tmp_path / "faces.npz", points=np.zeros((3, 5, 2)), frame=np.arange(3))
    code, _, err = run("localize", *files("a.wav"), "--tracks", tmp_path / "faces.npz")
    assert code == 2 and "faces.npz" in err and "(n, 4, 2) or (n, 68, 2), got (3, 5, 2)" in err
    assert fake.seen == []
