import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from avloc.training.hooks import DevelopmentHook, FamilyCountHook, PlainCheckpointHook
from avloc.training.optimization import Schedule

ENDLESS = Schedule(warmup=1, iterations=100)


class Small(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.network = nn.BatchNorm1d(1)
        nn.init.constant_(self.network.weight, value)


def make_runner(iteration: int, max_iters: int = 100, hooks: tuple = ()) -> SimpleNamespace:
    model = Small(1.0).train()
    return SimpleNamespace(
        iter=iteration, max_iters=max_iters, model=model, hooks=list(hooks), logger=logging.getLogger("test")
    )


def test_a_checkpoint_keeps_its_numbers_and_loads_without_pickled_code(tmp_path):
    checkpoint = {
        "meta": {"iter": 7, "seed": np.int64(3), "list": [np.float32(0.5), (np.bool_(True), "text")]},
        "optimizer": {"state": {0: {"step": torch.tensor(2.0)}}, "groups": [{"lr": np.float64(0.1)}]},
        "param_schedulers": [{"values": np.arange(3.0)}],
        "message_hub": {"log_scalars": {"loss": SimpleNamespace()}},
        "state_dict": {"weight": torch.ones(2)},
    }
    PlainCheckpointHook().before_save_checkpoint(SimpleNamespace(iter=7), checkpoint)
    torch.save(checkpoint, tmp_path / "x.pth")
    assert torch.serialization.get_unsafe_globals_in_checkpoint(tmp_path / "x.pth") == []
    loaded = torch.load(tmp_path / "x.pth", weights_only=True)
    assert loaded["meta"] == {"iter": 7, "seed": 3, "list": [0.5, (True, "text")]}
    assert loaded["optimizer"]["groups"] == [{"lr": 0.1}]
    assert loaded["param_schedulers"][0]["values"].tolist() == [0.0, 1.0, 2.0]
    assert set(loaded["message_hub"]) == {"log_scalars", "runtime_info", "resumed_keys"}


def test_a_checkpoint_without_optimizer_is_left_without():
    checkpoint = {"meta": {}}
    PlainCheckpointHook().before_save_checkpoint(SimpleNamespace(iter=0), checkpoint)
    assert set(checkpoint) == {"meta", "message_hub"}


def test_figures_are_appended_every_interval_and_at_the_end(tmp_path):
    path = tmp_path / "development.jsonl"
    hook = DevelopmentHook(
        measure=lambda network: {"AP": 0.25}, interval=4, folder=tmp_path, schedule=ENDLESS
    )
    for iteration in range(10):
        hook.after_train_iter(make_runner(iteration, 10), iteration)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [{"iteration": k, "AP": 0.25} for k in (4, 8, 10)]


def test_the_averaged_network_is_measured_in_evaluation_and_goes_back(tmp_path):
    seen = []

    def measure(network: nn.Module) -> dict:
        seen.append((float(network.weight[0]), network.training, torch.is_inference_mode_enabled()))
        return {}

    averaged = Small(5.0).train()
    hooks = (SimpleNamespace(), SimpleNamespace(ema_model=SimpleNamespace(module=averaged)))
    hook = DevelopmentHook(measure=measure, interval=1, folder=tmp_path, schedule=ENDLESS)
    runner = make_runner(0, hooks=hooks)
    hook.after_train_iter(runner, 0)
    hook.after_train_iter(make_runner(0), 0)  # no average is kept: the network itself
    assert seen == [(5.0, False, True), (1.0, False, True)]
    assert averaged.training and runner.model.training


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_cannot_be_told_is_null(tmp_path, value):
    path = tmp_path / "development.jsonl"
    hook = DevelopmentHook(
        measure=lambda network: {"AUC": value}, interval=1, folder=tmp_path, schedule=ENDLESS
    )
    hook.after_train_iter(make_runner(0), 0)
    assert "NaN" not in path.read_text() and json.loads(path.read_text()) == {"iteration": 1, "AUC": None}


def test_the_families_trained_on_are_counted_from_the_batches_and_kept_in_checkpoints(tmp_path):
    path, runner, checkpoint = tmp_path / "families.json", make_runner(2), {"meta": {}}
    first = FamilyCountHook(path=path)
    first.after_train_iter(runner, 0, SimpleNamespace(families=("genuine", "mouth_blend")))
    first.after_train_iter(runner, 1, SimpleNamespace(families=("genuine", "word_edit")))
    first.before_save_checkpoint(runner, checkpoint)
    first.after_train_iter(runner, 2, SimpleNamespace(families=("pitch_shift",)))  # lost with the run
    resumed = FamilyCountHook(path=path)
    resumed.after_load_checkpoint(runner, json.loads(json.dumps(checkpoint)))
    resumed.after_train_iter(runner, 2, SimpleNamespace(families=("word_edit",)))
    resumed.after_train(runner)
    told = json.loads(path.read_text())
    assert told == {"iterations": 2, "families": {"genuine": 2, "mouth_blend": 1, "word_edit": 2}}
