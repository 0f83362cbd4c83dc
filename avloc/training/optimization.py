"""What every training loop shares: the optimizer, the course of its learning rates, and where it ends."""

import math
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic

import torch
from torch import nn

from avloc.errors import ConfigError

FIRST_RATE, LAST_RATE = 0.05, 0.02  # shares of the learning rate at the first and after the last update
# Update n counts max(momentum, gamma / (gamma + n)) in the average.
AVERAGE_MOMENTUM, AVERAGE_GAMMA = 0.002, 8
NEWEST = 10**30  # as gamma: every update counts 1, so that the average is the newest weights
ENDLESS = 10**9  # batches of a run that ends with its time


def make_optimizer(objective: nn.Module, settings: Mapping) -> torch.optim.AdamW:
    """AdamW over what may be trained, Adam where ``weight_decay`` is 0; the recogniser has its own rate."""
    recogniser, others = [], []
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            (recogniser if ".recogniser." in name else others).append(parameter)
    groups = [{"params": others}]
    if recogniser:
        groups.append({"params": recogniser, "lr": settings["learning_rate"] * settings["recogniser_rate"]})
    return torch.optim.AdamW(
        groups,
        lr=settings["learning_rate"],
        weight_decay=settings["weight_decay"],
        betas=tuple(settings["betas"]),
    )


def average_gamma(settings: Mapping) -> int:
    """Gamma of the average that is measured and kept; without ``averaging`` the newest weights are it."""
    return AVERAGE_GAMMA if settings["averaging"] else NEWEST


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

    def measured(self, figures: Mapping[str, float]) -> bool:
        """Hear of development figures; tells whether they are the best so far and to be kept for that."""
        return False

    def state(self) -> dict:
        """Give what a checkpoint keeps of it, plain values."""
        return {"elapsed_s": self.elapsed()}


class Plateau(Schedule):
    """Learning rates that fall where development figures no longer rise, and an end where that lasts.

    The rate is multiplied when more than ``patience`` measurements in a row were not above the best by one in
    ten thousand, as of ``torch.optim.lr_scheduler.ReduceLROnPlateau``.

    Parameters
    ----------
    iterations : int [updates]
        The run is not longer.
    monitor : sequence of str
        Figures whose sum is to rise.
    patience : int [measurements]
        That pass before the rate falls.
    rate_factor : float (0, 1)
        By which it falls.
    stop_after : int [measurements]
        Without a better one end the run.
    told : mapping
        What ``state`` gave, to go on from there.
    """

    THRESHOLD = 1e-4  # of ReduceLROnPlateau

    def __init__(
        self,
        *,
        iterations: int,
        monitor: Sequence[str],
        patience: int,
        rate_factor: float,
        stop_after: int,
        told: Mapping,
    ) -> None:
        super().__init__(warmup=1, iterations=iterations, used=told.get("elapsed_s", 0.0))
        self.monitor, self.patience = tuple(monitor), patience
        self.rate_factor, self.stop_after = rate_factor, stop_after
        self._course = {"best": -math.inf, "n_since": 0, "reference": -math.inf, "n_flat": 0, "n_drops": 0}
        self._course |= told.get("plateau", {})

    @property
    def best(self) -> float | None:
        """Highest sum so far; None before the first measurement."""
        return self._course["best"] if self._course["best"] > -math.inf else None

    def factor(self, update: int) -> float:
        """Share of the learning rate, the same until the next measurement."""
        return self.rate_factor ** self._course["n_drops"]

    def finished(self, updates: int) -> bool:
        """Whether the run is over after so many updates."""
        return updates >= self.iterations or self._course["n_since"] >= self.stop_after

    def check(self, figures: Mapping[str, float | None]) -> None:
        """Raise ConfigError where one of ``monitor`` is not among figures, or undefined."""
        unknown = [name for name in self.monitor if figures.get(name) is None]
        if unknown:
            defined = [name for name, value in figures.items() if value is not None]
            raise ConfigError(f"train.monitor: {unknown[0]!r} is not measured; there are {defined}")

    def measured(self, figures: Mapping[str, float]) -> bool:
        """Hear of development figures; tells whether their sum is the best so far.

        Raises
        ------
        ConfigError
            As of ``check``.
        """
        self.check(figures)
        course, value = self._course, float(sum(figures[name] for name in self.monitor))
        is_best = value > course["best"]
        course["n_since"] = 0 if is_best else course["n_since"] + 1
        course["best"] = max(value, course["best"])
        if value > course["reference"] * (1 + self.THRESHOLD):
            course["reference"], course["n_flat"] = value, 0
        else:
            course["n_flat"] += 1
        if course["n_flat"] > self.patience:
            course["n_drops"], course["n_flat"] = course["n_drops"] + 1, 0
        return is_best

    def state(self) -> dict:
        """Give what a checkpoint keeps of it, plain values."""
        return super().state() | {"plateau": dict(self._course)}


def _half_cosine(progress: float) -> float:
    falling = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return LAST_RATE + (1 - LAST_RATE) * falling
