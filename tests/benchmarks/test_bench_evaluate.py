import importlib.util
import json
import sys
from pathlib import Path

import pytest

from avloc.datasets.named import build_dataset, name_of
from avloc.metrics import read_predictions

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    """Load the script as a module."""
    spec = importlib.util.spec_from_file_location("bench_evaluate", FOLDER / "bench_evaluate.py")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def test_the_files_are_those_of_the_challenge(bench, tmp_path):
    predictions, references = bench.write_files(tmp_path, 40, 0)
    table = read_predictions(predictions)
    assert name_of(references) == "avdeepfake1m"
    truth = build_dataset("avdeepfake1m", root=references).references()
    assert set(table.ids) == {r.recording_id for r in truth} and set(table.counts) == {bench.N_PROPOSALS}
    assert not table.unsorted() and table.ids != tuple(r.recording_id for r in truth)
    row_bytes = predictions.stat().st_size / len(table.starts)
    assert 20 < row_bytes < 24  # 757 MB of 34,324,000 rows are 22


def test_a_run_tells_time_memory_and_figures(bench, tmp_path):
    found = bench.measure(*bench.write_files(tmp_path, 30, 1), "av1m")
    assert found["n"] == 30 and found["wall_s"] > 0 and 0.05 < found["peak_gb"] < 3
    assert found["metrics"]["AP@0.5"] > 0
    json.dumps(found)
