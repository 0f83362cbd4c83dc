"""The table of ears: which commands train and measure it, and what is collected of them."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avloc.config import load_config
from avloc.models.hierarchical import build_network
from avloc.models.weights.card import unmeasured_card
from avloc.models.weights.store import save_weights

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("compare_ears", ROOT / "tools" / "compare_ears.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
            chosen = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
            config = load_config("default", overrides=chosen)
            network = build_network(config["model"]).eval()
            target = Path(words[words.index("--work-dir") + 1]) / "weights.safetensors"
            save_weights(target, network, config=config, card=unmeasured_card("default"))
        elif words[:2] == ["avloc", "synth"]:
            Path(words[2]).mkdir(parents=True)
            (Path(words[2]) / "manifest.jsonl").touch()
        else:
            value = 0.4 if "-1/" in words[words.index("--weights") + 1] else 0.6
            figures = {"n": 9, "n_genuine": 5, "n_identities": 3, "intervals": {"AP@0.5": [0.1, 0.7]}}
            figures |= dict.fromkeys(sys.modules["steps"].FIGURES, value)
            out = Path(words[words.index("--out") + 1])
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps({"systems": {"avloc": {"figures": {"all": figures}}}}))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def test_every_arm_makes_a_network(tool):
    for arm, (recogniser, ear, chosen) in tool.ARMS.items():
        options = tool.read_options(
            [
                "--data",
                "m.json",
                "--work-dir",
                "w",
                "--out",
                "o",
                "--recogniser",
                "tiny=t",
                "--recogniser",
                "base=b",
            ]
        )
        words = tool.training(options, arm, 0, Path("w"))
        config = load_config("default", overrides=[words[i + 1] for i, w in enumerate(words) if w == "--set"])
        network = build_network(config["model"])
        assert hasattr(network.audio_encoder, "recogniser") == (recogniser is not None)
        heard = network.inputs["audio"]
        assert ("log_spectrum" in heard) == (ear.get("spectral_channels") != 0), arm
        assert config["train"]["trainable_layers"] == dict(chosen).get("train.trainable_layers", 0)
        assert ("--recogniser" in words) == (recogniser is not None)


def test_arms_hear_the_same_and_those_to_repeat_get_more_seeds(tool, commands, tmp_path, capsys):
    out = tmp_path / "out.json"
    arguments = [
        *("--data", "data/manifest.json", "--work-dir", str(tmp_path / "w"), "--out", str(out)),
        *("--arm", "spectra", "--arm", "tiny_frozen", "--recogniser", "tiny=model.bin"),
        *("--repeat", "spectra", "--seeds", "2", "--iterations", "40"),
    ]
    tool.main(arguments)
    kinds = [words[1] if words[0] == "avloc" else "accuracy" for words in commands]
    assert kinds == ["synth", "synth", *["train", "accuracy", "accuracy"] * 3]
    trained = [" ".join(words) for words in commands if words[1] == "train"]
    assert all("train.iterations=40" in words for words in trained)
    assert ["train.seed=0" in words for words in trained] == [True, True, False]
    result = json.loads(out.read_text())
    spectra = result["arms"]["spectra"]
    assert spectra["seeds"] == [0, 1] and spectra["wide"]["mean"]["AP@0.5"] == 0.5
    assert [one["AP@0.5"] for one in spectra["wide"]["by_seed"]] == [0.6, 0.4]
    assert result["arms"]["tiny_frozen"]["cost"] > spectra["cost"] > 0
    assert "tiny_frozen" in capsys.readouterr().out
    tool.main(arguments)
    assert len(commands) == 11


def test_a_missing_recogniser_is_asked_for(tool, capsys):
    with pytest.raises(SystemExit):
        tool.main(["--data", "m.json", "--work-dir", "w", "--out", "o", "--recogniser", "tiny=t"])
    assert "needed for base" in capsys.readouterr().err


def test_the_cost_leaves_the_number_of_threads_alone(tool):
    network = build_network(load_config("fast")["model"]).eval()
    before = torch.get_num_threads()
    assert tool.cost(network) > 0 and torch.get_num_threads() == before
