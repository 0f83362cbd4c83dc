import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import bench_ops
import ops_cases

pytestmark = pytest.mark.skipif(shutil.which("c++") is None, reason="the plain loop needs a C++ compiler")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(bench_ops, "AT_LEAST", 1)
    monkeypatch.setattr(bench_ops, "AT_LEAST_S", 0.0)
    monkeypatch.setattr(ops_cases, "BATCHES", ((3, 50),))
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)


def test_all_implementations_are_compared_and_measured(quick, tmp_path, monkeypatch, capsys):
    told = tmp_path / "told.json"
    monkeypatch.setattr(sys, "argv", ["bench_ops", "--largest", "1000", "--out", str(told)])
    bench_ops.main()
    rows = {(row["op"], row["case"], row["n"]): row for row in json.loads(told.read_text())["results"]}
    assert {"reference_ms", "plain_ms", "sort_ms", "cpu_ms"} <= rows["hard 0.5", "dense", 1000].keys()
    assert {"reference_ms", "plain_ms", "cpu_ms"} <= rows["gaussian 0", "sparse", 100].keys()
    assert {"plain_ms", "cpu_2_threads_ms"} <= rows["gaussian 0.001", "3 recordings", 50].keys()
    assert "reference_ms" not in rows["score_segments", "100 recordings", 1000]
    assert rows["band_correlation_backward", "one recording", 100]["reference_ms"] > 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(rows) + 1
    assert lines[0].split()[:4] == ["operation", "case", "n", "reference"]


def test_a_kernel_that_keeps_others_stops_the_benchmark(quick, monkeypatch):
    monkeypatch.setattr(ops_cases, "suppress", lambda *given: torch.arange(7))
    monkeypatch.setattr(sys, "argv", ["bench_ops", "--largest", "100"])
    with pytest.raises(SystemExit, match="hard 0.5, 100: the kept segments differ"):
        bench_ops.main()
