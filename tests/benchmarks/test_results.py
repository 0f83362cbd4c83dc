"""The committed figures are of the weights that ship, whatever happened to either since."""

import importlib.util
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from avloc.config import load_config
from avloc.models.weights.locate import find_weights

ROOT = Path(__file__).resolve().parents[2]


OF_DEFAULT = [
    *("accuracy_wide", "accuracy_telephone", "accuracy_clean", "accuracy_video"),
    *("accuracy_held_back", "accuracy_generators", "published", "sync"),
]
OF_FAST = [
    *("accuracy_wide", "accuracy_telephone", "accuracy_clean", "accuracy_held_back", "accuracy_generators")
]


@pytest.fixture(scope="module")
def parameters() -> Callable[[str], str]:
    spec = importlib.util.spec_from_file_location("environment", ROOT / "benchmarks" / "environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cache(module.parameters_sha256)


@pytest.mark.parametrize(
    "weights, name", [*(("default", n) for n in OF_DEFAULT), *(("fast", f"fast/{n}") for n in OF_FAST)]
)
def test_figures_are_of_the_shipped_weights(parameters, weights, name):
    result = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    assert result["parameters_sha256"] == parameters(weights)
    assert result["environment"]["uncommitted_changes"] is False


@pytest.mark.parametrize("name, most_mb", [("default", 40), ("fast", 12)])
def test_shipped_weights_are_small(name, most_mb):
    assert find_weights(name).stat().st_size <= most_mb * 1e6


def test_the_default_network_reads_the_face_only_if_that_was_measured_to_help():
    result = json.loads((ROOT / "benchmarks" / "results" / "face_crop.json").read_text())
    assert result["environment"]["uncommitted_changes"] is False and result["n_seeds"] >= 3
    gains = [
        result["families"][family][f"gain {figure}"]["interval_95"][0]
        for family in ("mouth_blend", "mouth_freeze")
        for figure in ("frame_AUC", "AP@0.5")
    ]
    reads_face = load_config("default")["model"]["visual_encoder"].get("face_channels", 0) > 0
    assert reads_face == (min(gains) > 0)
