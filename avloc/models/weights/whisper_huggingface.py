"""Read Whisper's encoder from Hugging Face's form: ``model.safetensors`` with the names of transformers."""

import os
import re
from pathlib import Path

import safetensors
import torch
from torch import Tensor

from avloc.errors import CheckpointError

PREFIX = re.compile(r"^(?:model\.)?encoder\.")
NAMES = {
    "embed_positions.weight": "positional_embedding",
    "layer_norm.weight": "ln_post.weight",
    "layer_norm.bias": "ln_post.bias",
}
IN_LAYER = {
    "self_attn.q_proj": "attn.query",
    "self_attn.k_proj": "attn.key",
    "self_attn.v_proj": "attn.value",
    "self_attn.out_proj": "attn.out",
    "self_attn_layer_norm": "attn_ln",
    "final_layer_norm": "mlp_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
}


def read_whisper_huggingface(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the encoder of a Whisper model in Hugging Face's form, as ``read_whisper`` gives it.

    Parameters
    ----------
    path : str or os.PathLike
        ``model.safetensors``, or the folder that holds it. Entries of the decoder are not read.

    Raises
    ------
    CheckpointError
        If the file is no safetensors, has no encoder or an entry that no encoder has, or holds NaN or
        infinity.
    """
    path = Path(path)
    path = path / "model.safetensors" if path.is_dir() else path
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            found = {key: PREFIX.sub("", key) for key in file.keys() if PREFIX.match(key)}  # noqa: SIM118
            if not found:
                first = sorted(file.keys())[:5]
                raise CheckpointError(
                    f"{str(path)!r}: has no entries 'model.encoder.*' of a Whisper model; they begin {first}"
                )
            state = {_openai_name(path, key): file.get_tensor(full) for full, key in found.items()}
    except (safetensors.SafetensorError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{str(path)!r}: is not a safetensors file: {why}") from error
    for key, value in state.items():
        if not value.is_floating_point() or not value.isfinite().all():
            raise CheckpointError(f"{str(path)!r}: {key!r} must hold finite floating-point numbers")
    return {key: value.to(torch.float32) for key, value in state.items()}


def _openai_name(path: Path, key: str) -> str:
    if key in NAMES:
        return f"encoder.{NAMES[key]}"
    if re.fullmatch(r"conv[12]\.(weight|bias)", key):
        return f"encoder.{key}"
    found = re.fullmatch(r"layers\.(\d+)\.(.+)\.(weight|bias)", key)
    if found is None or found[2] not in IN_LAYER:
        raise CheckpointError(f"{str(path)!r}: Whisper's encoder has no entry {key!r}")
    return f"encoder.blocks.{found[1]}.{IN_LAYER[found[2]]}.{found[3]}"
