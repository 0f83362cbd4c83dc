"""Weights files of avloc: safetensors with the complete configuration and the card inside.

A weights file is data from outside. It is read without pickle, and its configuration is JSON with registered
names. The network is first built without memory and compared with the file, so that no size which the file
only claims is ever allocated. A file that does not fit exactly is refused.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import safetensors
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from avloc.errors import AvlocError, CheckpointError
from avloc.models.weights.card import Card
from avloc.models.weights.locate import find_weights
from avloc.registry import with_names

CONFIG_KEYS = ("model", "decoding", "train")
DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.int64: "I64", torch.bool: "BOOL"}
MAX_TEXT = 1_000_000  # characters of the configuration or the card
MAX_SIZE = 16_384  # largest number in a model's configuration; real ones stay below 4,096
# What a constructor says to values that make no sense; in a weights file all of them come from outside.
BUILD_ERRORS = (AvlocError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def save_weights(
    path: str | os.PathLike[str],
    network: nn.Module,
    *,
    config: Mapping,
    card: Card | Mapping,
    exact: bool = False,
) -> str:
    """Write a weights file. The same values give the same bytes.

    Parameters
    ----------
    path : str or os.PathLike
        Where to write; an existing file is replaced in one step.
    network : nn.Module
        Built from ``config["model"]``. Matrices are stored as float16; vectors (biases, norms, running
        statistics), which are few and may be large or tiny, keep float32.
    config : Mapping
        The complete configuration, keys ``model``, ``decoding``, ``train``.
    card : Card or Mapping
        The card, or its plain values.
    exact : bool
        Keep float32 in matrices too: imported weights must give what was published.

    Returns
    -------
    str
        SHA-256 of the file, in hexadecimal.

    Raises
    ------
    CheckpointError
        If an entry holds NaN, infinity or a value beyond float16, or the card does not fit.
    ConfigError
        If the configuration holds a class that is not registered.
    """
    card = card if isinstance(card, Card) else Card.from_dict(card)
    metadata = {
        "card": json.dumps(card.to_dict(), sort_keys=True, allow_nan=False),
        "config": json.dumps(with_names(config), sort_keys=True, allow_nan=False),
    }
    tensors = {key: _stored(key, value, path, exact=exact) for key, value in network.state_dict().items()}
    target, digest = Path(path), hashlib.sha256()
    partial = target.with_name(target.name + ".partial")
    with partial.open("wb") as file:
        for part in _serialise(tensors, metadata):
            digest.update(part)
            file.write(part)
    os.replace(partial, target)
    return digest.hexdigest()


def load_weights(name_or_path: str | os.PathLike[str] = "default") -> tuple[nn.Module, Card, str]:
    """Load a weights file.

    Parameters
    ----------
    name_or_path : str or os.PathLike
        ``"default"`` (the weights that ship with avloc), the name of a file in ``$AVLOC_HOME/weights``, or a
        path.

    Returns
    -------
    network : nn.Module
        In evaluation mode, float32.
    card : Card
        What the file says about itself.
    sha256 : str
        Of the file, in hexadecimal.

    Raises
    ------
    CheckpointError
        If there is no such file, it is not a weights file of avloc, or anything in it does not fit the
        network.
    """
    path = find_weights(name_or_path)
    config, card = read_header(path)
    expected = _build(path, config, device="meta").state_dict()
    state = _read_tensors(path, expected)
    network = _build(path, config, device="cpu")
    network.load_state_dict(state)
    return network.float().eval(), card, file_sha256(path)


def read_header(name_or_path: str | os.PathLike[str]) -> tuple[dict, Card]:
    """Read the configuration and the card of a weights file, without its tensors.

    Returns
    -------
    config : dict [keys ``model``, ``decoding``, ``train``]
        Plain values with registered names.
    card : Card
        What the file says about itself.

    Raises
    ------
    CheckpointError
        As ``load_weights``.
    """
    path = find_weights(name_or_path)
    with _opened(path) as file:
        metadata = file.metadata() or {}
    for key in ("config", "card"):
        if key not in metadata:
            raise _refusal(path, f"has no {key!r} in its metadata; it is no weights file of avloc")
    config = _json(path, metadata, "config")
    unknown = sorted(config.keys() - set(CONFIG_KEYS))
    if unknown or not all(isinstance(value, dict) for value in config.values()) or not config.get("model"):
        got = sorted(config)
        raise _refusal(path, f"its configuration must have the mappings {CONFIG_KEYS}, got {got}")
    card = _json(path, metadata, "card")
    try:
        return {key: config.get(key, {}) for key in CONFIG_KEYS}, Card.from_dict(card)
    except CheckpointError as error:
        raise _refusal(path, f"{error}") from error


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refusal(path: str | os.PathLike[str], message: str) -> CheckpointError:
    return CheckpointError(f"{os.fspath(path)!r}: {message}")


def _stored(key: str, value: Tensor, path: str | os.PathLike[str], *, exact: bool) -> Tensor:
    value = value.detach().cpu().contiguous()
    if value.dtype in (torch.int64, torch.bool):
        return value
    if not value.is_floating_point():
        raise _refusal(path, f"{key!r} is {value.dtype}; stored are floats, int64 and bool")
    is_vector = sum(size > 1 for size in value.shape) <= 1
    stored = value.to(torch.float32 if is_vector or exact else torch.float16)
    if not stored.isfinite().all():
        raise _refusal(path, f"{key!r} holds NaN, infinity or a value beyond float16")
    return stored


def _serialise(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[bytes]:
    """Lay a safetensors file out in parts. The library's own writer puts the metadata in random order."""
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    offset = 0
    # The widest types first, so that every entry starts at a multiple of its size.
    keys = sorted(tensors, key=lambda k: (-tensors[k].element_size(), k))
    for key in keys:
        value = tensors[key]
        n_bytes = value.numel() * value.element_size()
        header[key] = {
            "dtype": DTYPES[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [offset, offset + n_bytes],
        }
        offset += n_bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for key in keys:
        yield tensors[key].numpy().tobytes()


def _opened(path: Path) -> safetensors.safe_open:
    try:
        with path.open("rb") as file:
            magic = file.read(2)
    except OSError as error:
        raise _refusal(path, f"cannot be read: {error.strerror or error}") from error
    if magic in (b"PK", b"\x80\x02"):
        raise _refusal(
            path, "is a checkpoint of torch.save, which may hold a pickle that runs code; give safetensors"
        )
    try:
        return safetensors.safe_open(path, framework="pt")
    except (safetensors.SafetensorError, OSError) as error:
        raise _refusal(path, f"is not a safetensors file: {error}") from error


def _json(path: Path, metadata: Mapping[str, str], key: str) -> dict:
    text = metadata[key]
    try:
        if len(text) > MAX_TEXT:
            raise ValueError(f"it has {len(text)} characters, at most {MAX_TEXT} are read")
        value = json.loads(text, parse_constant=_refuse_constant)
        if not isinstance(value, dict):
            raise ValueError(f"it is a {type(value).__name__}, expected a mapping")
    except (ValueError, RecursionError) as error:
        raise _refusal(path, f"its {key} is not JSON of avloc: {error}") from error
    return value


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _build(path: Path, config: Mapping, *, device: str) -> nn.Module:
    # Imported here: it brings every encoder along, which reading a header never needs.
    from avloc.models.building import build_model

    largest = max(_numbers(config["model"]), default=0)
    if largest > MAX_SIZE:
        raise _refusal(path, f"its model has a size of {largest}; at most {MAX_SIZE} is built")
    try:
        with torch.device(device), _WithoutInitialisation():
            return build_model(config["model"])
    except BUILD_ERRORS as error:
        raise _refusal(path, f"its configuration does not build a network: {error}") from error


class _WithoutInitialisation(TorchFunctionMode):
    """Leave new parameters as they are: random numbers that the file replaces cost more than reading it."""

    def __torch_function__(
        self, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
        return func(*args, **(kwargs or {}))


def _numbers(value: object) -> list[float]:
    if isinstance(value, Mapping):
        return [number for inner in value.values() for number in _numbers(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in _numbers(inner)]
    return [abs(value)] if isinstance(value, int | float) else []


def _read_tensors(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    with _opened(path) as file:
        stored = set(file.keys())
        missing, unexpected = sorted(expected.keys() - stored), sorted(stored - expected.keys())
        if missing:
            raise _refusal(path, f"lacks {len(missing)} of the network's entries, first {missing[0]!r}")
        if unexpected:
            raise _refusal(path, f"has {len(unexpected)} entries too many, first {unexpected[0]!r}")
        for key, value in expected.items():
            entry = file.get_slice(key)
            shape, dtype = tuple(entry.get_shape()), entry.get_dtype()
            if shape != tuple(value.shape):
                raise _refusal(path, f"{key!r} must have shape {tuple(value.shape)}, got {shape}")
            fits = ("F32", "F16") if value.is_floating_point() else (DTYPES.get(value.dtype),)
            if dtype not in fits:
                raise _refusal(path, f"{key!r} must have one of the types {fits}, got {dtype!r}")
        state = {key: file.get_tensor(key) for key in expected}
    for key, value in state.items():
        if not value.isfinite().all():
            raise _refusal(path, f"{key!r} holds NaN or infinity")
    return state
