"""What every training loop shares: the optimizer, the course of its learning rates, and where it ends."""

import math
from collections.abc import Iterable, Mapping
from time import monotonic

import torch
from torch import nn

FIRST_RATE, LAST_RATE = 0.05, 0.02  # shares of the learning rate at the first and after the last update
# Update n counts max(momentum, gamma / (gamma + n)) in the average.
AVERAGE_MOMENTUM, AVERAGE_GAMMA = 0.002, 8
ENDLESS = 10**9  # batches of a run that ends with its time


def make_optimizer(objective: nn.Module, settings: Mapping) -> torch.optim.AdamW:
    """AdamW over what may be trained; the recogniser has a learning rate of its own."""
    recogniser, others = [], []
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            (recogniser if ".recogniser." in name else others).append(parameter)
    groups = [{"params": others}]
    if recogniser:
        groups.append({"params": recogniser, "lr": settings["learning_rate"] * settings["recogniser_rate"]})
    return torch.optim.AdamW(
        groups, lr=settings["learning_rate"], weight_decay=settings["weight_decay"], betas=(0.9, 0.98)
    )


class Schedule:
    """Learning rates by update: a linear warm-up and a half cosine, over updates or over a time.

    Parameters
    ----------
    warmup : int [updates]
        Length of the warm-up.
    iterations : int [updates]
        Length of the run.
    seconds : float [s] or None
        The run lasts so long instead, all its sessions together, however many updates that makes.
    used : float [s]
        What earlier sessions took of it.
    """

    def __init__(
        self, *, warmup: int, iterations: int, seconds: float | None = None, used: float = 0.0
    ) -> None:
        self.warmup, self.iterations, self.seconds = warmup, iterations, seconds
        self._started = monotonic() - used

    def elapsed(self) -> float:
        """Seconds since the run began, without the pauses between its sessions."""
        return monotonic() - self._started

    def factor(self, update: int) -> float:
        """Share of the learning rate at an update; the first one is 0."""
        rising = FIRST_RATE + (1 - FIRST_RATE) * min(1.0, update / max(self.warmup - 1, 1))
        if self.seconds is not None:
            return rising * _half_cosine(self.elapsed() / self.seconds)
        if update < self.warmup:
            return rising
        return _half_cosine((update - self.warmup) / (self.iterations - self.warmup))

    def set_rates(self, groups: Iterable[dict], update: int) -> None:
        """Set the learning rate of an optimizer's groups for an update."""
        factor = self.factor(update)
        for group in groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def finished(self, updates: int) -> bool:
        """Whether the run is over after so many updates."""
        if self.seconds is not None:
            return self.elapsed() >= self.seconds
        return updates >= self.iterations


def _half_cosine(progress: float) -> float:
    falling = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return LAST_RATE + (1 - LAST_RATE) * falling
