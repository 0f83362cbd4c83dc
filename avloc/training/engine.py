"""The loop of every training: the mmengine Runner with its hooks in order of action, or the plain one."""

import errno
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import torch
from torch.utils.data import Dataset

from avloc.errors import ConfigError
from avloc.training.batches import load_batches
from avloc.training.devices import runner_trains_on
from avloc.training.objective import RunnerModel
from avloc.training.optimization import AVERAGE_MOMENTUM, Schedule, average_gamma, make_optimizer
from avloc.training.parallel import ParallelModel, n_processes, refuse_several
from avloc.training.plain import train_plainly

ONE_PROCESS = "the plain loop trains in one"


class Development(Protocol):
    """What is measured while training."""

    def measure(self, network: torch.nn.Module) -> dict[str, float]:
        """Give figures by name."""


def work_folder(work_dir: str) -> Path:
    """Make the folder and try to write there, before hours are spent on what could not be kept."""
    folder = Path(work_dir)
    try:
        if not work_dir:
            raise FileNotFoundError(errno.ENOENT, "the name is empty")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(f"--work-dir {work_dir!r}: expected a folder to write to, got: {why}") from error


@dataclass(frozen=True, slots=True)
class Training:
    """What is trained, on what, how long and where.

    Parameters
    ----------
    objective : RunnerModel
        Gives losses of a batch; ``objective.network`` is what is measured and kept.
    source : Dataset
        Batches by their number, None for the ``first`` ones, those before a resumed run, with ``families`` of
        their items.
    settings : mapping
        The key ``train`` of a configuration.
    schedule : Schedule
        Learning rates, and the end.
    folder : Path
        Gets checkpoints, ``losses.jsonl``, ``development.jsonl`` and ``families.json``.
    development : Development
        What is measured every ``evaluate_every`` updates.
    checkpoint : Path or None
        To go on from.
    device : torch.device
        Where the network is trained.
    """

    objective: RunnerModel
    source: Dataset
    settings: Mapping
    schedule: Schedule
    folder: Path
    development: Development
    checkpoint: Path | None
    device: torch.device


def run_loop(training: Training, *, plain: bool) -> tuple[torch.nn.Module, int]:
    """Train until the schedule ends; give the averaged network and the updates that it is made of.

    Parameters
    ----------
    training : Training
        All that a loop needs.
    plain : bool
        Use the loop that needs no mmengine. It is used where mmengine is not installed, too, and on a device
        that mmengine would not choose.

    Raises
    ------
    ConfigError
        If torchrun started several processes and the plain loop is used, or the checkpoint is of more updates
        than the run is long.
    """
    n_done, n_all = training.source.first, len(training.source)
    if n_done > n_all:
        raise ConfigError(
            f"{training.checkpoint.name!r} is of {n_done} updates, and the training is to end after {n_all}; "
            "make it longer"
        )
    if plain or not runner_trains_on(training.device):
        refuse_several(ONE_PROCESS)
        return train_plainly(training)
    return _train_with_runner(training)


def _train_with_runner(training: Training) -> tuple[torch.nn.Module, int]:
    """Train with mmengine's Runner, which knows its device."""
    from mmengine.hooks import EMAHook
    from mmengine.optim import OptimWrapper
    from mmengine.runner import Runner

    objective, settings, checkpoint = training.objective, training.settings, training.checkpoint
    averaging = EMAHook(
        ema_type="MomentumAnnealingEMA", momentum=AVERAGE_MOMENTUM, gamma=average_gamma(settings)
    )
    clip_norm = settings["clip_norm"]
    runner = Runner(
        model=objective if n_processes() == 1 else _parallel(objective.to(training.device)),
        work_dir=str(training.folder),
        train_dataloader=load_batches(training.source, settings, training.device),
        train_cfg={"by_epoch": False, "max_iters": settings["iterations"]},
        optim_wrapper=OptimWrapper(
            make_optimizer(objective, settings),
            clip_grad=None if clip_norm is None else {"max_norm": clip_norm},
        ),
        default_hooks={
            "logger": {"type": "LoggerHook", "interval": settings["log_every"]},
            "param_scheduler": None,  # ScheduleHook stands in its place
            "checkpoint": {
                "type": "CheckpointHook",
                "by_epoch": False,
                "interval": settings["checkpoint_every"],
                "save_param_scheduler": False,
                "max_keep_ckpts": 2,
            },
            "sampler_seed": None,  # the source has no sampler: a batch depends on its index alone
        },
        custom_hooks=_hooks(averaging, training),
        visualizer={"type": "Visualizer", "vis_backends": curves()},
        log_processor={"by_epoch": False},
        log_level="INFO",
        load_from=None if checkpoint is None else str(checkpoint),
        resume=checkpoint is not None,
        randomness={"seed": settings["seed"], "diff_rank_seed": n_processes() > 1},
        experiment_name=training.folder.name,
        cfg={},
    )
    runner.train()
    return averaging.ema_model.module.network, runner.iter


def _hooks(averaging: object, training: Training) -> list:
    from avloc.training.hooks import (
        DevelopmentHook,
        FamilyCountHook,
        LossHook,
        PlainCheckpointHook,
        ScheduleHook,
    )

    settings, schedule, folder = training.settings, training.schedule, training.folder
    return [
        ScheduleHook(schedule),
        averaging,  # its weights are what a checkpoint's state_dict holds and what is written in the end
        LossHook(interval=settings["log_every"], folder=folder),
        DevelopmentHook(
            measure=training.development.measure,
            interval=settings["evaluate_every"],
            folder=folder,
            schedule=schedule,
        ),
        FamilyCountHook(path=folder / "families.json"),
        PlainCheckpointHook(),
    ]


def _parallel(objective: RunnerModel) -> ParallelModel:
    from mmengine.registry import MODEL_WRAPPERS

    MODEL_WRAPPERS.register_module(module=ParallelModel, force=True)  # so that its hooks look inside
    return ParallelModel(objective, broadcast_buffers=False)


def curves() -> list[dict]:
    """Say where mmengine draws losses over time: JSON lines, and TensorBoard where it is installed."""
    tensorboard = [{"type": "TensorboardVisBackend"}] if find_spec("tensorboard") else []
    return [{"type": "LocalVisBackend"}, *tensorboard]
