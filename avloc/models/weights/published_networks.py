"""Read DiMoDif and AuViRe from their published checkpoints: the state dict, and the sizes that it tells.

The published files are ``{"model": ..., "optimizer": ...}``. What no shape tells (the heads of the attention,
its window, what is reconstructed from what) is that of the published configurations unless the caller says
otherwise.
"""

import os
from collections.abc import Mapping

from torch import Tensor

from avloc.errors import CheckpointError
from avloc.models.auvire import FEATURE_CHANNELS
from avloc.models.weights.torch_file import copy_tensors

MOST_TOKENS = 8192  # masks of the attention grow with their square; the published sizes have under 1200
HEADS_OF_WIDTH = {32: 2, 64: 4, 128: 4, 256: 8}  # of DiMoDif's search grid, the larger where there are two
PAIRS_OF_COUNT = {1: ["av"], 2: ["av", "va"], 3: ["av", "aa", "vv"], 4: ["av", "va", "aa", "vv"]}


def model_entries(content: Mapping) -> dict[str, object]:
    """Give the state dict of a published checkpoint, without the prefix of parallel training."""
    inner = content.get("model", content)
    if not isinstance(inner, Mapping):
        return {}
    return {str(key).removeprefix("module."): value for key, value in inner.items()}


def read_network(path: str | os.PathLike[str], content: Mapping) -> tuple[dict, dict[str, Tensor]]:
    """Read the configuration and the state dict of a DiMoDif or AuViRe checkpoint.

    Parameters
    ----------
    path : str or os.PathLike
        The file, for messages and sizes.
    content : Mapping
        What ``read_torch_file`` gave.

    Returns
    -------
    config : dict
        The ``model`` key of a configuration.
    state : dict of str to Tensor

    Raises
    ------
    CheckpointError
        If an entry that tells a size is missing, or a value is no finite tensor.
    """
    state = copy_tensors(path, model_entries(content))
    describe = _describe_auvire if is_auvire(state) else _describe_dimodif
    try:
        return describe(state), state
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(
            f"{os.fspath(path)!r}: lacks {error} or has it in another shape, so its size is not known"
        ) from error


def is_auvire(state: Mapping[str, object]) -> bool:
    """Whether a state dict is one of AuViRe."""
    return any(key.startswith("reconstruction_model.") for key in state)


def is_dimodif(state: Mapping[str, object]) -> bool:
    """Whether a state dict is one of DiMoDif."""
    return "seq_encoder.weight" in state and "sep.weight" in state


def _describe_dimodif(state: Mapping[str, Tensor]) -> dict:
    detects = "cls.weight" in state
    n_tokens, width = state["pos_encoder.weight"].shape
    if n_tokens > MOST_TOKENS:
        raise ValueError(f"at most {MOST_TOKENS} rows of pos_encoder.weight, got {n_tokens},")
    if width not in HEADS_OF_WIDTH and width % 32:
        raise KeyError(f"a width of {width} that heads divide")
    return {
        "type": "DiMoDif",
        "task": "dfd" if detects else "tfl",
        "max_length": (n_tokens - (2 if detects else 1)) // 2,
        "width": width,
        "n_heads": HEADS_OF_WIDTH.get(width, width // 32),
        "hidden": state["transformer_encoder.layers.0.linear1.weight"].shape[0],
        "n_layers": _count(state, "transformer_encoder.layers."),
        "attention_window": 15,
        "pyramid": True,
    }


def _describe_auvire(state: Mapping[str, Tensor]) -> dict:
    blocks, inside = "encoder_model.model.model.", "reconstruction_model.model."
    first = state[f"{blocks}0.conv.weight"]
    n_blocks = _count(state, blocks)
    lengths = [state[f"{blocks}{i}.norm.weight"].shape[1] for i in range(n_blocks)]
    return {
        "type": "AuViRe",
        "max_length": lengths[0],
        "width": first.shape[0],
        "kernel": first.shape[2],
        "n_outer": _count(state, f"{inside}projection_pre.projection."),
        "n_halvings": _count(state, f"{inside}encoder."),
        "n_retain": lengths.count(lengths[0]),
        "n_downsample": n_blocks - lengths.count(lengths[0]),
        "pyramid": any(".pyramid." in key for key in state),
        "pairs": PAIRS_OF_COUNT[first.shape[1] // FEATURE_CHANNELS],
        "operation": "subtraction",
    }


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Count the modules of a list, by the numbers behind ``prefix``."""
    return len({key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)})
