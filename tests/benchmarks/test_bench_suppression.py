import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import bench_suppression

pytestmark = pytest.mark.skipif(shutil.which("c++") is None, reason="the plain loop needs a C++ compiler")


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(bench_suppression, "AT_LEAST_S", 0.0)
    monkeypatch.setattr(bench_suppression, "BATCHES", ((3, 50),))
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)


def test_the_kernels_are_compared_with_the_plain_loop(tmp_path, monkeypatch):
    told = tmp_path / "told.json"
    monkeypatch.setattr(sys, "argv", ["bench_suppression", "--largest", "1000", "--out", str(told)])
    bench_suppression.main()
    rows = json.loads(told.read_text())["results"]
    assert [row["case"] for row in rows if row["rule"] == "hard 0.5"] == [
        *("dense", "sparse") * 2,
        "3 recordings",
    ]
    assert all(row["speedup"] > 0 and row["plain_ms"] > 0 for row in rows)
    assert all(("sort_ms" in row) == (row["rule"].startswith("hard") and "n_kept" in row) for row in rows)


def test_implementations_that_differ_are_not_measured(monkeypatch):
    monkeypatch.setattr(bench_suppression, "suppress", lambda *given: torch.arange(7))
    monkeypatch.setattr(sys, "argv", ["bench_suppression", "--largest", "100"])
    with pytest.raises(SystemExit, match="kept segments differ"):
        bench_suppression.main()
