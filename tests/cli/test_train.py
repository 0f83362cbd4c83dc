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
    published = types.ModuleType("avloc.training.published_runner")
    published.train_published = lambda config, source, **options: train(config, source=source, **options)
    monkeypatch.setitem(sys.modules, "avloc.training.published_runner", published)
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
    expected |= dict(pack=None, device="auto", minutes=None, plain=False)
    assert calls == [("default", {**expected, "overrides": overrides})]


@pytest.mark.parametrize(
    "arguments",
    [
        "default --work-dir w",
        "default --media a.json",
        "default --media a.json --pack b.pack --work-dir w",
        "default --media a.json --work-dir w --set x",
        "--media a.json --work-dir w",
        "default --media a.json --features f --data lavdf --work-dir w",
        "dimodif_lavdf --features f --work-dir w",
        "dimodif_lavdf --features f --data lavdf --work-dir w --recogniser x",
        "dimodif_lavdf --features f --data lavdf --work-dir w --minutes 3",
        "default --media a.json --data lavdf --work-dir w",
        "default --pack a.pack --encoders audio=x --work-dir w",
    ],
)
def test_wrong_usage_exits_with_2_and_nothing_runs(run, calls, arguments):
    assert run("train", *arguments.split()).code == 2 and calls == []


def test_a_pack_takes_the_place_of_recordings(run, calls):
    arguments = "default --pack a.pack --work-dir w --device cuda --minutes 7.5 --plain"
    assert run("train", *arguments.split()).code == 0
    options = calls[0][1]
    assert (options["pack"], options["media"], options["plain"]) == ("a.pack", (), True)
    assert (options["device"], options["minutes"]) == ("cuda", 7.5)


def test_features_take_the_place_of_recordings(run, calls):
    arguments = "auvire_lavdf --features f --data lavdf --root r --encoders audio=a,visual=b --work-dir w"
    arguments += " --run x --run y --init imported"
    assert run("train", *arguments.split(), "--set", "train.epochs=2", "--resume").code == 0
    ((config, options),) = calls
    source = options.pop("source")
    assert (config, source.folder, source.dataset, source.root) == ("auvire_lavdf", "f", "lavdf", "r")
    assert (source.encoders, source.run) == ({"audio": "a", "visual": "b"}, ("x", "y"))
    expected = dict(work_dir="w", overrides={"train.epochs": 2}, init="imported", resume=True)
    expected |= dict(device="auto", plain=False)
    assert options == expected


def test_what_says_nothing_beside_the_others_is_named(run, calls):
    told = run(
        "train",
        *["dimodif_lavdf", "--features", "f", "--data", "lavdf", "--work-dir", "w", "--recogniser", "x"],
    ).err
    assert "--recogniser says nothing beside --features; leave it out" in told
