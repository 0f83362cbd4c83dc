import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import bench_heads

from avloc.config import load_config

SMALL = {
    "dimodif_lavdf": {"width": 16, "n_heads": 2, "hidden": 16, "n_layers": 1, "max_length": 160},
    "auvire_lavdf": {"width": 8, "max_length": 160},
}


def load_small(name: str) -> dict:
    return load_config(name, overrides={f"model.{key}": value for key, value in SMALL[name].items()})


def test_the_three_loops_are_compared_with_the_plain_one(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_heads, "load_config", load_small)
    told, n_threads = tmp_path / "told.json", torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["bench_heads", "--steps", "2", "--output", str(told)])
    with torch.random.fork_rng(devices=[]):
        bench_heads.main()
    torch.set_num_threads(n_threads)
    result = json.loads(told.read_text())
    for name in SMALL:
        assert result[name]["ratio"]["plain PyTorch"] == 1.0 and len(result[name]["ratio"]) == 3
        assert len(set(result[name]["first_loss"].values())) == 1


def test_loops_that_differ_are_not_compared(monkeypatch):
    monkeypatch.setattr(bench_heads, "load_config", load_small)
    monkeypatch.setattr(bench_heads, "plain_pytorch", lambda *given: lambda: torch.tensor(9.0))
    with torch.random.fork_rng(devices=[]), pytest.raises(SystemExit, match="do not compute the same"):
        bench_heads.compare("auvire_lavdf", 2, 1, torch.device("cpu"))
