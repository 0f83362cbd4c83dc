"""The committed figures are of the weights that ship, whatever happened to either since."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shipped() -> str:
    spec = importlib.util.spec_from_file_location("environment", ROOT / "benchmarks" / "environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.parameters_sha256("default")


@pytest.mark.parametrize("name", ["accuracy_wide", "accuracy_telephone", "accuracy_video", "sync"])
def test_figures_are_of_the_shipped_weights(shipped, name):
    result = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    assert result["parameters_sha256"] == shipped
    assert result["environment"]["uncommitted_changes"] is False
