"""One family left out at a time: what is trained, what is asked, and what was really drawn."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ("AP@0.5", "AP@0.75", "frame_AUC_inside", "frame_AUC_boundary", "AUC")


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("leave_one_out", ROOT / "tools" / "leave_one_out.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def arguments(tmp_path):
    return [
        *("--data", "data/manifest.json", "--work-dir", str(tmp_path / "w"), "--iterations", "40"),
        *("--recogniser", "model.bin", "--out", str(tmp_path / "out.json")),
    ]


@pytest.fixture
def commands(monkeypatch):
    """What would have run; each command leaves behind what the real one does."""
    ran, original = [], subprocess.run

    def run(command, **options):
        if command[0] != sys.executable:
            return original(command, **options)
        words = [str(w) for w in (command[command.index("avloc") :] if "avloc" in command else command[1:])]
        ran.append(words)
        if words[:2] == ["avloc", "train"]:
            folder = Path(words[words.index("--work-dir") + 1])
            (folder / "weights.safetensors").touch()
            left_out = [w.split(".")[2].split("=")[0] for w in words if w.endswith("=0") and "sound." in w]
            counts = {f: 5 for f in ("genuine", "pitch_shift", "time_stretch") if f not in left_out}
            (folder / "families.json").write_text(json.dumps({"iterations": 40, "families": counts}))
        elif words[:2] == ["avloc", "synth"]:
            Path(words[2]).mkdir(parents=True)
            (Path(words[2]) / "manifest.jsonl").touch()
        else:
            value = 0.2 if "without" in words[words.index("--weights") + 1] else 0.6
            figures = {"n": 9, "n_genuine": 5, "n_identities": 3, "intervals": {"AP@0.5": [0.1, 0.7]}}
            figures |= dict.fromkeys(FIGURES, value)
            out = Path(words[words.index("--out") + 1])
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps({"systems": {"avloc": {"figures": {"all": figures}}}}))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def kinds(commands):
    return [words[1] if words[0] == "avloc" else "accuracy" for words in commands]


def test_a_family_is_left_out_of_training_and_asked_about_in_both_implementations(
    tool, arguments, commands, tmp_path, capsys
):
    tool.main([*arguments, "--family", "pitch_shift"])
    asked = ["synth", "accuracy", "accuracy"]
    assert kinds(commands) == ["train", "train", *asked, *asked]
    everything, without = commands[:2]
    assert "train.sound.pitch_shift=0" in without and "train.sound.pitch_shift=0" not in everything
    assert [w[w.index("--implementations") + 1] for w in commands if "synth" in w] == [
        "training",
        "held_back",
    ]
    result = json.loads((tmp_path / "out.json").read_text())
    group = result["groups"]["pitch_shift"]
    assert group["drawn"]["with"]["families"]["pitch_shift"] == 5
    assert "pitch_shift" not in group["drawn"]["without"]["families"] and group["n_drawn_without"] == 0
    rounds = group["figures"]["held_back"]
    assert (rounds["with"]["all"]["AP@0.5"], rounds["without"]["all"]["AP@0.5"]) == (0.6, 0.2)
    assert result["never_seen"] is True and result["environment"]["command"]
    assert "drawn without: {'genuine': 5, 'time_stretch': 5}" in capsys.readouterr().out


def test_every_step_is_done_once_and_rounds_share_what_is_decoded(tool, arguments, commands, tmp_path):
    tool.main([*arguments, "--family", "pitch_shift"])
    n_ran = len(commands)
    tool.main([*arguments, "--family", "pitch_shift", "--family", "time_stretch"])
    again = commands[n_ran:]
    assert kinds(again) == ["train", "synth", "accuracy", "accuracy", "synth", "accuracy", "accuracy"]
    caches = [tmp_path / "w" / folder / "cache" for folder in ("with", "without/time_stretch")]
    assert {cache.resolve() for cache in caches} == {tmp_path / "w" / "cache"}


def test_items_that_were_stopped_are_made_anew(tool, arguments, commands, tmp_path):
    stopped = tmp_path / "w" / "items" / "pitch_shift-training"
    stopped.mkdir(parents=True)
    (stopped / "000000.flac").touch()
    tool.main([*arguments, "--family", "pitch_shift"])
    assert sorted(p.name for p in stopped.iterdir()) == ["manifest.jsonl"]


def test_a_group_is_left_out_together(tool, arguments, capsys):
    tool.main([*arguments, "--group", "resynthesis", "--group", "both=neural_pair,self_blend", "--dry-run"])
    trained = [line for line in capsys.readouterr().out.splitlines() if " train " in line]
    assert len(trained) == 3
    assert all(f"train.sound.{family}=0" in trained[1] for family in tool.GROUPS["resynthesis"])
    # A family of both mixtures is left out of both.
    for setting in ("sound.neural_pair", "sound.self_blend", "picture.self_blend"):
        assert f"train.{setting}=0" in trained[2]


def test_families_without_a_second_implementation_are_asked_about_in_one(tool, arguments, capsys):
    tool.main([*arguments, "--family", "neural_pair", "--family", "mouth_blend", "--dry-run"])
    made = [line for line in capsys.readouterr().out.splitlines() if " synth " in line]
    assert len(made) == 2 and not any("held_back" in line for line in made)
    assert "--condition wide" in made[0] and "--video" in made[1]


def test_weights_that_were_given_take_the_place_of_a_round_with_everything(
    tool, arguments, commands, tmp_path
):
    given = tmp_path / "given.safetensors"
    tool.main([*arguments, "--family", "pitch_shift", "--with-weights", str(given)])
    assert kinds(commands).count("train") == 1
    assert sum(str(given) in words for words in commands) == 2
    group = json.loads((tmp_path / "out.json").read_text())["groups"]["pitch_shift"]
    assert group["drawn"]["with"] is None


def test_a_round_that_began_from_weights_is_no_figure_of_the_unseen(
    tool, arguments, commands, tmp_path, capsys
):
    start = arguments.index("--recogniser")
    changed = [*arguments[:start], "--init", "default", *arguments[start + 2 :]]
    tool.main([*changed, "--family", "pitch_shift"])
    assert "not a figure of the unseen" in capsys.readouterr().out
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["never_seen"] is False and result["began_from"]["init"] == "default"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "--family or --group"),
        (["--family", "swap"], "known are"),
        (["--group", "nothing"], "resynthesis"),
        (["--group", "x=mouth_blend,insert_tts"], "not together"),
    ],
)
def test_wrong_use_is_said(tool, arguments, capsys, options, why):
    with pytest.raises(SystemExit):
        tool.main([*arguments, *options])
    assert why in capsys.readouterr().err
