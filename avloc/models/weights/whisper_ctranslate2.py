"""Read Whisper's encoder from CTranslate2's ``model.bin``, the file that faster-whisper users have on disk.

The file is little-endian: version, specification name, revision, number of variables; each variable has a
name, a rank, the sizes, a type, the number of bytes and the bytes; aliases end the file. A name is preceded
by its length and ends with a NUL, which the length counts.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from avloc.errors import CheckpointError

SPECIFICATION = "WhisperSpec"
VERSION = 6  # of the container; what every published conversion for faster-whisper has
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
MAX_VARIABLES = 10_000  # the largest published file, large-v3, has about 2,700
MAX_NAME_BYTES = 1_000
MAX_RANK = 8
MAX_ENCODER_BYTES = 4 * 2**30  # the encoder of large-v3 is 2.6 GB in float32


@dataclass(frozen=True, slots=True)
class _Variable:
    """Where the values of one variable lie."""

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    n_bytes: int


class _Reader:
    """Bounded reads from one file; whatever does not fit becomes a CheckpointError that names the file."""

    def __init__(self, path: str, file: BinaryIO) -> None:
        self.path = path
        self.file = file
        self.n_bytes = os.fstat(file.fileno()).st_size

    def fail(self, message: str) -> CheckpointError:
        return CheckpointError(f"{self.path!r}: {message}")

    def bytes(self, n: int, what: str) -> bytes:
        left = self.n_bytes - self.file.tell()
        if n > left:
            raise self.fail(f"{what} needs {n} bytes at byte {self.file.tell()}, but only {left} are left")
        return self.file.read(n)

    def number(self, layout: str, what: str) -> int:
        return struct.unpack("<" + layout, self.bytes(struct.calcsize("<" + layout), what))[0]

    def name(self, what: str) -> str:
        length = self.number("H", f"the length of {what}")
        if not 0 < length <= MAX_NAME_BYTES:
            raise self.fail(f"{what} must have 1 to {MAX_NAME_BYTES} bytes, got {length}")
        try:
            return self.bytes(length, what).removesuffix(b"\0").decode("ascii")
        except UnicodeDecodeError as error:
            raise self.fail(f"{what} is not ASCII text") from error

    def variable(self, what: str) -> _Variable:
        rank = self.number("B", f"the rank of {what}")
        if rank > MAX_RANK:
            raise self.fail(f"{what} must have at most {MAX_RANK} dimensions, got {rank}")
        shape = tuple(self.number("I", f"the sizes of {what}") for _ in range(rank))
        code = self.number("B", f"the type of {what}")
        if code not in DTYPES:
            # bfloat16 and the rest: no published Whisper file has them in the encoder.
            raise self.fail(
                f"{what} has the type number {code}; read are {sorted(DTYPES)} (float32 to float16)"
            )
        n_bytes = self.number("I", f"the number of bytes of {what}")
        dtype = np.dtype(DTYPES[code]).newbyteorder("<")
        expected = dtype.itemsize
        for size in shape:
            expected *= size
        if expected != n_bytes:
            raise self.fail(
                f"{what} of shape {shape} and type {dtype.name} has {expected} bytes, not {n_bytes}"
            )
        offset = self.file.tell()
        if n_bytes > self.n_bytes - offset:
            raise self.fail(
                f"{what} needs {n_bytes} bytes at byte {offset}, but only {self.n_bytes - offset} are left"
            )
        self.file.seek(n_bytes, os.SEEK_CUR)
        return _Variable(shape, dtype, offset, n_bytes)

    def values(self, variable: _Variable) -> np.ndarray:
        self.file.seek(variable.offset)
        raw = self.bytes(variable.n_bytes, "a variable")
        return np.frombuffer(raw, variable.dtype).reshape(variable.shape).astype(np.float32)


def read_whisper_ctranslate2(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the encoder of a Whisper model in CTranslate2 form, as ``read_whisper`` gives it.

    Parameters
    ----------
    path : str or os.PathLike
        ``model.bin``, or the folder that holds it. Float32 and float16 are read, a quantised file is refused.

    Raises
    ------
    CheckpointError
        If the file is not one of CTranslate2's for Whisper, is cut short, lacks an entry, or holds NaN or
        infinity. No more memory is taken than the file's entries have, whatever sizes it claims.
    """
    path = Path(path)
    path = path / "model.bin" if path.is_dir() else path
    try:
        with path.open("rb") as file:
            reader = _Reader(str(path), file)
            table = _read_table(reader)
            return _to_openai_names(reader, table)
    except OSError as error:
        raise CheckpointError(f"{str(path)!r}: cannot be read: {error.strerror or error}") from error


def _read_table(reader: _Reader) -> dict[str, _Variable]:
    version = reader.number("I", "the version")
    if version != VERSION:
        raise reader.fail(
            f"starts with the number {version}; a CTranslate2 model starts with the version {VERSION}"
        )
    specification = reader.name("the specification name")
    if specification != SPECIFICATION:
        raise reader.fail(f"holds a {specification!r} model, expected {SPECIFICATION!r}")
    reader.number("I", "the revision")
    n_variables = reader.number("I", "the number of variables")
    if n_variables > MAX_VARIABLES:
        raise reader.fail(f"promises {n_variables} variables; at most {MAX_VARIABLES} are read")
    table: dict[str, _Variable] = {}
    for i in range(n_variables):
        name = reader.name(f"the name of variable {i}")
        table[name] = reader.variable(f"variable {name!r}")
    n_aliases = reader.number("I", "the number of aliases")
    if n_aliases > MAX_VARIABLES:
        raise reader.fail(f"promises {n_aliases} aliases; at most {MAX_VARIABLES} are read")
    for i in range(n_aliases):
        alias = reader.name(f"the name of alias {i}")
        target = reader.name(f"the target of alias {alias!r}")
        if target not in table:
            raise reader.fail(f"the alias {alias!r} stands for {target!r}, which is not among the variables")
        table[alias] = table[target]
    return table


def _to_openai_names(reader: _Reader, table: dict[str, _Variable]) -> dict[str, Tensor]:
    n_bytes = sum(v.n_bytes for name, v in table.items() if name.startswith("encoder/"))
    if n_bytes > MAX_ENCODER_BYTES:
        raise reader.fail(f"its encoder has {n_bytes} bytes; at most {MAX_ENCODER_BYTES} are read")

    def take(name: str, *, rank: int) -> Tensor:
        if name not in table:
            raise reader.fail(f"lacks the variable {name!r}")
        variable = table[name]
        if variable.dtype.kind != "f":
            raise reader.fail(f"{name!r} is quantised to {variable.dtype.name}; convert the model to float16")
        if len(variable.shape) != rank:
            raise reader.fail(f"{name!r} must have {rank} dimensions, got the shape {variable.shape}")
        values = reader.values(variable)
        if not np.isfinite(values).all():
            raise reader.fail(f"{name!r} holds NaN or infinity")
        return torch.from_numpy(values)

    def linear(ours: str, theirs: str, state: dict[str, Tensor]) -> None:
        state[f"{ours}.weight"] = take(f"{theirs}/weight", rank=2)
        state[f"{ours}.bias"] = take(f"{theirs}/bias", rank=1)

    def norm(ours: str, theirs: str, state: dict[str, Tensor]) -> None:
        state[f"{ours}.weight"] = take(f"{theirs}/gamma", rank=1)
        state[f"{ours}.bias"] = take(f"{theirs}/beta", rank=1)

    state: dict[str, Tensor] = {}
    for conv in ("conv1", "conv2"):
        state[f"encoder.{conv}.weight"] = take(f"encoder/{conv}/weight", rank=3)
        state[f"encoder.{conv}.bias"] = take(f"encoder/{conv}/bias", rank=1)
    state["encoder.positional_embedding"] = take("encoder/position_encodings/encodings", rank=2)
    n_layers = 0
    while f"encoder/layer_{n_layers}/self_attention/linear_0/weight" in table:
        ours, theirs = f"encoder.blocks.{n_layers}", f"encoder/layer_{n_layers}"
        stacked: dict[str, Tensor] = {}
        linear("qkv", f"{theirs}/self_attention/linear_0", stacked)
        if (
            stacked["qkv.weight"].shape[0] % 3
            or stacked["qkv.bias"].shape[0] != stacked["qkv.weight"].shape[0]
        ):
            shapes = {name: tuple(value.shape) for name, value in stacked.items()}
            raise reader.fail(
                f"{theirs}/self_attention/linear_0 must stack query, key and value, got {shapes}"
            )
        weights, biases = stacked["qkv.weight"].chunk(3), stacked["qkv.bias"].chunk(3)
        for part, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
            state[f"{ours}.attn.{part}.weight"] = weight.clone()
            if (
                part != "key"
            ):  # The key's bias is stored as zeros: a constant added to every key changes no softmax.
                state[f"{ours}.attn.{part}.bias"] = bias.clone()
        linear(f"{ours}.attn.out", f"{theirs}/self_attention/linear_1", state)
        norm(f"{ours}.attn_ln", f"{theirs}/self_attention/layer_norm", state)
        linear(f"{ours}.mlp.0", f"{theirs}/ffn/linear_0", state)
        linear(f"{ours}.mlp.2", f"{theirs}/ffn/linear_1", state)
        norm(f"{ours}.mlp_ln", f"{theirs}/ffn/layer_norm", state)
        n_layers += 1
    norm("encoder.ln_post", "encoder/layer_norm", state)
    return state
