"""From recordings to a pack to weights, also where mmengine and every media decoder are missing."""

import importlib.util
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import avloc.training.sources as sources
from avloc.errors import AnnotationError, ConfigError
from avloc.models.weights.store import load_weights
from avloc.training.runner import train

ROOT = Path(__file__).resolve().parents[2]
ABSENT = ("mmengine", "av", "librosa", "silero_vad", "torchaudio", "mediapipe")
BARE = f"""
import importlib.util, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
known = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {ABSENT} else known(name, package)

from avloc.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("pack_training", ROOT / "tools" / "pack_training.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pack(tool, corpus, tmp_path_factory) -> Path:
    """Everything of the small corpus that may be trained on."""
    path = tmp_path_factory.mktemp("pack") / "small.pack"
    data = [word for name in corpus.media for word in ("--data", name)]
    tool.main([*data, "--cache", str(corpus.cache), "--out", str(path)])
    return path


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(sources, "STANDARDISING_BATCHES", 1)


def test_a_pack_holds_what_may_be_trained_on_and_nothing_else(pack):
    told = json.loads(Path(f"{pack}.json").read_text())
    assert told["kinds"]["train speech"]["recordings"] == told["kinds"]["train speech"]["of"] == 3
    assert {name for name in told["kinds"]} == {
        f"{use} {kind}" for use in ("train", "dev") for kind in ("speech", "genuine_talking_face")
    }
    assert told["left_out"] == [] and told["identities"] == {"train": 4, "dev": 3}


def test_training_from_a_pack_is_training_from_recordings(pack, corpus, overrides, tmp_path, quick):
    settings = overrides | {"train.iterations": 2}
    corpus.fill(tmp_path / "recordings" / "cache")
    made = []
    for name, given in (("recordings", {"media": corpus.media}), ("pack", {"pack": str(pack)})):
        options = {"work_dir": str(tmp_path / name), "overrides": settings, "plain": True}
        made.append(load_file(train("default", **given, **options)))
    for key, value in made[0].items():
        torch.testing.assert_close(made[1][key], value, rtol=0, atol=0)


def test_a_machine_without_mmengine_and_decoders_trains(pack, small_overrides, tmp_path):
    changed = small_overrides | {"train.picture_share": 0.5, "train.edit_share": 1.0, "train.workers": 1}
    words = [word for key, value in changed.items() for word in ("--set", f"{key}={value!r}")]
    command = ["train", "default", "--pack", str(pack), "--init", "default", "--work-dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", BARE, *command, *words], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "mmengine is not installed: the plain loop trains" in done.stderr
    assert "PyAV is not installed: the genuine edit 'recode' is not drawn" in done.stderr
    network, _, _ = load_weights(tmp_path / "weights.safetensors")
    assert network.visual_encoder is not None
    assert len((tmp_path / "development.jsonl").read_text().splitlines()) == 2


def test_weights_of_a_pack_are_started_from(tool, pack, corpus, overrides, tmp_path, quick):
    settings = overrides | {"train.iterations": 2, "train.learning_rate": 0.0}
    first = train("default", pack=str(pack), work_dir=str(tmp_path / "a"), overrides=settings, plain=True)
    data = [word for name in corpus.media for word in ("--data", name)]
    out = ["--out", str(tmp_path / "b.pack"), "--init", str(first)]
    tool.main([*data, "--cache", str(corpus.cache), *out])
    options = {"overrides": settings | {"train.seed": 9}, "plain": True}
    again = train("default", pack=str(tmp_path / "b.pack"), work_dir=str(tmp_path / "b"), **options)
    given, written = load_file(first), load_file(again)
    for key, value in given.items():
        if "norm" not in key or "weight" in key:  # running statistics move without any learning
            torch.testing.assert_close(written[key], value, rtol=0, atol=0)


def test_crops_that_the_network_does_not_read_are_refused(pack, overrides, tmp_path):
    face = {"model.visual_encoder.face_channels": 4, "model.visual_encoder.out_channels": 8}
    with pytest.raises(ConfigError, match="make the pack with the same --config"):
        settings = overrides | face | {"train.picture_share": 0.5}
        train("default", pack=str(pack), work_dir=str(tmp_path), overrides=settings)


def test_too_small_a_pack_is_refused(tool, corpus, tmp_path, capsys):
    data = [word for name in corpus.media for word in ("--data", name)]
    with pytest.raises(SystemExit) as stopped:
        tool.main(
            [*data, "--cache", str(corpus.cache), "--out", str(tmp_path / "x.pack"), "--max-mib", "0.2"]
        )
    assert stopped.value.code == 2
    assert "--max-mib 0.2 leaves no room for speech" in capsys.readouterr().err
    assert not (tmp_path / "x.pack").exists()


def manifest_of(folder: Path, corpus, **changed: dict) -> tuple[str]:
    """Copy the corpus' manifest beside its recordings with some rows changed."""
    source = Path(corpus.media[0])
    rows = json.loads(source.read_text())["entries"]
    for row in rows:
        row.update({"file": str(source.parent / row["file"])} | changed.get(row["id"], {}))
    (folder / "manifest.json").write_text(json.dumps({"entries": rows}))
    return (str(folder / "manifest.json"),)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"b0": {"identity": "speaker d"}}, "identity 'speaker d' is in two splits"),
        ({"b0": {"licence_material": None}}, r"'b0'\): missing \['licence_material'\]"),
        ({"b0": {"use": "training"}}, "use must be one of"),
        ({name: {"weights_ok": False} for name in ("a0", "b0", "c0")}, "no recording with use='train'"),
    ],
)
def test_manifests_that_may_not_be_trained_on_are_refused(
    tool, corpus, overrides, tmp_path, capsys, changed, message
):
    media = manifest_of(tmp_path, corpus, **changed)
    with pytest.raises(AnnotationError, match=message):
        train("default", media=media, work_dir=str(tmp_path / "w"), overrides=overrides)
    with pytest.raises(SystemExit):
        tool.main(["--data", *media, "--cache", str(tmp_path / "c"), "--out", str(tmp_path / "x.pack")])
    assert "error: " in capsys.readouterr().err and not (tmp_path / "x.pack").exists()


def test_a_packed_training_warns_of_nothing(pack, overrides, tmp_path, quick, caplog):
    with caplog.at_level(logging.WARNING):
        train("default", pack=str(pack), work_dir=str(tmp_path), overrides=overrides, plain=True)
    assert not caplog.records
