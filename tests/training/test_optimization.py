"""Learning rates rise and fall; a run ends with its updates or with its time."""

import pytest
import torch
from torch import nn

import avloc.training.optimization as optimization
from avloc.errors import ConfigError
from avloc.training.optimization import Plateau, Schedule, average_gamma, make_optimizer


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test turns."""
    now = [100.0]
    monkeypatch.setattr(optimization, "monotonic", lambda: now[0])
    return now


def test_rates_are_those_of_a_linear_and_a_cosine_scheduler():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    linear = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.05, total_iters=19)
    schedule = Schedule(warmup=20, iterations=100)
    for update in range(20):
        assert 0.1 * schedule.factor(update) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        linear.step()
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=80, eta_min=0.002)
    for update in range(20, 100):
        assert 0.1 * schedule.factor(update) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        cosine.step()


def test_a_run_of_updates_does_not_look_at_the_clock(clock):
    schedule = Schedule(warmup=1, iterations=5)
    clock[0] += 1e9
    assert [schedule.finished(n) for n in (0, 4, 5)] == [False, False, True]


def test_a_run_of_a_time_ends_with_it_at_the_lowest_rate(clock):
    schedule = Schedule(warmup=2, iterations=10**9, seconds=60)
    assert schedule.factor(0) == pytest.approx(0.05) and schedule.factor(1) == pytest.approx(1.0)
    clock[0] += 30
    assert schedule.factor(7) == pytest.approx(0.51) and not schedule.finished(7)
    clock[0] += 30
    assert schedule.factor(8) == pytest.approx(0.02) and schedule.finished(8)


def test_what_earlier_sessions_took_counts(clock):
    schedule = Schedule(warmup=2, iterations=10**9, seconds=60, used=45)
    clock[0] += 10
    assert schedule.elapsed() == 55 and not schedule.finished(3)
    clock[0] += 5
    assert schedule.finished(3)


def test_every_group_keeps_its_own_rate():
    groups = [{"lr": 1.0}, {"lr": 0.1}]
    schedule = Schedule(warmup=1, iterations=4)
    for update in (0, 1, 3, 1):
        schedule.set_rates(groups, update)
        assert groups[1]["lr"] == pytest.approx(0.1 * groups[0]["lr"])
    assert groups[0]["lr"] == pytest.approx(1.0)


def test_the_recogniser_learns_slower_and_what_is_frozen_not_at_all():
    objective = nn.ModuleDict({"x": nn.ModuleDict({"recogniser": nn.Linear(2, 2)}), "y": nn.Linear(2, 2)})
    objective["y"].bias.requires_grad_(False)
    settings = {"learning_rate": 0.01, "recogniser_rate": 0.1, "weight_decay": 0.0, "betas": [0.9, 0.98]}
    others, recogniser = make_optimizer(objective, settings).param_groups
    assert [len(group["params"]) for group in (others, recogniser)] == [1, 2]
    assert recogniser["lr"] == pytest.approx(0.001) and others["lr"] == 0.01


def make_plateau(**changes) -> Plateau:
    settings = dict(
        iterations=1000, monitor=["AP", "AR"], patience=2, rate_factor=0.1, stop_after=100, told={}
    )
    return Plateau(**settings | changes)


@pytest.mark.parametrize("seed", range(10))
def test_rates_fall_where_those_of_torch_do(seed):
    """Also where a figure rises by less than the threshold, again and again."""
    values = torch.rand(60, generator=torch.Generator().manual_seed(seed)).double() * 2e-4 + 0.5
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", patience=2, factor=0.1, eps=0)
    ours = make_plateau()
    for update, value in enumerate(values.tolist()):
        theirs.step(value)
        ours.measured({"AP": value - 0.25, "AR": 0.25})
        assert ours.factor(update) == pytest.approx(optimizer.param_groups[0]["lr"])


def test_a_run_that_is_resumed_anywhere_falls_and_ends_as_a_whole_one():
    values = [0.1, 0.3, 0.2, 0.3, 0.1, 0.25, 0.31, 0.3, 0.3, 0.3, 0.3, 0.3]
    whole, parts, told = make_plateau(stop_after=5), [], {}
    for n, value in enumerate(values):
        part = make_plateau(stop_after=5, told=told)
        figures = {"AP": value, "AR": 0.0, "AUC": None}
        assert part.measured(figures) == whole.measured(figures) == (n in (0, 1, 6))
        assert part.factor(n) == whole.factor(n) and part.finished(n) == whole.finished(n) == (n == 11)
        told = part.state()
        parts.append(part.factor(n))
    assert parts[:4] == [1.0] * 4 and parts[4] == pytest.approx(0.1) and whole.best == 0.31


def test_a_plateau_ends_with_its_updates():
    plateau = make_plateau(iterations=5)
    assert plateau.best is None and [plateau.finished(n) for n in (0, 4, 5)] == [False, False, True]


@pytest.mark.parametrize("figures", [{"AP": 0.5}, {"AP": 0.5, "AR": None}])
def test_a_figure_that_is_not_measured_is_named(figures):
    with pytest.raises(ConfigError, match="train.monitor: 'AR' is not measured; there are .'AP'."):
        make_plateau().measured(figures)


def test_without_averaging_the_newest_weights_count_alone():
    gamma = average_gamma({"averaging": False})
    assert all(gamma / (gamma + n) == 1.0 for n in (0, 1, 10**7))
    assert average_gamma({"averaging": True}) == 8
