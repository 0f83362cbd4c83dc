"""A training step of DiMoDif and AuViRe: avloc's loops against a loop of plain PyTorch over the same network.

The plain loop is what a script would do: forward, loss, backward, Adam. Steps of the three take turns in one
process, and the smallest time of each counts; ratios are to the plain loop, 1 is as fast. Before that it is
checked that all have the same loss. Features are noise: what is measured is the step, not the reading.

    python benchmarks/bench_heads.py --output benchmarks/results/bench_heads.json
"""

import argparse
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from environment import environment
from mmengine.optim import OptimWrapper
from torch import nn

from avloc.config import load_config
from avloc.models.building import build_model
from avloc.models.dimodif import DiMoDif
from avloc.models.published_losses import auvire_loss, dimodif_loss
from avloc.training.optimization import make_optimizer
from avloc.training.plain import averaged_of, update
from avloc.training.published_features import FeatureBatch
from avloc.training.published_objective import PublishedObjective

CONFIGS = ("dimodif_lavdf", "auvire_lavdf")
SPAN = slice(100, 130)  # frames that are forged in every second row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(1)
    result = {
        "environment": environment(),
        "batch_size": options.batch_size,
        "n_steps": options.steps,
        "clock": "wall, synchronised" if device.type == "cuda" else "CPU of the process, one thread",
        "precision": "bfloat16" if device.type == "cuda" else "float32",
    }
    for name in CONFIGS:
        result[name] = compare(name, options.batch_size, options.steps, device)
    text = json.dumps(result, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


def compare(name: str, batch_size: int, n_steps: int, device: torch.device) -> dict:
    """Time the loops of one configuration."""
    config = load_config(name)
    torch.manual_seed(0)
    network = build_model(config["model"]).to(device).train()
    batch = make_batch(network, batch_size).to(device)
    steps = {
        "plain PyTorch": plain_pytorch(copy.deepcopy(network), batch, config["train"]),
        "avloc --plain": avloc_plain(copy.deepcopy(network), batch, config["train"]),
        "avloc with mmengine": avloc_runner(copy.deepcopy(network), batch, config["train"]),
    }
    firsts = {}
    for kind, step in steps.items():
        torch.manual_seed(1)  # of the dropout
        firsts[kind] = float(step())
    spread = max(firsts.values()) - min(firsts.values())
    if spread > 1e-4 * max(firsts.values()):
        raise SystemExit(f"{name}: the loops do not compute the same, losses {firsts}")
    seconds: dict[str, list[float]] = {kind: [] for kind in steps}
    for _ in range(n_steps):
        for kind, step in steps.items():
            seconds[kind].append(timed(step, device))
    smallest = {kind: min(values) for kind, values in seconds.items()}
    return {
        "n_parameters": sum(p.numel() for p in network.parameters()),
        "seconds": {kind: round(value, 4) for kind, value in smallest.items()},
        "ratio": {kind: round(value / smallest["plain PyTorch"], 3) for kind, value in smallest.items()},
        "first_loss": firsts,
    }


def make_batch(network: nn.Module, batch_size: int) -> FeatureBatch:
    """Make noise of the network's length, all of it real."""
    shape = (2, batch_size, network.feature_channels, network.max_length)
    visual, audio = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    n_points = network.max_length * (2 if isinstance(network, DiMoDif) else 1)
    targets = torch.zeros(batch_size, n_points, 3)
    frame = torch.arange(SPAN.stop - SPAN.start).float()
    span = torch.stack((torch.ones_like(frame), frame, frame.flip(0)), dim=1)
    targets[::2, SPAN] = span
    n_valid = torch.full((batch_size,), network.max_length)
    return FeatureBatch(visual, audio, n_valid, targets, 1.0, ("forged",) * batch_size)


def plain_pytorch(network: nn.Module, batch: FeatureBatch, settings: dict) -> Callable:
    """Give the step of a script."""
    optimizer = torch.optim.Adam(network.parameters(), lr=settings["learning_rate"])
    kind = batch.visual.device.type

    def step() -> torch.Tensor:
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            outputs = network(batch.visual, batch.audio, n_valid=batch.n_valid)
        if isinstance(network, DiMoDif):
            loss = dimodif_loss(outputs.logits, outputs.offsets, batch.targets)
        else:
            given = (outputs.logits, outputs.offsets, outputs.dissimilarity, batch.targets)
            loss = auvire_loss(*given, factors=network.level_factors)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def avloc_plain(network: nn.Module, batch: FeatureBatch, settings: dict) -> Callable:
    """Give the step of the loop without mmengine, averaged weights among it."""
    objective = make_objective(network, batch, settings)
    optimizer, averaged = make_optimizer(objective, settings), averaged_of(objective, settings)

    def step() -> torch.Tensor:
        losses = update(objective, optimizer, batch, settings["clip_norm"])
        averaged.update_parameters(objective)
        return sum(losses.values())

    return step


def avloc_runner(network: nn.Module, batch: FeatureBatch, settings: dict) -> Callable:
    """Give the step that mmengine's Runner calls, averaged weights among it; its other hooks are not."""
    objective = make_objective(network, batch, settings)
    wrapper, averaged = OptimWrapper(make_optimizer(objective, settings)), averaged_of(objective, settings)

    def step() -> torch.Tensor:
        loss = objective.train_step(batch, wrapper)["loss"].detach()
        averaged.update_parameters(objective)
        return loss

    return step


def make_objective(network: nn.Module, batch: FeatureBatch, settings: dict) -> PublishedObjective:
    """Give the network with its losses, in the precision of its device."""
    bfloat16 = batch.visual.device.type == "cuda"
    return PublishedObjective(network, alpha=settings["alpha"], bfloat16=bfloat16).train()


def timed(step: Callable, device: torch.device) -> float:
    """Time one call."""
    if device.type != "cuda":
        started = time.process_time()
        step()
        return time.process_time() - started
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    step()
    torch.cuda.synchronize(device)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
