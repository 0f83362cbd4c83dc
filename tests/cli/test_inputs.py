"""Lists, folders, channels and tables of frames, from the command line."""

import json

import pytest


def test_columns_of_a_list_come_back_in_the_document(run, fake, files, tmp_path):
    a, b = files("a.wav", "gone.wav")
    b.unlink()
    (tmp_path / "list.csv").write_text(f"id,path,team\n1,{a},red\n2,{b},blue\n")
    code, out, _ = run("localize", "--files-from", tmp_path / "list.csv")
    rows = json.loads(out)
    assert code == 3 and [row["input"]["id"] for row in rows] == ["1", "2"]
    assert [row["input"]["extra"] for row in rows] == [{"team": "red"}, {"team": "blue"}]
    assert [row["input"]["name"] for row in rows] == ["a.wav", "gone.wav"]


def test_a_list_of_one_is_an_array(run, fake, files, tmp_path):
    (tmp_path / "list").write_text(f"{files('a.wav')[0]}\n")
    assert len(json.loads(run("localize", "--files-from", tmp_path / "list").out)) == 1


def test_a_row_of_an_unforeseen_failure_keeps_its_columns(run, fake, files, tmp_path):
    fake.raises["bad"] = RuntimeError("boom")
    (tmp_path / "list.csv").write_text(f"path,team\n{files('bad.wav')[0]},red\n")
    code, out, _ = run("localize", "--files-from", tmp_path / "list.csv")
    assert code == 1 and json.loads(out)[0]["input"]["extra"] == {"team": "red"}


def test_a_folder_is_walked_and_its_files_have_rows(run, fake, files, tmp_path):
    (tmp_path / "x").mkdir()
    files("x/b.wav", "x/a.wav", "x/broken.wav")
    code, out, err = run("localize", "-r", tmp_path / "x", "--format", "jsonl")
    assert code == 3 and [json.loads(line)["input"]["id"] for line in out.splitlines()] == [
        "a.wav",
        "b.wav",
        "broken.wav",
    ]
    assert "3 recordings" in err


def test_a_folder_of_one_file_is_an_array(run, fake, files, tmp_path):
    files("a.wav")
    assert len(json.loads(run("localize", "-r", tmp_path).out)) == 1


def test_nothing_to_analyse_is_wrong_usage(run, fake, tmp_path):
    assert "give a PATH, or --files-from" in run("localize").err
    code, _, err = run("localize", "-r", tmp_path)
    assert code == 2 and "no file in the folders" in err


def test_stdin_is_not_read_in_a_thread(run, fake, files, tmp_path, monkeypatch):
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"sound")))
    assert run("localize", "-", *files("a.wav"), "--threads", "4").code == 0
    assert fake.settings["threads"] == 4  # one after the other, each with all cores
    (tmp_path / "list").write_text("-\n-\n")
    assert "give '-' once" in run("localize", "--files-from", tmp_path / "list").err


def test_stdin_is_a_recording_or_a_list_and_not_both(run, fake):
    code, _, err = run("localize", "-", "--files-from", "-")
    assert code == 2 and "give '-' once" in err


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["mix"], {"channels": "mix", "roles": {}}),
        (["3"], {"channels": 3, "roles": {}}),
        (["left=agent,right=customer"], {"channels": None, "roles": {0: "agent", 1: "customer"}}),
        (["2=room", "each"], {"channels": "each", "roles": {2: "room"}}),
    ],
)
def test_channels_reach_the_localizer(run, fake, files, values, expected):
    run("localize", *files("a.wav"), *(part for value in values for part in ("--channels", value)))
    assert {key: fake.settings[key] for key in expected} == expected


def test_frames_are_written_beside_the_result(run, fake, files, tmp_path):
    paths = files("a.wav", "forged.wav")
    assert run("localize", paths[0], "--frames", tmp_path / "a.csv").code == 0
    assert fake.settings["frames"] is True and (tmp_path / "a.csv").read_text().startswith("time_s,")
    code, out, err = run("localize", *paths, "--frames", tmp_path / "b.csv")
    assert code == 2 and "name a folder" in err and out == ""


def test_a_full_place_for_frames_fails_and_leaves_the_rows(run, fake, files, tmp_path, monkeypatch):
    def refuse(self, prediction):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("avloc.report.frames.FrameWriter.write", refuse)
    code, out, err = run("localize", *files("a.wav", "b.wav"), "--frames", tmp_path / "out")
    assert code == 3 and len(json.loads(out)) == 2 and "output_failed: No space left" in err


def test_labels_of_several_need_a_folder(run, fake, files, tmp_path):
    paths = files("a.wav", "forged.wav")
    code, out, err = run("localize", *paths, "--format", "labels")
    assert code == 2 and "write into a folder" in err
    assert run("localize", *paths, "--format", "labels", "--output", f"{tmp_path}/out/").code == 0
    assert run("localize", paths[1], "--format", "labels").out.startswith("1.000000\t2.500000\tforged audio")


def test_shell_completion_names_verbs_and_options(tmp_path):
    import os
    import subprocess
    import sys

    code = "import sys; from avloc.cli.main import main; sys.exit(main())"
    for words, position, expected in (
        ("avloc lo", 1, "localize"),
        ("avloc localize --fail", 2, "--fail-on-d"),
    ):
        environment = os.environ | {
            "_AVLOC_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(position),
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert expected in done.stdout, (done.stdout, done.stderr)


def test_rows_are_in_input_order_however_many_are_analysed_at_once(run, fake, files):
    paths = files(*(f"{n}{'broken' if n % 3 == 0 else ''}.wav" for n in range(12)))
    one = run("localize", *paths, "--threads", "1", "--reproducible")
    assert fake.settings["threads"] == 1 and [json.loads(one.out)[5]["input"]["name"]] == ["5.wav"]
    assert run("localize", *paths, "--threads", "5", "--reproducible").out == one.out
    run("localize", paths[1], "--threads", "5")
    assert fake.settings["threads"] == 5
    run("localize", paths[1], "--threads", "5", "--reproducible")
    assert fake.settings["threads"] == 1
