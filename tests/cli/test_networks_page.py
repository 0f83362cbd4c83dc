"""The examples of docs/networks.md run in their order, with small checkpoints under the names of the page."""

import json
import random
import re
import shlex
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from avloc.cli.main import main
from avloc.config import load_config
from avloc.media.encode import write_video
from avloc.models.auvire import AuViRe
from avloc.models.dimodif import DiMoDif
from avloc.models.encoders.auto_avsr import AutoAvsrAudioEncoder, AutoAvsrVisualEncoder
from avloc.models.encoders.av_hubert import AvHubertEncoder
from avloc.models.encoders.whisper import WhisperEncoder
from avloc.training import published_runner

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
CONFORMER = dict(stem_width=4, width=768, n_heads=12, n_blocks=1, hidden=8)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with what the page names."""
    monkeypatch.setenv("AVLOC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    states = {
        "vsr_trlrs3vox2_base.pth": AutoAvsrVisualEncoder(**CONFORMER),
        "asr_trlrs3vox2_base.pth": AutoAvsrAudioEncoder(**CONFORMER),
        "base_lrs3_iter4.pt": AvHubertEncoder(stem_width=4, n_layers=1, hidden=8),
        "dimodif_tfl_lavdf.pth": DiMoDif(max_length=48, width=32, n_heads=2, hidden=32, n_layers=1),
        "auvire_lavdf.pth": AuViRe(max_length=64, width=8),
    }
    for name, network in states.items():
        state = network.state_dict()
        if name.startswith(("vsr", "asr")):
            renamed = {re.sub(r"^embed\.0", "proj_encoder", key): value for key, value in state.items()}
            own = ("frontend", "proj_encoder")
            torch.save({k if k.startswith(own) else f"encoder.{k}": v for k, v in renamed.items()}, name)
        else:
            torch.save({"model": state, "optimizer": {}}, name)
    recogniser = WhisperEncoder(width=64, n_layers=1, n_heads=1, final_norm=True).state_dict()
    state = {f"encoder.{key}": value for key, value in recogniser.items()}
    torch.save({"dims": {}, "model_state_dict": state}, "tiny.pt")
    frames = [np.full((96, 128, 3), 90 + i, np.uint8) for i in range(40)]
    write_video(tmp_path / "clip.mp4", frames, Fraction(25))
    face = np.array([[[44, 40], [84, 40], [64, 60], [64, 76]]] * 40, dtype=np.float32)
    np.savez("clip.npz", points=face, frame=np.arange(40))
    entries = []
    for split in ("train", "dev"):
        for place in (f"data/LAV-DF/{split}/1.mp4", f"tracks/{split}/1.npz"):
            Path(place).parent.mkdir(parents=True)
            shutil.copy(f"clip{Path(place).suffix}", place)
        entry = {"file": f"{split}/1.mp4", "split": split, "n_fakes": 1, "fake_periods": [[0.4, 0.8]]}
        entries.append(entry | {"duration": 1.6})
    Path("data/LAV-DF/metadata.json").write_text(json.dumps(entries))
    return tmp_path


@pytest.fixture
def small_training(monkeypatch):
    """Make the networks that the page trains small, and put all generators back after it."""
    sizes = {"max_length": 48, "width": 32, "n_heads": 2, "hidden": 32, "n_layers": 1}
    small = {f"model.{key}": value for key, value in sizes.items()} | {"train.epochs": 2, "train.workers": 0}
    monkeypatch.setattr(
        published_runner, "load_config", lambda name, overrides=(): load_config(name, overrides=small)
    )
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - it is what is guarded
    with torch.random.fork_rng(devices=[]):
        yield
    np.random.set_state(numpy_state)  # noqa: NPY002 - it is what is guarded
    random.setstate(python_state)


@pytest.mark.dataset
def test_the_shell_examples_run_in_their_order(folder, small_training, parity_dir, capsys):
    shutil.copytree(
        parity_dir, folder / "fixtures", ignore=shutil.ignore_patterns("au*", "avh*", "vsr*", "whi*")
    )
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) >= 8
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "avloc"
        assert main(arguments) == 0, (line, capsys.readouterr().err)
    capsys.readouterr()
    _, code = blocks("python")
    exec(compile(code, "networks.md", "exec"), {"__name__": "example"})
    shape = "torch.Size([1, 768, 600])"
    assert capsys.readouterr().out == f"1 {{}}\n{shape} {shape} torch.Size([1, 1200, 3])\n"


def test_the_python_example_runs(folder, capsys):
    code, _ = blocks("python")
    exec(compile(code, "networks.md", "exec"), {"__name__": "example"})
    assert 0 < float(capsys.readouterr().out) < 1
