"""``avloc synth``: recordings and a manifest from a command, and wrong use refused before any work."""

import json

import numpy as np
import pytest

from avloc.cli.main import main
from avloc.datasets.manifest import ManifestDataset
from avloc.media.encode import write_audio


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
