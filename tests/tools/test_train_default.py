"""One command from data to packaged weights; its steps are done once and in order."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("train_default", ROOT / "tools" / "train_default.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def arguments(tmp_path):
    out = str(tmp_path / "out.safetensors")
    return ["--data", "data/manifest.json", "--work-dir", str(tmp_path / "w"), "--out", out, "--version", "4"]


@pytest.fixture
def commands(monkeypatch):
    """What would have run; each command leaves the file behind that says it is done."""
    ran = []

    def run(command, **options):
        words = command[command.index("avloc") :] if "avloc" in command else command[1:]
        ran.append([str(word) for word in words])
        if words[:2] == ["avloc", "train"]:
            folder = Path(words[words.index("--work-dir") + 1])
            folder.mkdir(parents=True, exist_ok=True)
            if folder.name == "train":
                (folder / "weights.safetensors").touch()
        elif words[:2] == ["avloc", "synth"]:
            (Path(words[2]) / "manifest.jsonl").parent.mkdir(parents=True)
            (Path(words[2]) / "manifest.jsonl").touch()
        else:
            Path(words[words.index("--out") + 1]).touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def names(commands):
    return [" ".join(words[:2]) if words[0] == "avloc" else Path(words[0]).stem for words in commands]


def test_every_step_runs_once_and_in_order(tool, arguments, commands, tmp_path):
    tool.main([*arguments, "--init", "default", "--iterations", "100", "--set", "train.picture_share=0.3"])
    expected = ["avloc train", *["avloc synth"] * 6, *["accuracy"] * 6, "sync", "write_card"]
    assert names(commands) == expected
    assert commands[0][-6:] == [
        *("--set", "train.iterations=100", "--set", "train.seed=0"),
        *("--set", "train.picture_share=0.3"),
    ]
    tool.main([*arguments, "--init", "default", "--iterations", "100"])
    assert len(commands) == len(expected)


def test_a_network_that_only_hears_is_not_asked_for_video_and_synchrony(tool, arguments, commands, tmp_path):
    tool.main([*arguments, "--config", "fast", "--init", "default", "--iterations", "100"])
    assert names(commands) == ["avloc train", *["avloc synth"] * 5, *["accuracy"] * 5, "write_card"]
    assert not any("--video" in words for words in commands)
    card = commands[-1]
    assert card[card.index("--name") + 1] == "fast" and "--sync" not in card
    told = [card[i + 1].partition("=")[0] for i, word in enumerate(card) if word == "--result"]
    assert told == ["audio_wide", "audio_telephone", "clean", "held_back", "generators"]


def test_the_card_tells_the_round_without_folders_of_the_machine(tool, arguments, commands, tmp_path):
    earlier = "avloc train default --recogniser model.bin"
    start = ["--init", str(tmp_path / "old.safetensors"), "--command", earlier]
    tool.main([*arguments, *start, "--iterations", "100", "--seed", "5"])
    card = commands[-1]
    told = [card[i + 1] for i, word in enumerate(card) if word == "--command"]
    assert card[card.index("--init") + 1] == str(tmp_path / "old.safetensors")  # its list of recordings
    assert told[0] == earlier and str(tmp_path) not in told[1]
    assert told[1].startswith("avloc train default --init old.safetensors --media data/manifest.json")
    assert "train.iterations=100" in told[1] and "train.seed=5" in told[1]


def test_a_stopped_round_goes_on(tool, arguments, commands, tmp_path):
    (tmp_path / "w" / "train").mkdir(parents=True)
    (tmp_path / "w" / "train" / "iter_250.pth").touch()
    tool.main([*arguments, "--init", "default", "--iterations", "100", "--only", "train"])
    assert names(commands) == ["avloc train"] and commands[0][-1] == "--resume"


def test_a_round_may_have_a_length_in_minutes_and_read_a_pack(tool, arguments, commands, tmp_path):
    pack = ["--pack", str(tmp_path / "all.pack"), "--device", "cuda"]
    tool.main([*arguments, *pack, "--minutes", "7.5"])
    first = " ".join(commands[0])
    assert f"--pack {tmp_path / 'all.pack'} --device cuda --minutes 7.5" in first
    assert "--media" not in first and "train.iterations" not in first
    assert all("--pack" not in words and "--media" in words for words in commands[1:] if words[0] == "avloc")
    told = commands[-1][commands[-1].index("--command") + 1]
    assert "--pack all.pack --device cuda --minutes 7.5" in told and str(tmp_path) not in told


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--iterations", "100"], "--recogniser"),
        (["--init", "default"], "--minutes --iterations"),
        (["--init", "default", "--minutes", "1", "--iterations", "5"], "not allowed"),
    ],
)
def test_wrong_use_is_said(tool, arguments, commands, capsys, options, why):
    with pytest.raises(SystemExit):
        tool.main([*arguments, *options])
    assert why in capsys.readouterr().err and not commands


def test_a_dry_run_prints_the_commands_and_makes_nothing(tool, arguments, commands, capsys, tmp_path):
    tool.main([*arguments, "--init", "default", "--iterations", "100", "--dry-run"])
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 15 and printed[0].startswith("avloc train default --init default")
    assert not commands and not (tmp_path / "w").exists()
