"""Where a network is trained, and by which loop."""

import logging
from importlib.util import find_spec

import torch

from avloc.errors import ConfigError

logger = logging.getLogger(__name__)


def choose_device(name: str) -> torch.device:
    """Find the device of that name; ``"auto"`` is a GPU if there is one.

    Raises
    ------
    ConfigError
        If torch cannot use it here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    # Unknown name or no driver; a build without CUDA; a kind of device that this build has no kernels for.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"--device {name!r}: torch {torch.__version__} cannot use it on this machine: "
            f"{str(error).splitlines()[0]}; use --device cpu or another machine"
        ) from error
    return device


def runner_trains_on(device: torch.device) -> bool:
    """Tell whether mmengine is installed and its Runner would choose ``device``, as it does by itself."""
    if find_spec("mmengine") is None:
        logger.info("mmengine is not installed: the plain loop trains")
        return False
    from mmengine.device import get_device

    return str(device) == get_device()
