"""``avloc synth``: recordings and a manifest from a command, and wrong use refused before any work."""

import json

import numpy as np
import pytest

from avloc.cli.main import main
from avloc.datasets.manifest import ManifestDataset
from avloc.media.encode import write_audio
from avloc.media.whole import read_audio
from avloc.synth.probes import PROBES


@pytest.fixture
def media(tmp_path):
    """Two speakers of noise bursts that count as speech."""
    rows = []
    for k in range(4):
        rng = np.random.default_rng(k)
        bursts = np.repeat(rng.choice([0.2, 0.15, 0.002], 40), 1600)
        wave = bursts * rng.standard_normal(64000)
        write_audio(tmp_path / f"{k}.wav", wave[None].clip(-1, 1).astype(np.float32), 16000)
        rows.append(
            {"id": str(k), "file": f"{k}.wav", "kind": "speech", "identity": f"voice-{k % 2}", "use": "dev"}
            | {"weights_ok": True, "licence_material": "CC0", "sha256": str(k), "duration_s": 4.0}
        )
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"entries": rows}))
    return path


@pytest.mark.parametrize("condition", ["clean", "telephone"])
def test_synth_writes_recordings_and_their_truth(media, tmp_path, capsys, condition):
    out = tmp_path / "made"
    arguments = ["synth", str(out), "--media", str(media), "--n", "6", "--seed", "2", "--wav"]
    arguments += ["--families", "insert_other,pitch_shift", "--condition", condition]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(out / "manifest.jsonl")
    references = ManifestDataset(root=out, split="dev").references()
    assert len(references) == 6 and any(r.segments for r in references)
    assert all((out / r.recording_id).exists() for r in references)
    described = json.loads((out / "synth.json").read_text())
    assert described["condition"] == condition and described["recipe"]["seed"] == 2


def test_an_unknown_family_and_a_full_folder_are_wrong_use(media, tmp_path, capsys):
    common = ["--media", str(media), "--n", "1"]
    assert main(["synth", str(tmp_path / "a"), *common, "--families", "swap"]) == 2
    assert "--families knows" in capsys.readouterr().err
    assert main(["synth", str(tmp_path), *common]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main(["synth", str(tmp_path / "b"), *common, "--families", "neural_pair"]) == 2
    assert "twins" in capsys.readouterr().err


def test_second_implementations_are_made_when_asked_for(media, tmp_path, capsys, caplog):
    common = ["--media", str(media), "--n", "6", "--wav", "--implementations", "held_back"]
    assert main(["synth", str(tmp_path / "a"), *common, "--families", "pitch_shift,insert_other"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "a" / "manifest.jsonl").read_text().splitlines()]
    assert {row["implementation"] for row in rows} == {None, "psola", "zero_crossing"}
    capsys.readouterr()
    assert main(["synth", str(tmp_path / "b"), *common, "--families", "pitch_shift,neural_pair"]) == 2
    assert "neural_pair needs" in capsys.readouterr().err


def test_a_use_without_recordings_is_said(media, tmp_path, capsys):
    assert main(["synth", str(tmp_path / "a"), "--media", str(media), "--use", "test"]) == 2
    assert "use='test'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--telephone", "--condition", "wide"], "got --condition wide too"),
        (["--telephone", "--condition", "clean"], "got --condition clean too"),
        (["--video", "--wav"], "--video writes MP4"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_use(media, tmp_path, capsys, options, why):
    assert main(["synth", str(tmp_path / "a"), "--media", str(media), "--n", "1", *options]) == 2
    assert why in capsys.readouterr().err and not (tmp_path / "a").exists()


def test_telephone_is_short_for_its_condition(media, tmp_path):
    common = ["--media", str(media), "--n", "1", "--families", "pitch_shift", "--telephone"]
    for name, more in (("a", []), ("b", ["--condition", "telephone"])):
        assert main(["synth", str(tmp_path / name), *common, *more]) == 0
        assert json.loads((tmp_path / name / "synth.json").read_text())["condition"] == "telephone"


AUDITED = ["--families", "insert_other,self_blend", "--n", "60", "--genuine-share", "0.5", "--wav"]


def test_an_audit_of_what_was_made_and_of_what_is_there_say_the_same(media, tmp_path, capsys):
    out = tmp_path / "made"
    code = main(["synth", str(out), "--media", str(media), *AUDITED, "--audit", "--format", "json"])
    made = json.loads(capsys.readouterr().out)
    assert code == (3 if any(p["is_shortcut"] for p in made["probes"]) else 0)
    assert made["n_recordings"] == 60 and made["folder"] == str(out) and made["n_groups"] == 2
    assert [p["probe"] for p in made["probes"]] == list(PROBES)
    assert main(["synth", str(out), "--audit"]) == code
    assert json.loads(capsys.readouterr().out) == made


def test_a_set_with_a_shortcut_ends_with_3_and_names_it(media, tmp_path, capsys):
    out = tmp_path / "made"
    assert main(["synth", str(out), "--media", str(media), *AUDITED]) == 0
    for reference in ManifestDataset(root=out).references():
        if reference.segments:
            path = out / reference.recording_id
            write_audio(path, 0.2 * read_audio(path), 16000)
    capsys.readouterr()
    assert main(["synth", str(out), "--audit", "--format", "text"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("audit of 60 recordings")
    assert any(line.startswith("loudness") and line.endswith("shortcut") for line in lines)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "--media names what recordings are made from"),
        (["--audit", "--n", "4", "--video"], "leave --n, --video out"),
        (["--audit"], "holds no manifest.jsonl to audit"),
        (["--format", "json"], "add --audit or leave --format out"),
    ],
)
def test_wrong_use_of_the_audit_is_said(tmp_path, capsys, options, why):
    assert main(["synth", str(tmp_path / "a"), *options]) == 2
    assert why in capsys.readouterr().err and not (tmp_path / "a").exists()


def test_too_small_a_set_cannot_be_audited(media, tmp_path, capsys):
    arguments = ["--media", str(media), "--families", "self_blend", "--n", "5", "--audit"]
    assert main(["synth", str(tmp_path / "a"), *arguments]) == 2
    told = capsys.readouterr().err
    assert "an audit needs 10 forged and 10 genuine" in told and "change --n or --genuine-share" in told
    assert not (tmp_path / "a").exists()


def test_families_without_material_are_left_out_of_the_default(media, tmp_path, capsys):
    assert main(["synth", str(tmp_path / "a"), "--media", str(media), "--n", "3"]) == 0
    described = json.loads((tmp_path / "a" / "synth.json").read_text())
    families = described["recipe"]["families"]
    assert "insert_other" in families and not {
        "insert_tts",
        "neural_pair",
        "neural_words",
        "word_edit",
    } & set(families)
    assert main(["synth", str(tmp_path / "b"), "--media", str(media), "--families", "word_edit"]) == 2
    assert "words have times" in capsys.readouterr().err
    assert main(["synth", str(tmp_path / "c"), "--media", str(media), "--families", "neural_words"]) == 2
    assert "neural_words needs words of recordings that were spoken again" in capsys.readouterr().err


@pytest.mark.parametrize(("share", "some"), [("0", False), ("1", True)])
def test_genuine_edits_come_in_the_asked_share_and_stand_in_the_manifest(media, tmp_path, share, some):
    arguments = ["--media", str(media), "--families", "self_blend", "--n", "6", "--edit-share", share]
    assert main(["synth", str(tmp_path / "a"), *arguments]) == 0
    rows = [json.loads(row) for row in (tmp_path / "a" / "manifest.jsonl").read_text().splitlines()]
    assert any(row["genuine_edits"] for row in rows) == some


@pytest.mark.parametrize(
    ("out", "more", "name"),
    [
        ("/proc/x", [], "OUT '/proc/x'"),
        ("file/a", [], "OUT"),
        ("a", ["--cache", "/proc/x"], "--cache '/proc/x'"),
        ("a", ["--cache", "file"], "--cache 'file'"),
    ],
)
def test_a_folder_that_cannot_be_written_is_wrong_use(media, tmp_path, monkeypatch, capsys, out, more, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["synth", out, "--media", str(media), "--n", "1", *more]) == 2
    err = capsys.readouterr().err
    assert name in err and "cannot be written: " in err and "Traceback" not in err
