"""``avloc predict`` without a network: rows, shards, going on, refusals, and who reads them."""

import json
import os
import resource
import signal
import subprocess
import sys

import jsonschema
import numpy as np
import pytest

from avloc.errors import CheckpointError
from avloc.report.schema import json_schema
from avloc.structures import Provenance

NAMES = ("forged_1", "a_2", "broken_3", "b_4", "missing_5", "forged_6", "c_7")


@pytest.fixture
def lavdf(tmp_path, monkeypatch):
    """Write LAV-DF in miniature, one recording broken and one missing."""
    root = tmp_path / "LAV-DF"
    (root / "test").mkdir(parents=True)
    entries = [{"file": f"test/{n}.mp4", "n_fakes": 0, "fake_periods": [], "split": "test"} for n in NAMES]
    for entry in entries:
        if "forged" in entry["file"]:
            entry |= {"n_fakes": 1, "fake_periods": [[1.0, 2.5]], "modify_audio": True}
        if "missing" not in entry["file"]:
            (root / entry["file"]).write_bytes(b"x")
    entries.append({"file": "dev/x.mp4", "n_fakes": 0, "split": "dev"})
    (root / "metadata.json").write_text(json.dumps(entries))
    monkeypatch.chdir(tmp_path)
    return root


def predict(run, *options, out="runs"):
    return run("predict", "lavdf", "--root", "LAV-DF", "--split", "test", "--out", out, *options)


def rows_of(folder):
    return [json.loads(line) for path in sorted(folder.glob("shard-*")) for line in path.open()]


def test_every_recording_has_one_row_under_the_name_of_the_data_set(run, fake, lavdf, tmp_path):
    code, out, err = predict(run)
    assert (code, out) == (3, "")
    assert "7 recordings: 1 failed, 2 forged segments found, 3 none found, 1 could not be analysed" in err
    rows = rows_of(tmp_path / "runs")
    assert [row["input"]["id"] for row in rows] == sorted(f"test/{name}.mp4" for name in NAMES)
    told = {row["input"]["id"]: (row["status"], row["reasons"], len(row["segments"])) for row in rows}
    assert told["test/missing_5.mp4"] == ("error", ["not_found"], 0)
    assert told["test/broken_3.mp4"] == ("not_analysable", ["truncated"], 0)
    assert told["test/forged_1.mp4"] == ("analysed", [], 1)
    assert all(row["curves"] == [] for row in rows)
    for row in rows:
        jsonschema.validate(row, json_schema())
    assert fake.settings == {
        "weights": "default",
        "device": fake.settings["device"],
        "threads": 1,
        "limits": None,
        "min_score": 0.0,
        "max_segments": None,
        "curves": False,
    }
    assert sorted(os.listdir(lavdf)) == ["metadata.json", "test"], "nothing is written beside the data"


def test_shards_are_the_whole_run_and_share_a_folder(run, fake, lavdf, tmp_path):
    assert predict(run, "--quiet", "--shard", "2/3").code in (0, 3)
    first = os.listdir(tmp_path / "runs")
    assert sorted(first) == ["run.json", "shard-2-of-3.jsonl"]
    for shard in ("3/3", "1/3"):
        predict(run, "--shard", shard)
    predict(run, out="whole")
    rows = sorted(rows_of(tmp_path / "runs"), key=lambda row: row["input"]["id"])
    assert rows == rows_of(tmp_path / "whole")
    assert [len(p.read_text().splitlines()) for p in sorted((tmp_path / "runs").glob("shard-*"))] == [3, 2, 2]
    code, _, err = predict(run, "--shard", "9/9", out="many")
    assert code == 0 and "0 recordings" in err


def test_the_same_command_again_does_nothing_twice_and_tells_the_same(run, fake, lavdf, tmp_path):
    first = predict(run)
    before = (tmp_path / "runs" / "shard-1-of-1.jsonl").read_bytes()
    fake.seen.clear()
    assert predict(run) == first and fake.seen == []
    assert (tmp_path / "runs" / "shard-1-of-1.jsonl").read_bytes() == before


def test_a_run_goes_on_after_the_last_whole_line(run, fake, lavdf, tmp_path):
    predict(run)
    path = tmp_path / "runs" / "shard-1-of-1.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:100])
    fake.seen.clear()
    code, _, err = predict(run)
    assert code == 3 and "line 4 was not finished" in err and "7 recordings" in err
    assert path.read_bytes() == whole and len(fake.seen) == 4


def test_removed_lines_are_analysed_again(run, fake, lavdf, tmp_path):
    predict(run)
    path = tmp_path / "runs" / "shard-1-of-1.jsonl"
    path.write_text("".join(line for line in path.open() if '"status":"error"' not in line))
    (lavdf / "test" / "missing_5.mp4").write_bytes(b"x")
    fake.seen.clear()
    predict(run)
    assert fake.seen == ["LAV-DF/test/missing_5.mp4"] and len(rows_of(tmp_path / "runs")) == 7


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (None, 143)])
def test_an_interrupt_keeps_what_was_written_and_says_how_much(
    run, fake, lavdf, tmp_path, monkeypatch, error, code
):
    real = type(fake).__call__
    # What is started in the background by a shell has SIGINT ignored, as the tests may be.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def stop(self, path, **options):
        if "forged_1" in path:
            os.kill(os.getpid(), signal.SIGINT if error else signal.SIGTERM)
        return real(self, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(fake), "__call__", stop)
        outcome = predict(run, "--threads", "1", "--device", "cpu")
    signal.signal(signal.SIGINT, before)
    assert outcome.code == code and "4 of 7 recordings are written" in outcome.err
    assert len(rows_of(tmp_path / "runs")) == 4
    assert predict(run).code == 3 and len(rows_of(tmp_path / "runs")) == 7


def test_a_process_that_is_killed_loses_what_was_in_flight_only(lavdf, tmp_path):
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "import conftest\nfrom avloc.cli import predict\nfrom avloc.cli.main import main\n"
        "class Dies(conftest.FakeLocalizer):\n"
        "    def __call__(self, path, **options):\n"
        "        if 'forged_6' in path and not os.path.exists('again'):\n"
        "            os.kill(os.getpid(), 9)\n"
        "        return super().__call__(path, **options)\n"
        "predict.load_localizer = lambda weights, **settings: Dies()\n"
        "options = '--split test --out runs --device cpu --threads 1'.split()\n"
        "sys.exit(main(['predict', 'lavdf', '--root', 'LAV-DF', *options]))"
    )
    command = [sys.executable, "-c", code, os.path.dirname(__file__)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -9
    rows = rows_of(tmp_path / "runs")
    assert [row["input"]["id"] for row in rows] == sorted(f"test/{n}.mp4" for n in NAMES)[:5]
    (tmp_path / "again").touch()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 3
    again = rows_of(tmp_path / "runs")
    assert again[:5] == rows and len({row["input"]["id"] for row in again}) == len(again) == 7


def test_a_full_disk_ends_the_run_with_a_code_and_it_goes_on_later(run, fake, lavdf, tmp_path):
    predict(run, out="whole")
    whole = (tmp_path / "whole" / "shard-1-of-1.jsonl").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, limits[1]))
    try:
        code, _, err = predict(run, "--threads", "1", "--device", "cpu")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 3 and "output_failed: File too large" in err and "Traceback" not in err
    assert (tmp_path / "runs" / "shard-1-of-1.jsonl").stat().st_size < len(whole)
    assert predict(run).code == 3
    assert (tmp_path / "runs" / "shard-1-of-1.jsonl").read_bytes() == whole


def test_a_defect_is_a_row_and_stays_one_in_the_exit_code(run, fake, lavdf):
    fake.raises["a_2"] = ZeroDivisionError("oh no")
    assert predict(run).code == 1
    fake.raises.clear()
    assert predict(run).code == 1, "its row says so still"


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (["--curves"], "options.curves is False there and True here"),
        (["--max-segments", "7"], "options.max_segments is None there and 7 here"),
        (["--shard", "1/2"], "n_shards is 1 there and 2 here"),
        (["--split", "subset"], "n_recordings is 7 there and 5 here"),
        (["--limit", "duration_s=60"], "limits.duration_s is 43200.0 there and 60.0 here"),
    ],
)
def test_another_run_in_the_same_folder_is_refused(run, fake, lavdf, tmp_path, option, told):
    predict(run)
    before = {p.name: p.read_bytes() for p in (tmp_path / "runs").iterdir()}
    fake.seen.clear()
    code, out, err = predict(run, *option)
    assert code == 2 and told in err and "name another folder" in err and fake.seen == []
    assert {p.name: p.read_bytes() for p in (tmp_path / "runs").iterdir()} == before


def test_other_weights_are_refused_and_another_place_of_the_data_is_not(run, fake, lavdf, monkeypatch):
    predict(run)
    lavdf.rename("moved")
    assert run("predict", "moved", "--split", "test", "--out", "runs").code == 3
    monkeypatch.setattr(
        fake, "provenance", Provenance("fake", "ef" * 32, "none", "0.1.0", "reference", "cpu")
    )
    code, _, err = run("predict", "moved", "--split", "test", "--out", "runs")
    assert code == 2 and f"weights.sha256 is '{'ab' * 32}' there and '{'ef' * 32}' here" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lavdf"], "say with --root where it lies"),
        (["lavdff"], "did you mean 'lavdf'"),
        (["lavdf", "--root", "LAV-DF"], "holds the splits ['dev', 'test']; name one with --split"),
        (["lavdf", "--root", "LAV-DF", "--split", "val"], "no recording with split='val'"),
        (["LAV-DF", "--split", "test", "--shard", "3/2"], "i from 1 to n"),
        (["LAV-DF", "--split", "test", "--threads", "0"], "--threads"),
        (["LAV-DF", "--split", "test", "--device", "tpu"], "auto, cpu"),
    ],
)
def test_wrong_usage_exits_with_2_and_leaves_no_folder(run, fake, lavdf, tmp_path, arguments, told):
    code, out, err = run("predict", *arguments, "--out", "runs")
    assert code == 2 and out == "" and told in err and fake.seen == []
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_written_is_wrong_usage(run, fake, lavdf, tmp_path):
    (tmp_path / "runs").write_text("a file")
    code, _, err = predict(run)
    assert code == 2 and "--out 'runs' cannot be written" in err


def test_every_recording_has_landmarks_of_its_own(run, fake, lavdf, tmp_path):
    """Of a recording without any, or with damaged ones, that is the row: no face is looked for instead."""
    (tmp_path / "tracks" / "test").mkdir(parents=True)
    for i, name in enumerate(NAMES[:4]):
        points = np.full((3, 4, 2), float(i + 1), np.float32)
        np.savez(tmp_path / "tracks" / "test" / f"{name}.npz", points=points, frame=np.arange(3))
    (tmp_path / "tracks" / "test" / "c_7.npz").write_bytes(b"no")
    assert predict(run, "--tracks", "tracks", "--threads", "1").code == 3
    assert fake.settings["has_tracks"]
    given = {track.points[0, 0, 0] for track in fake.tracks}
    assert len(fake.seen) == 4 and given == {1.0, 2.0, 3.0, 4.0}
    reasons = {row["input"]["id"]: row["reasons"] for row in rows_of(tmp_path / "runs")}
    assert reasons["test/c_7.mp4"] == ["unrecognised"] and reasons["test/a_2.mp4"] == []
    assert reasons["test/forged_6.mp4"] == ["not_found"]
    code, _, err = predict(run)
    assert code == 2 and "options.has_tracks is True there and None here" in err
    code, _, err = predict(run, "--tracks", "nowhere", out="other")
    assert code == 2 and "--tracks 'nowhere': expected a folder" in err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("verb", ["predict", "extract", "submit"])
def test_an_empty_name_is_not_the_working_folder(run, fake, lavdf, tmp_path, verb):
    predict(run)
    before = sorted(tmp_path.rglob("*"))
    arguments = {"submit": ["runs"], "extract": ["LAV-DF", "--split", "test", "--encoders", "audio=default"]}
    given = arguments.get(verb, ["LAV-DF", "--split", "test"])
    code, _, err = run(verb, *given, "--out", "")
    assert code == 2 and "--out is empty; name a folder" in err
    assert sorted(tmp_path.rglob("*")) == before


def test_weights_that_do_not_load_note_nothing(run, lavdf, tmp_path, monkeypatch):
    def load(weights, **settings):
        raise CheckpointError(f"{weights!r}: no such weights")

    monkeypatch.setattr("avloc.cli.predict.load_localizer", load)
    assert predict(run, "--weights", "nope").code == 2
    assert list((tmp_path / "runs").iterdir()) == []


def test_the_shards_are_evaluated_as_one_under_the_split_of_the_run(run, fake, lavdf, tmp_path):
    for shard in ("1/2", "2/2"):
        predict(run, "--shard", shard)
    arguments = ("evaluate", "runs", "--references", lavdf / "metadata.json", "--protocol", "lavdf", "--json")
    code, out, err = run(*arguments)
    answer = json.loads(out)
    assert code == 0 and (answer["split"], answer["n"], answer["coverage"]) == ("test", 7, 1.0)
    assert answer["metrics"]["AR@10"] == 1.0 and "shard" not in err
    path = tmp_path / "runs" / "shard-1-of-2.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    (tmp_path / "runs" / "shard-2-of-2.jsonl").unlink()
    code, out, err = run(*arguments)
    assert code == 0 and json.loads(out)["coverage"] == pytest.approx(3 / 7)
    assert "shard 1 of 2 holds 3 of 4 recordings; the same avloc predict goes on with it" in err
    assert "shard 2 of 2 is absent: 'runs/shard-2-of-2.jsonl'; avloc predict --shard 2/2 makes it" in err
    path.unlink()
    code, _, err = run(*arguments)
    assert code == 2 and "of the 2 shards of the run none is there" in err


def test_a_hidden_list_becomes_a_submission(run, fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["vox/id2/forged.mp4", "lrs3/id1/a.mp4", "lrs3/id1/broken.mp4"]
    for name in names:
        (tmp_path / "testA" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "testA" / name).write_bytes(b"x")
    (tmp_path / "testA_files.txt").write_text("".join(f"{name}\n" for name in names))
    assert run("predict", "testA_files.txt", "--root", "testA", "--out", "runs").code == 3
    note = json.loads((tmp_path / "runs" / "run.json").read_text())
    assert (note["dataset"], note["split"], note["n_recordings"]) == ("list", "testA", 3)
    code, _, err = run("submit", "runs", "--files", "testA_files.txt", "--out", "submission")
    assert code == 0 and "shard" not in err
    assert json.loads((tmp_path / "submission" / "prediction.json").read_text()) == {
        names[0]: [[0.9, 1.0, 2.5]],
        names[1]: [[0.0, 0.0, 0.0]],
        names[2]: [[0.0, 0.0, 0.0]],
    }
    told = (tmp_path / "submission" / "prediction.txt").read_text().splitlines()
    assert told == [f"{names[0]};0.9", f"{names[1]};0.1", f"{names[2]};0.0"]
    (tmp_path / "runs" / "shard-1-of-1.jsonl").write_bytes(b"")
    assert "shard 1 of 1 holds 0 of 3" in run("submit", "runs", "--out", "submission").err
