"""read_whisper(): Whisper's encoder from any file that people have of it, told apart by its first bytes."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors
from torch import Tensor

from avloc.errors import CheckpointError
from avloc.models.weights.locate import find_weights
from avloc.models.weights.whisper_ctranslate2 import read_whisper_ctranslate2
from avloc.models.weights.whisper_huggingface import read_whisper_huggingface
from avloc.models.weights.whisper_openai import read_whisper_openai

HEAD_WIDTH = 64  # of every published size
IN_FOLDER = ("model.bin", "model.safetensors")  # CTranslate2's, Hugging Face's
READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    "openai": read_whisper_openai,
    "ctranslate2": read_whisper_ctranslate2,
    "huggingface": read_whisper_huggingface,
}


def read_whisper(name_or_path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the encoder of a Whisper model, whoever wrote the file.

    Parameters
    ----------
    name_or_path : str or os.PathLike
        OpenAI's ``.pt``, CTranslate2's ``model.bin``, Hugging Face's ``model.safetensors``, a folder that
        holds one of the last two, or weights that ``avloc weights import`` made of one of them, by name or
        path.

    Returns
    -------
    dict of str to Tensor [float32]
        The encoder's entries under OpenAI's names, ``encoder.conv1.weight`` and so on.

    Raises
    ------
    CheckpointError
        If it is none of these, or as of the reader of its form.
    """
    path = Path(name_or_path)
    path = path if path.exists() else find_weights(name_or_path)
    path = whisper_file(path)
    form = whisper_form(path)
    if form == "avloc":
        return _read_imported(path)
    if form is None:
        raise CheckpointError(
            f"{str(path)!r}: is no file of Whisper: neither OpenAI's .pt, nor CTranslate2's model.bin, nor "
            "Hugging Face's model.safetensors"
        )
    return READERS[form](path)


def whisper_file(path: str | os.PathLike[str]) -> Path:
    """Give the only file of ``IN_FOLDER`` in a folder, else the path itself; or a CheckpointError."""
    path = Path(path)
    if not path.is_dir():
        return path
    found = [path / name for name in IN_FOLDER if (path / name).is_file()]
    if len(found) != 1:
        held = " and ".join(inner.name for inner in found) or "neither"
        raise CheckpointError(
            f"{str(path)!r}: expected a file, or a folder with one of {IN_FOLDER}, which holds {held}; give "
            "the file"
        )
    return found[0]


def whisper_form(path: str | os.PathLike[str]) -> str | None:
    """Tell by its first bytes which form a file may be of: a key of ``READERS``, ``"avloc"``, or None.

    Raises
    ------
    CheckpointError
        If it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            beginning = file.read(9)
    except OSError as error:
        raise CheckpointError(f"{os.fspath(path)!r}: cannot be read: {error.strerror or error}") from error
    if beginning[:2] in (b"PK", b"\x80\x02"):
        return "openai"
    if beginning[8:] == b"{":  # behind the length of the header
        return "avloc" if _has_card(path) else "huggingface"
    # A version below 256, as every CTranslate2 file has; its reader says which of them are known.
    return "ctranslate2" if len(beginning) == 9 and beginning[0] and beginning[1:4] == bytes(3) else None


def is_whisper(entries: Mapping[str, object]) -> bool:
    """Whether the state dict of a file by OpenAI is one of Whisper."""
    return "encoder.conv1.weight" in entries and "encoder.ln_post.weight" in entries


def describe_whisper(state: Mapping[str, Tensor]) -> dict:
    """Read the ``model`` key of a configuration off what ``read_whisper`` gave; heads are 64 wide.

    Raises
    ------
    KeyError
        If an entry that tells a size is missing.
    """
    width, n_mels = state["encoder.conv1.weight"].shape[:2]
    blocks = {found[1] for key in state if (found := re.match(r"encoder\.blocks\.(\d+)\.", key))}
    return {
        "type": "WhisperEncoder",
        "width": width,
        "n_layers": len(blocks),
        "n_heads": max(1, width // HEAD_WIDTH),
        "n_mels": n_mels,
        "final_norm": True,
    }


def without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the entries under the names of ``WhisperEncoder``, which makes the table of positions itself."""
    plain = {key.removeprefix("encoder."): value for key, value in state.items()}
    plain.pop("positional_embedding", None)
    return plain


def _has_card(path: str | os.PathLike[str]) -> bool:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return "card" in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        return False  # the reader says what is wrong with it


def _read_imported(path: Path) -> dict[str, Tensor]:
    from avloc.models.weights.store import load_weights  # which builds networks, and they read this

    network, card, _ = load_weights(path)
    if card.network != "WhisperEncoder":
        raise CheckpointError(f"{str(path)!r}: holds a {card.network}, expected Whisper's encoder")
    return {f"encoder.{key}": value for key, value in network.state_dict().items()}
