"""The committed figures are of the weights that ship, whatever happened to either since."""

import importlib.util
import json
from pathlib import Path

import pytest

from avloc.config import load_config

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shipped() -> str:
    spec = importlib.util.spec_from_file_location("environment", ROOT / "benchmarks" / "environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.parameters_sha256("default")


@pytest.mark.parametrize(
    "name",
    [
        *("accuracy_wide", "accuracy_telephone", "accuracy_clean", "accuracy_video"),
        *("accuracy_held_back", "accuracy_generators", "published", "sync"),
    ],
)
def test_figures_are_of_the_shipped_weights(shipped, name):
    result = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    assert result["parameters_sha256"] == shipped
    assert result["environment"]["uncommitted_changes"] is False


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
