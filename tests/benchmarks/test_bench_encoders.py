import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import bench_encoders

from avloc.models.encoders.av_hubert import AvHubertEncoder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(bench_encoders, "N_FRAMES", 12)
    monkeypatch.setattr(bench_encoders, "SHAPES", {"mouth88_landmarks": (12, 88, 88)})
    sizes = dict(stem_width=4, n_layers=1, hidden=8, width=32, n_heads=2)
    encoders = {"small": lambda: AvHubertEncoder(stream="visual", **sizes)}
    monkeypatch.setattr(bench_encoders, "ENCODERS", encoders)
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)


def test_throughput_and_variants_are_told(tmp_path, monkeypatch):
    told = tmp_path / "told.json"
    command = ["bench", "--out", str(told), "--repeats", "1", "--no-compile", "--encoder", "small"]
    monkeypatch.setattr(sys, "argv", command)
    bench_encoders.main()
    found = json.loads(told.read_text())["results"]["small"]
    assert found["gigaflops_per_clip"] >= 0 and found["2 threads"]["frames_per_s"] > 0
    assert set(found["variants"]) == {"4 clips at once", "channels last", "bfloat16"}
    assert found["variants"]["4 clips at once"]["within"] and found["variants"]["channels last"]["within"]
    assert found["variants"]["bfloat16"]["difference"] > found["variants"]["channels last"]["difference"]
