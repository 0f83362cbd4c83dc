"""Several processes that train one network together, as torchrun starts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from avloc.errors import ConfigError
from avloc.training.objective import RunnerModel

Value = TypeVar("Value")


def n_processes() -> int:
    """Count the processes that torchrun started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def refuse_several(why: str) -> None:
    """Raise ConfigError where torchrun started several processes."""
    if n_processes() > 1:
        raise ConfigError(f"torchrun started {n_processes()} processes, but {why}; start without torchrun")


@contextmanager
def together(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started; alone nothing happens.

    Gives the device of this process: on GPUs the one of its number on its machine.

    Raises
    ------
    ConfigError
        If one GPU is named for all, or there are fewer than processes.
    """
    if n_processes() == 1:
        yield device
        return
    if device.type == "cuda":
        number = int(os.environ["LOCAL_RANK"])
        if device.index is not None or number >= torch.cuda.device_count():
            raise ConfigError(
                f"torchrun gives every process a GPU of its own: expected --device cuda and a GPU number "
                f"{number}, got --device {device} and {torch.cuda.device_count()} GPUs"
            )
        torch.cuda.set_device(number)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """Give the number of this process, 0 alone."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_main() -> bool:
    """Whether this process writes what is written once."""
    return rank() == 0


def gathered(value: Value) -> list[Value]:
    """Give the values of all processes in the order of their numbers; all must ask."""
    if not distributed.is_initialized():
        return [value]
    values: list = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


class ParallelModel(DistributedDataParallel):
    """An objective whose gradients are averaged over all processes, for mmengine's Runner."""

    train_step = RunnerModel.train_step
