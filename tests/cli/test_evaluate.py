import json

import pytest

from avloc.cli.main import USAGE, main

META = [
    {
        "file": "id1/a.mp4",
        "modify_type": "audio_modified",
        "fake_segments": [[1, 2]],
        "video_frames": 250,
        "split": "val",
        "audio_model": "vits",
    },
    {"file": "id1/g.mp4", "modify_type": "real", "fake_segments": [], "video_frames": 250, "split": "val"},
]
ROWS = {"id1/a.mp4": [[0.9, 1, 2], [0.1, 5, 6]], "id1/g.mp4": [[0.3, 4, 5]]}


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meta.json").write_text(json.dumps(META))
    (tmp_path / "pred.json").write_text(json.dumps(ROWS))
    return tmp_path


def run(capsys, *arguments):
    code = main(["evaluate", "pred.json", "--references", "meta.json", *arguments])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("protocol", ["lavdf", "av1m", "anet", "corrected"])
def test_json_goes_to_stdout_alone(files, capsys, protocol):
    code, out, err = run(capsys, "--protocol", protocol, "--json")
    answer = json.loads(out)
    assert code == 0 and err == ""
    assert list(answer) == ["protocol", "split", "n", "coverage", "metrics", "intervals", "warnings"]
    assert answer["protocol"] == protocol and answer["n"] == 2


def test_the_table_says_protocol_split_number_and_coverage(files, capsys):
    code, out, _ = run(capsys, "--bootstrap", "20")
    assert code == 0
    assert out.startswith("protocol corrected, split val, n 2, coverage 1.0000\n")
    assert "  AP@0.5                                1.0000  [1.0000, 1.0000]\n" in out


def test_everything_at_once(files, capsys):
    code, out, _ = run(
        capsys, "--details", "--errors", "errors.csv", "--compare", "pred.json", "--bootstrap", "5"
    )
    assert code == 0 and (files / "errors.csv").read_text().startswith("recording,split,modality,generator,")
    for told in (
        "boundary_error_median_ms",
        "segment_EER@20ms",
        "Cllr_min",
        "SF1@0.5",
        "risk at coverage 1 ",
        "area under risk and coverage",
        "false alarms",
        "generator vits: 1 references, n 2",
        "modality audio",
        "difference to the other system",
        "signed-rank test: p = -",
    ):
        assert told in out


def test_warnings_go_to_stderr_unless_quiet(files, capsys):
    (files / "pred.json").write_text(json.dumps({"id1/a.mp4": [[0.1, 5, 6], [0.9, 1, 2]]}))
    code, out, err = run(capsys, "--protocol", "av1m", "--json")
    assert code == 0 and "no entry" in err and "unsorted" in err
    assert len(json.loads(out)["warnings"]) >= 2
    assert run(capsys, "--protocol", "av1m", "--quiet")[2] == ""
    assert "unsorted" not in run(capsys, "--protocol", "av1m", "--sort")[2]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"zz.mp4": [[0.9, 1, 2]]}, "'zz.mp4'"),
        ({"id1/a.mp4": [[0.9, 2, 1]]}, "pred.json': 'id1/a.mp4' row 0: expected end >= start"),
        ({"id1/a.mp4": [[float("nan"), 1, 2]]}, "'id1/a.mp4' row 0"),
        ({"id1/a.mp4": [[0.9, 1, float("inf")]]}, "'id1/a.mp4' row 0"),
    ],
)
def test_what_cannot_be_scored_is_exit_code_2_with_file_and_key(files, capsys, rows, message):
    (files / "pred.json").write_text(json.dumps(ROWS | rows))
    code, out, err = run(capsys, "--json")
    assert code == USAGE and out == "" and message in err
    code, out, err = run(capsys, "--json", "--skip-invalid")
    assert code == 0 and "dropped" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "official"], "official"),
        (["--split", "test"], "no recording with split='test'; there are ['val']"),
        (["--dataset", "lavd"], "did you mean 'lavdf'"),
        (["--fps", "0"], "fps"),
        (["--scores", "absent.txt"], "absent.txt"),
        (["--compare-scores", "pred.json"], "--compare"),
        (["--errors", "absent/errors.csv"], "absent"),
        (["--references", "absent.json"], "absent.json"),
    ],
)
def test_wrong_usage_is_exit_code_2(files, capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert code == USAGE and out == "" and message in err and "Traceback" not in err


def test_nothing_of_torch_is_loaded(files):
    import subprocess
    import sys

    code = (
        "import sys; from avloc.cli.main import main; "
        "assert main(['evaluate', 'pred.json', '--references', 'meta.json', '--json']) == 0; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=files).returncode == 0


def test_submit_writes_three_files_and_warns(files, capsys):
    (files / "list.txt").write_text("id1/a.mp4\nid1/g.mp4\nid1/absent.mp4\n")
    assert main(["submit", "pred.json", "--files", "list.txt", "--out", "out"]) == 0
    out, err = capsys.readouterr()
    assert out == "" and "1 of 3 listed recordings have no entry" in err
    assert sorted(p.name for p in (files / "out").iterdir()) == [
        "prediction.json",
        "prediction.txt",
        "prediction.zip",
    ]
    (files / "scores.txt").write_text("id1/a.mp4;0.25\n")
    assert main(["submit", "pred.json", "--scores", "scores.txt", "--out", "out", "--quiet"]) == 0
    assert (files / "out" / "prediction.txt").read_text() == "id1/a.mp4;0.25\nid1/g.mp4;0.3\n"
    assert capsys.readouterr().err == ""
    assert main(["submit", "pred.json", "--scores", "scores.txt", "--out", "out", "--json"]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["n"] == 2 and len(answer["files"]) == 3
    assert len(answer["warnings"]) == 1 and answer["warnings"][0] in err
    assert "1 of 2 recordings have no score in 'scores.txt'" in err and "'id1/g.mp4'" in err


def test_submit_refuses_a_place_that_cannot_be_written(files, capsys):
    assert main(["submit", "pred.json", "--out", "pred.json"]) == USAGE
    assert "cannot be written" in capsys.readouterr().err
    (files / "out" / "prediction.json").mkdir(parents=True)
    assert main(["submit", "pred.json", "--out", "out"]) == USAGE
    assert "Traceback" not in capsys.readouterr().err
