"""``avloc train`` hands its arguments on."""

import sys
import types

import pytest


@pytest.fixture
def calls(monkeypatch):
    """Put a recorder in the place of the training run."""
    calls = []

    def train(config, **options):
        calls.append((config, options))
        return "work/weights.safetensors"

    runner = types.ModuleType("avloc.training.runner")
    runner.train = train
    monkeypatch.setitem(sys.modules, "avloc.training.runner", runner)
    return calls


def test_arguments_reach_the_runner_and_the_weights_are_printed(run, calls):
    arguments = "default --media a.json --media b.json --work-dir work --init x.st --resume"
    settings = [
        "--set",
        "train.iterations=100",
        "--set",
        "train.name=tiny",
        "--set",
        "model.visual_encoder=None",
    ]
    code, out, _ = run("train", *arguments.split(), *settings)
    assert (code, out) == (0, "work/weights.safetensors\n")
    overrides = {"train.iterations": 100, "train.name": "tiny", "model.visual_encoder": None}
    expected = dict(media=("a.json", "b.json"), work_dir="work", init="x.st", resume=True, recogniser=None)
    assert calls == [("default", {**expected, "overrides": overrides})]


@pytest.mark.parametrize(
    "arguments",
    [
        "default --work-dir w",
        "default --media a.json",
        "default --media a.json --work-dir w --set x",
        "--media a.json --work-dir w",
    ],
)
def test_wrong_usage_exits_with_2_and_nothing_runs(run, calls, arguments):
    assert run("train", *arguments.split()).code == 2 and calls == []
