"""Checkpoints of a training: plain data that loads with ``weights_only=True``, the same of both loops."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from avloc.errors import CheckpointError, ConfigError
from avloc.structures.differences import differences
from avloc.training.parallel import is_main

KEPT = 2
BEST, RUN = "best.pth", "run.json"
LOG_STATE = {"log_scalars": {}, "resumed_keys": {}}  # what mmengine asks for beside the iteration


def latest_checkpoint(folder: Path) -> Path | None:
    """Newest checkpoint of a work folder, which may have been moved since; None if there is none."""
    told = folder / "last_checkpoint"
    return folder / Path(told.read_text().strip()).name if told.is_file() else None


def starting_checkpoint(folder: Path, *, resume: bool) -> Path | None:
    """Give the checkpoint of a work folder that a training goes on from; None for one that begins.

    Raises
    ------
    CheckpointError
        If there is none to resume, or a training that does not resume would write over one.
    """
    found = latest_checkpoint(folder)
    if resume and found is None:
        raise CheckpointError(f"{str(folder)!r}: there is no checkpoint to resume; start without --resume")
    if found is not None and not resume:
        raise CheckpointError(
            f"{str(folder)!r} holds a training, {found.name}, that would be written over; go on with it with "
            "--resume, or name another --work-dir"
        )
    return found


def keep_run(folder: Path, run: Mapping[str, object], *, resume: bool) -> None:
    """Note in a work folder what decides a training, or see that a resumed one is what was noted.

    Parameters
    ----------
    folder : Path
        Gets ``run.json``, from one process of several.
    run : mapping
        Plain values, nested ones too.
    resume : bool
        Compare; otherwise note.

    Raises
    ------
    ConfigError
        If the training is another one, with every value that differs.
    CheckpointError
        If what was noted is not there or cannot be read.
    """
    path, told = folder / RUN, json.dumps(run, indent=1, sort_keys=True)
    if not resume:
        if is_main():
            part = path.with_suffix(".part")
            part.write_text(told + "\n", encoding="utf-8")
            os.replace(part, path)
        return
    try:
        noted = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{str(path)!r}: expected what the training was begun with, got {error!r}; the file belongs "
            "beside the checkpoints"
        ) from error
    if words := differences(noted, json.loads(told)):
        raise ConfigError(
            f"{str(path)!r} is of another training: {words}; resume with what it was begun with, or begin "
            "another in another --work-dir"
        )


def progress_of(checkpoint: Path | None, network: nn.Module) -> tuple[int, dict]:
    """Tell on how many batches a checkpoint was trained, and all that it says of its run.

    Raises
    ------
    CheckpointError
        If it is no checkpoint of this network.
    """
    if checkpoint is None:
        return 0, {}
    try:
        stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
        shapes = {key: tuple(value.shape) for key, value in stored["state_dict"].items()}
        first, told = int(stored["meta"]["iter"]), dict(stored["meta"])
    except (OSError, EOFError, RuntimeError, LookupError, UnpicklingError) as error:
        raise CheckpointError(
            f"{str(checkpoint)!r}: expected a checkpoint of a training, got {error!r}"
        ) from error
    expected = {f"network.{key}": tuple(value.shape) for key, value in network.state_dict().items()}
    other = sorted(key for key, shape in expected.items() if shapes.get(key) != shape)
    if other:
        raise CheckpointError(
            f"{str(checkpoint)!r}: {other[0]!r} must have shape {expected[other[0]]}, got "
            f"{shapes.get(other[0])}; resume with the configuration that the training began with"
        )
    return first, told


def save_checkpoint(
    folder: Path,
    meta: dict,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: AveragedModel,
) -> None:
    """Write ``iter_N.pth``: averaged weights in front, the newest ones beside them; old files go."""
    state = {
        "meta": meta,
        "state_dict": averaged.module.state_dict(),
        "ema_state_dict": {f"module.{key}": value for key, value in objective.state_dict().items()}
        | {"steps": averaged.n_averaged},
        "optimizer": optimizer.state_dict(),
        "message_hub": LOG_STATE | {"runtime_info": {"iter": meta["iter"]}},
    }
    path = folder / f"iter_{meta['iter']}.pth"
    _replace(path, state)
    (folder / "last_checkpoint").write_text(str(path))
    written = sorted(folder.glob("iter_*.pth"), key=lambda file: int(file.stem.removeprefix("iter_")))
    for old in written[:-KEPT]:
        old.unlink()


def _replace(path: Path, state: dict) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def save_best(folder: Path, averaged: nn.Module, figures: Mapping[str, float], *, iteration: int) -> None:
    """Write ``best.pth``: the weights that were measured, and their figures. One process of several does."""
    if is_main():
        meta = {"iter": iteration, "figures": dict(figures)}
        _replace(folder / BEST, {"meta": meta, "state_dict": averaged.state_dict()})


def restore_best(folder: Path, objective: nn.Module) -> dict:
    """Put the best weights of a run into place and give what is said of them: ``iter`` and ``figures``.

    Raises
    ------
    CheckpointError
        If they are not there or do not fit.
    """
    path = folder / BEST
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        objective.load_state_dict(stored["state_dict"])
        return stored["meta"]
    except (OSError, EOFError, RuntimeError, LookupError, UnpicklingError) as error:
        raise CheckpointError(
            f"{str(path)!r}: expected the best weights of this run, got {error!r}; the file belongs beside "
            "the checkpoints"
        ) from error


def restore_checkpoint(
    checkpoint: Path, objective: nn.Module, optimizer: torch.optim.Optimizer, averaged: AveragedModel
) -> dict:
    """Put a checkpoint of either loop back in place and give what it tells of itself."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    newest = state["ema_state_dict"]
    averaged.n_averaged.fill_(newest.pop("steps"))
    averaged.module.load_state_dict(state["state_dict"])
    objective.load_state_dict({key.removeprefix("module."): value for key, value in newest.items()})
    state["optimizer"].pop("base_param_settings", None)  # of mmengine's wrapper
    optimizer.load_state_dict(state["optimizer"])
    return state["meta"]


def write_counts(path: Path, counts: Mapping[str, int], *, n_updates: int) -> None:
    """Write how many items of each family, genuine ones too, were trained on in ``n_updates`` updates."""
    told = {"iterations": n_updates, "families": dict(sorted(counts.items()))}
    if is_main():
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
