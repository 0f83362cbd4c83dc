"""Read Whisper's encoder from OpenAI's own form: a ``.pt`` with ``dims`` and ``model_state_dict``."""

import os
from collections.abc import Mapping

from torch import Tensor

from avloc.errors import CheckpointError
from avloc.models.weights.torch_file import copy_tensors, read_torch_file


def read_whisper_openai(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the encoder of a Whisper checkpoint in OpenAI's form, as ``read_whisper`` gives it.

    Parameters
    ----------
    path : str or os.PathLike
        ``tiny.pt`` and the like. Read with ``weights_only=True``: a file that holds anything but tensors and
        plain containers is refused and nothing in it is run.

    Raises
    ------
    CheckpointError
        If the file cannot be read that way or has no encoder.
    """
    content = read_torch_file(path)
    state = content.get("model_state_dict", content)
    encoder = (
        {key: value for key, value in state.items() if isinstance(key, str) and key.startswith("encoder.")}
        if isinstance(state, Mapping)
        else {}
    )
    if not encoder:
        keys = sorted(map(str, content))[:5]
        raise CheckpointError(
            f"{os.fspath(path)!r}: has no entries 'encoder.*' in 'model_state_dict'; its keys begin {keys}"
        )
    return copy_tensors(path, encoder)
