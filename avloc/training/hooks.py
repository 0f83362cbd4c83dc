"""Hooks of the Runner: plain checkpoints, the schedule, and figures on development items while training."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from avloc.training.checkpoints import LOG_STATE, write_counts
from avloc.training.optimization import Schedule
from avloc.training.records import record_development, record_losses


def _plain(value: object) -> object:
    """Make numbers, text and tensors of numpy objects and classes."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return (
            [_plain(entry) for entry in value] if isinstance(value, list) else tuple(_plain(v) for v in value)
        )
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    return value


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Last before a checkpoint is written: whatever ``weights_only=True`` would refuse becomes plain data."""

    priority = "LOWEST"

    def before_save_checkpoint(self, runner: object, checkpoint: dict) -> None:
        """Replace the message hub's history buffers; numbers and state dicts lose their numpy types."""
        checkpoint["message_hub"] = LOG_STATE | {"runtime_info": {"iter": runner.iter}}
        for key in ("meta", "optimizer", "param_schedulers"):
            if key in checkpoint:
                checkpoint[key] = _plain(checkpoint[key])


@HOOKS.register_module()
class FamilyCountHook(Hook):
    """Count the families of the items that were trained on, and write them at the end.

    The counts come from the batches, not from the configuration, and are kept in checkpoints: those of a
    resumed run are of all updates that its weights have seen.

    Parameters
    ----------
    path : Path
        File to write: ``iterations`` and ``families``, the number of items by name, genuine ones too.
    """

    priority = "NORMAL"

    def __init__(self, *, path: Path) -> None:
        self.path, self.counts = path, Counter()

    def after_load_checkpoint(self, runner: object, checkpoint: dict) -> None:
        """Go on from the counts of the checkpoint."""
        self.counts = Counter(checkpoint["meta"].get("families", {}))

    def after_train_iter(
        self, runner: object, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        """Count the items of a batch."""
        self.counts.update(data_batch.families)

    def before_save_checkpoint(self, runner: object, checkpoint: dict) -> None:
        """Keep the counts beside the weights."""
        checkpoint["meta"]["families"] = dict(self.counts)

    def after_train(self, runner: object) -> None:
        """Write the counts."""
        write_counts(self.path, self.counts, n_updates=runner.iter)


@HOOKS.register_module()
class DevelopmentHook(Hook):
    """Measure on development items every ``interval`` iterations, as of ``record_development``.

    Parameters
    ----------
    measure : callable
        ``network -> dict`` of figures.
    interval : int
        Iterations between two measurements.
    folder : Path
        Gets the lines, and the best weights.
    schedule : Schedule
        Hears of the figures, and may end the run for them.
    """

    priority = "LOW"

    def __init__(
        self,
        *,
        measure: Callable[[torch.nn.Module], dict],
        interval: int,
        folder: Path,
        schedule: Schedule,
    ) -> None:
        self.measure, self.interval, self.folder, self.schedule = measure, interval, folder, schedule

    def after_train_iter(
        self, runner: object, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        """Measure with the averaged weights where the run keeps them."""
        if not self.every_n_train_iters(runner, self.interval) and not self.is_last_train_iter(runner):
            return
        averaged = next(
            (hook.ema_model.module for hook in runner.hooks if hasattr(hook, "ema_model")), runner.model
        )
        record_development(
            self.measure, averaged, iteration=runner.iter + 1, folder=self.folder, schedule=self.schedule
        )
        end_if_finished(runner, self.schedule, runner.iter + 1)


@HOOKS.register_module()
class LossHook(Hook):
    """Append the losses of every ``interval``-th update to ``losses.jsonl`` in ``folder``."""

    priority = "LOW"

    def __init__(self, *, interval: int, folder: Path) -> None:
        self.interval, self.folder = interval, folder

    def after_train_iter(
        self, runner: object, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        """Write a line."""
        if self.every_n_train_iters(runner, self.interval):
            rate = runner.optim_wrapper.param_groups[0]["lr"]
            record_losses(self.folder, outputs, iteration=runner.iter + 1, rate=rate)


@HOOKS.register_module()
class ScheduleHook(Hook):
    """First of all hooks: learning rates by the schedule, and an end where its time is over.

    Parameters
    ----------
    schedule : Schedule
        The one that the plain loop follows too.
    """

    priority = "VERY_HIGH"

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def before_train(self, runner: object) -> None:
        """Train no further what is finished."""
        end_if_finished(runner, self.schedule, runner.iter)

    def before_train_iter(self, runner: object, batch_idx: int, data_batch: object = None) -> None:
        """Set the learning rates of this update."""
        self.schedule.set_rates(runner.optim_wrapper.param_groups, runner.iter)

    def after_train_iter(
        self, runner: object, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        """Make this iteration the last one, for the hooks that come after this one too."""
        end_if_finished(runner, self.schedule, runner.iter + 1)

    def before_save_checkpoint(self, runner: object, checkpoint: dict) -> None:
        """Keep how far the schedule is, the time that is used up among it."""
        checkpoint["meta"] |= self.schedule.state()


def end_if_finished(runner: object, schedule: Schedule, n_updates: int) -> None:
    """Make this iteration the last one where the schedule is over after it."""
    if schedule.finished(n_updates):
        runner.train_loop._max_iters = n_updates  # its stop_training would skip the last checkpoint
