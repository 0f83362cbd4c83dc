"""Read Whisper's encoder from OpenAI's own form: a ``.pt`` with ``dims`` and ``model_state_dict``."""

import os
import pickle
import zipfile
from collections.abc import Mapping

import torch
from torch import Tensor

from avloc.errors import CheckpointError


def read_whisper_openai(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the encoder of a Whisper checkpoint in OpenAI's form.

    Parameters
    ----------
    path : str or os.PathLike
        ``tiny.pt`` and the like. Read with ``weights_only=True``: a file that holds anything but tensors and
        plain containers is refused and nothing in it is run.

    Returns
    -------
    dict of str to Tensor [float32]
        The encoder's entries under their published names, ``encoder.conv1.weight`` and so on.

    Raises
    ------
    CheckpointError
        If the file cannot be read that way or has no encoder.
    """
    shown = repr(os.fspath(path))
    n_bytes = _check_archive(path, shown)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{shown}: holds something other than tensors and was refused: {_first_line(error)}"
        ) from error
    except Exception as error:  # torch raises half a dozen types on garbage, up to UnicodeDecodeError
        raise CheckpointError(
            f"{shown}: is not a checkpoint that torch can read ({type(error).__name__}: {_first_line(error)})"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{shown}: holds a {type(content).__name__}, expected a mapping with 'model_state_dict'"
        )
    state = content.get("model_state_dict", content)
    encoder = (
        {key: value for key, value in state.items() if isinstance(key, str) and key.startswith("encoder.")}
        if isinstance(state, Mapping)
        else {}
    )
    if not encoder:
        keys = sorted(map(str, content))[:5]
        raise CheckpointError(
            f"{shown}: has no entries 'encoder.*' in 'model_state_dict'; its keys begin {keys}"
        )
    for key, value in encoder.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise CheckpointError(f"{shown}: {key!r} must be a tensor of floating-point numbers")
    # Strides of zero let a tensor of any size stand on a few bytes; real ones are no larger than the file.
    claimed = sum(value.numel() * value.element_size() for value in encoder.values())
    if claimed > n_bytes:
        raise CheckpointError(f"{shown}: claims {claimed} bytes of tensors, but the file has {n_bytes}")
    state = {key: value.to(torch.float32, copy=True).contiguous() for key, value in encoder.items()}
    for key, value in state.items():
        if not value.isfinite().all():
            raise CheckpointError(f"{shown}: {key!r} holds NaN or infinity")
    return state


def _check_archive(path: str | os.PathLike[str], shown: str) -> int:
    """Return the file's size in bytes; refuse what is no zip archive or would grow when it is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [entry.filename for entry in archive.infolist() if entry.file_size > entry.compress_size]
        n_bytes = os.path.getsize(path)
    except OSError as error:
        raise CheckpointError(f"{shown}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # zipfile raises BadZipFile, but also struct.error and others, on garbage
        raise CheckpointError(
            f"{shown}: is not a zip archive as torch.save writes it ({_first_line(error)})"
        ) from error
    if packed:
        raise CheckpointError(f"{shown}: its entry {packed[0]!r} is compressed, which torch.save never does")
    return n_bytes


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]
