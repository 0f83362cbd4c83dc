"""Public checkpoints as ``torch.save`` wrote them, read without running what they may hold."""

import os
import pickle
import re
import zipfile
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from avloc.errors import CheckpointError

GLOBAL_NAME = re.compile(r"GLOBAL ([\w.]+)")  # in the message of torch


def read_torch_file(path: str | os.PathLike[str]) -> Mapping:
    """Read a checkpoint of tensors and plain containers.

    Parameters
    ----------
    path : str or os.PathLike
        Read with ``weights_only=True``: a file that holds anything else is refused and nothing in it is run.

    Returns
    -------
    Mapping
        What the file holds; tensors lie in the file until they are read.

    Raises
    ------
    CheckpointError
        If the file cannot be read that way or holds no mapping.
    """
    shown = repr(os.fspath(path))
    check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        named = GLOBAL_NAME.search(str(error))  # its first line advises to load the file all the same
        why = f"it names {named[1]}" if named else first_line(error)
        raise CheckpointError(
            f"{shown}: holds something other than tensors and was refused: {why}"
        ) from error
    except Exception as error:  # torch raises half a dozen types on garbage, up to UnicodeDecodeError
        raise CheckpointError(
            f"{shown}: is not a checkpoint that torch can read ({type(error).__name__}: {first_line(error)})"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{shown}: holds a {type(content).__name__}, expected a mapping")
    return content


def copy_tensors(path: str | os.PathLike[str], state: Mapping[str, object]) -> dict[str, Tensor]:
    """Take entries of a checkpoint into memory as float32, counters as int64.

    Raises
    ------
    CheckpointError
        If a value is no tensor of numbers, is not finite, or all together claim more than the file has.
    """
    shown = repr(os.fspath(path))
    for key, value in state.items():
        if not isinstance(value, Tensor) or not (value.is_floating_point() or value.dtype == torch.int64):
            raise CheckpointError(f"{shown}: {key!r} must be a tensor of floating-point numbers")
    # Strides of zero let a tensor of any size stand on a few bytes; real ones are no larger than the file.
    claimed = sum(value.numel() * value.element_size() for value in state.values())
    if claimed > (n_bytes := os.path.getsize(path)):
        raise CheckpointError(f"{shown}: claims {claimed} bytes of tensors, but the file has {n_bytes}")
    copied = {}
    for key, value in state.items():
        kind = torch.float32 if value.is_floating_point() else torch.int64
        copied[key] = value.to(kind, copy=True).contiguous()
        if not copied[key].isfinite().all():
            raise CheckpointError(f"{shown}: {key!r} holds NaN or infinity")
    return copied


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Load a state dict that must have exactly the entries and shapes of a network.

    Parameters
    ----------
    network : nn.Module
        Its state dict says what is expected.
    state : mapping of str to Tensor
        Under the network's own names.
    source : str
        The file, for messages.

    Raises
    ------
    CheckpointError
        If an entry is missing, too much, or of another shape.
    """
    own, told = network.state_dict(), f"{source!r}: {type(network).__name__}"
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing:
        raise CheckpointError(
            f"{told} has {len(own)} entries, of which {len(missing)} are missing, first {missing[0]!r}"
        )
    if unexpected:
        raise CheckpointError(f"{told} has no place for {len(unexpected)} entries, first {unexpected[0]!r}")
    for key, value in own.items():
        if state[key].shape != value.shape:
            expected, got = tuple(value.shape), tuple(state[key].shape)
            raise CheckpointError(f"{told}: {key!r} must have shape {expected}, got {got}")
    network.load_state_dict(state, strict=True)


def check_archive(path: str | os.PathLike[str]) -> None:
    """Refuse a file that is no zip archive, or would grow when it is unpacked."""
    shown = repr(os.fspath(path))
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [entry.filename for entry in archive.infolist() if entry.file_size > entry.compress_size]
    except OSError as error:
        raise CheckpointError(f"{shown}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # zipfile raises BadZipFile, but also struct.error and others, on garbage
        raise CheckpointError(
            f"{shown}: is not a zip archive as torch.save writes it ({first_line(error)})"
        ) from error
    if packed:
        raise CheckpointError(f"{shown}: its entry {packed[0]!r} is compressed, which torch.save never does")


def first_line(error: Exception) -> str:
    """Give the beginning of a message, for another one."""
    return (str(error).splitlines() or [""])[0][:200]
