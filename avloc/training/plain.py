"""The training loop without mmengine: the same updates, files and checkpoints as the Runner's."""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from avloc.training.batches import load_batches
from avloc.training.checkpoints import restore_checkpoint, save_checkpoint, write_counts
from avloc.training.objective import Batch, RunnerModel
from avloc.training.optimization import AVERAGE_MOMENTUM, Schedule, average_gamma, make_optimizer
from avloc.training.records import record_development, record_losses

if TYPE_CHECKING:
    from avloc.training.engine import Training

logger = logging.getLogger(__name__)


def train_plainly(training: "Training") -> tuple[nn.Module, int]:
    """Train until the schedule ends.

    Returns
    -------
    nn.Module
        The averaged network.
    int
        Updates that it is made of, those of earlier sessions too.
    """
    objective, settings, schedule = training.objective, training.settings, training.schedule
    torch.manual_seed(settings["seed"])
    objective.to(training.device).train()
    optimizer = make_optimizer(objective, settings)
    averaged = averaged_of(objective, settings)
    n_updates, counts = 0, Counter()
    if training.checkpoint is not None:
        told = restore_checkpoint(training.checkpoint, objective, optimizer, averaged)
        n_updates, counts = int(told["iter"]), Counter(told.get("families", {}))
    finished, began = schedule.finished(n_updates), time.monotonic()
    batches = () if finished else load_batches(training.source, settings, training.device, first=n_updates)
    for batch in batches:
        schedule.set_rates(optimizer.param_groups, n_updates)
        losses = update(objective, optimizer, batch.to(training.device), settings["clip_norm"])
        averaged.update_parameters(objective)
        n_updates += 1
        counts.update(batch.families)
        finished = schedule.finished(n_updates)
        if n_updates % settings["log_every"] == 0:
            took = (time.monotonic() - began) / settings["log_every"]
            _log(n_updates, losses, optimizer.param_groups[0]["lr"], took, schedule)
            record_losses(training.folder, losses, iteration=n_updates, rate=optimizer.param_groups[0]["lr"])
            began = time.monotonic()
        if n_updates % settings["evaluate_every"] == 0 or finished:
            given = {"iteration": n_updates, "folder": training.folder, "schedule": schedule}
            record_development(training.development.measure, averaged.module, **given)
            finished = finished or schedule.finished(n_updates)
        if n_updates % settings["checkpoint_every"] == 0 or finished:
            meta = {"iter": n_updates, "epoch": 0, "seed": settings["seed"], "families": dict(counts)}
            meta |= schedule.state()
            save_checkpoint(training.folder, meta, objective, optimizer, averaged)
        if finished:
            break
    write_counts(training.folder / "families.json", counts, n_updates=n_updates)
    return averaged.module.network, n_updates


def averaged_of(objective: RunnerModel, settings: Mapping) -> AveragedModel:
    """Make the average of an objective that its updates go into."""
    return AveragedModel(objective, multi_avg_fn=partial(_average, gamma=average_gamma(settings)))


def update(
    objective: RunnerModel, optimizer: torch.optim.Optimizer, batch: Batch, clip_norm: float | None
) -> dict[str, Tensor]:
    """Do one update with the sum of the losses that ``objective`` gives of ``batch``, and give them."""
    losses = objective(batch)
    optimizer.zero_grad()
    sum(losses.values()).backward()
    trained = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(trained, max_norm=clip_norm)
    optimizer.step()
    return {name: value.detach() for name, value in losses.items()}


def _average(averaged: list[Tensor], newest: list[Tensor], n_averaged: Tensor | int, *, gamma: int) -> None:
    weight = max(AVERAGE_MOMENTUM, gamma / (gamma + int(n_averaged)))
    torch._foreach_lerp_(averaged, newest, weight)


def _log(n_updates: int, losses: Mapping[str, Tensor], rate: float, took: float, schedule: Schedule) -> None:
    of = f"{schedule.iterations}" if schedule.seconds is None else f"{schedule.seconds:.0f} s"
    done = f"{n_updates}" if schedule.seconds is None else f"{n_updates}, {schedule.elapsed():.0f}"
    terms = "  ".join(f"{name}: {float(value):.4f}" for name, value in losses.items())
    total = float(sum(losses.values()))
    logger.info("[%s/%s] lr: %.3e  time: %.3f  loss: %.4f  %s", done, of, rate, took, total, terms)
