"""What is told while a network learns: JSON lines of losses and development figures, and their curves."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from avloc.training.checkpoints import save_best
from avloc.training.curves import draw_curves
from avloc.training.optimization import Schedule
from avloc.training.parallel import is_main

LOSSES, DEVELOPMENT = "losses.jsonl", "development.jsonl"
PANELS = {LOSSES: "losses of an update", DEVELOPMENT: "development figures"}

logger = logging.getLogger(__name__)


def record_losses(folder: Path, losses: Mapping[str, torch.Tensor], *, iteration: int, rate: float) -> None:
    """Append the losses of one update, by name, and its learning rate to ``losses.jsonl``.

    Of several processes the first one tells its part.
    """
    told = {name: float(value.detach()) for name, value in losses.items() if name != "loss"}
    _append(folder / LOSSES, {"iteration": iteration, "rate": rate, "loss": sum(told.values()), **told})


def record_development(
    measure: Callable[[nn.Module], dict],
    averaged: nn.Module,
    *,
    iteration: int,
    folder: Path,
    schedule: Schedule,
) -> None:
    """Measure the network of an objective and append a line with the iteration to ``development.jsonl``.

    ``curves.png`` is drawn anew of all that was told so far.
    Where the schedule says that the figures are the best so far, the weights are kept as ``best.pth``.
    """
    was_training = averaged.training
    averaged.eval()
    with torch.inference_mode():
        figures = measure(averaged.network)
    averaged.train(was_training)
    line = _append(folder / DEVELOPMENT, {"iteration": iteration, **figures})
    logger.info("development %s", line)
    if schedule.measured(figures):
        save_best(folder, averaged, figures, iteration=iteration)
    if is_main():
        draw_curves(folder, PANELS)


def _append(path: Path, row: Mapping[str, float | None]) -> str:
    # What cannot be told, as an AUC of genuine items alone, is null: NaN is no JSON.
    known = {k: None if v is None or not math.isfinite(v) else v for k, v in row.items()}
    line = json.dumps(known, allow_nan=False)
    if is_main():
        with path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
    return line
