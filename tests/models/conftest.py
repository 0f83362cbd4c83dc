"""Published state dicts and inputs as the parity fixtures describe them, and a writer of CTranslate2
files."""

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

SPREADS = {"e": (0, 0.3), "b": (0, 0.05), "g": (1, 0.1), "p": (0.25, 0.05), "m": (0, 0.1)}


def _weight(key: str, shape: list[int], kind: str) -> np.ndarray:
    """Pseudo-random values of one entry, seeded by its name: the recipe of the fixtures' README."""
    f = np.float32
    if kind == "s":
        half = shape[1] // 2
        frequency = np.exp(-np.arange(half) * np.log(10000.0) / (half - 1))
        angle = np.arange(shape[0])[:, None] * frequency[None]
        return np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(f)
    noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(tuple(shape), dtype=f)
    if kind in "wr":
        return noise * f((1.4 if kind == "r" else 1.0) / np.sqrt(int(np.prod(shape[1:]))))
    centre, spread = SPREADS[kind]
    return f(centre) + f(spread) * noise


def _smooth(seed: list[int], shape: tuple[int, ...], windows: tuple[int, ...]) -> np.ndarray:
    """White noise, box-summed along each axis: the inputs of the fixtures."""
    x = np.random.default_rng(seed).standard_normal(
        tuple(s + w - 1 for s, w in zip(shape, windows, strict=True))
    )
    for axis, w in enumerate(windows):
        if w > 1:
            x = sum(np.take(x, np.arange(j, j + shape[axis]), axis=axis) for j in range(w)) / np.sqrt(
                float(w)
            )
    return x


@dataclass(frozen=True)
class Published:
    """A network of the parity fixtures: its description, its state dict and what the authors' code
    answered."""

    description: dict
    state: dict[str, torch.Tensor]
    arrays: dict[str, np.ndarray]

    def whisper_input(self, case: dict) -> torch.Tensor:
        inputs = case["inputs"]
        shape = (inputs["B"], 80, 2 * inputs["T"])
        return torch.from_numpy((0.5 * _smooth([inputs["seed"], 0], shape, (1, 3, 5))).astype(np.float32))


@pytest.fixture(scope="session")
def published(parity_dir: Path) -> Callable[[str], Published]:
    """Read a network of the parity fixtures by its name."""

    def read(name: str) -> Published:
        description = json.loads((parity_dir / f"{name}.json").read_text())
        state = {
            key: torch.from_numpy(_weight(key, shape, kind))
            for key, shape, _, kind in description["state_dict"]
            if kind != "-"
        }
        for key, check in description["weight_checks"].items():
            values = state[key].numpy().reshape(-1)
            # 1e-6: the stream of numbers must be the fixture's, or no comparison below means anything.
            assert np.allclose(values[:3], check["first"], atol=1e-6), key
        with np.load(parity_dir / f"{name}.npz") as arrays:
            return Published(description, state, dict(arrays))

    return read


def small_whisper_state(width: int = 8, n_layers: int = 2) -> dict[str, torch.Tensor]:
    """A seeded state dict of a very small Whisper encoder, with the published names."""
    linear = {"query": 1, "key": 1, "value": 1, "out": 1}
    shapes: dict[str, tuple[int, ...]] = {
        "conv1.weight": (width, 80, 3),
        "conv1.bias": (width,),
        "conv2.weight": (width, width, 3),
        "conv2.bias": (width,),
        "ln_post.weight": (width,),
        "ln_post.bias": (width,),
    }
    for i in range(n_layers):
        for name in linear:
            shapes[f"blocks.{i}.attn.{name}.weight"] = (width, width)
            if name != "key":
                shapes[f"blocks.{i}.attn.{name}.bias"] = (width,)
        for norm in ("attn_ln", "mlp_ln"):
            shapes[f"blocks.{i}.{norm}.weight"] = shapes[f"blocks.{i}.{norm}.bias"] = (width,)
        shapes |= {f"blocks.{i}.mlp.0.weight": (4 * width, width), f"blocks.{i}.mlp.0.bias": (4 * width,)}
        shapes |= {f"blocks.{i}.mlp.2.weight": (width, 4 * width), f"blocks.{i}.mlp.2.bias": (width,)}
    generator = torch.Generator().manual_seed(5)
    state = {f"encoder.{key}": torch.randn(shape, generator=generator) * 0.2 for key, shape in shapes.items()}
    positions = torch.from_numpy(_weight("positions", [1500, width], "s"))
    return state | {"encoder.positional_embedding": positions}


def ctranslate2_variables(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """The encoder's entries as CTranslate2 names and stacks them."""
    plain = {key.removeprefix("encoder."): value.numpy() for key, value in state.items()}
    variables = {"encoder/position_encodings/encodings": plain["positional_embedding"]}
    for conv in ("conv1", "conv2"):
        variables |= {f"encoder/{conv}/{part}": plain[f"{conv}.{part}"] for part in ("weight", "bias")}
    norms = {"encoder/layer_norm": "ln_post"}
    linears: dict[str, str] = {}
    for i in range(sum(key.endswith("attn.key.weight") for key in plain)):
        ours, theirs = f"blocks.{i}", f"encoder/layer_{i}"
        stacked = [plain[f"{ours}.attn.{part}.weight"] for part in ("query", "key", "value")]
        biases = [plain[f"{ours}.attn.query.bias"], 0 * plain[f"{ours}.attn.query.bias"]]
        variables[f"{theirs}/self_attention/linear_0/weight"] = np.concatenate(stacked)
        variables[f"{theirs}/self_attention/linear_0/bias"] = np.concatenate(
            [*biases, plain[f"{ours}.attn.value.bias"]]
        )
        linears |= {f"{theirs}/self_attention/linear_1": f"{ours}.attn.out"}
        linears |= {f"{theirs}/ffn/linear_0": f"{ours}.mlp.0", f"{theirs}/ffn/linear_1": f"{ours}.mlp.2"}
        norms |= {f"{theirs}/self_attention/layer_norm": f"{ours}.attn_ln"}
        norms |= {f"{theirs}/ffn/layer_norm": f"{ours}.mlp_ln"}
    for theirs, ours in linears.items():
        variables |= {f"{theirs}/{part}": plain[f"{ours}.{part}"] for part in ("weight", "bias")}
    for theirs, ours in norms.items():
        variables |= {f"{theirs}/gamma": plain[f"{ours}.weight"], f"{theirs}/beta": plain[f"{ours}.bias"]}
    return variables


HUGGINGFACE_NAMES = (
    ("blocks.", "layers."),
    (".attn_ln.", ".self_attn_layer_norm."),
    (".mlp_ln.", ".final_layer_norm."),
    (".attn.query.", ".self_attn.q_proj."),
    (".attn.key.", ".self_attn.k_proj."),
    (".attn.value.", ".self_attn.v_proj."),
    (".attn.out.", ".self_attn.out_proj."),
    (".mlp.0.", ".fc1."),
    (".mlp.2.", ".fc2."),
    ("ln_post.", "layer_norm."),
    ("positional_embedding", "embed_positions.weight"),
)


def huggingface_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The encoder's entries as transformers names them, with one of the decoder."""
    renamed = {}
    for key, value in state.items():
        name = key
        for ours, theirs in HUGGINGFACE_NAMES:
            name = name.replace(ours, theirs)
        renamed[f"model.{name}"] = value.contiguous()
    return renamed | {"model.decoder.layers.0.fc1.weight": torch.zeros(3, 3)}


def ctranslate2_name(text: str) -> bytes:
    """A length, which counts the closing NUL, and the text."""
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def ctranslate2_bytes(variables: dict[str, np.ndarray], aliases: dict[str, str] | None = None) -> bytes:
    """The file ``model.bin``: header, variables, aliases."""
    codes = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
    parts = [struct.pack("<I", 6), ctranslate2_name("WhisperSpec"), struct.pack("<II", 3, len(variables))]
    for name, value in variables.items():
        raw = np.ascontiguousarray(value).tobytes()
        parts += [ctranslate2_name(name), struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)]
        parts += [struct.pack("<BI", codes[value.dtype.name], len(raw)), raw]
    aliases = aliases or {}
    parts.append(struct.pack("<I", len(aliases)))
    parts += [ctranslate2_name(alias) + ctranslate2_name(name) for alias, name in aliases.items()]
    return b"".join(parts)


@dataclass(frozen=True)
class WhisperFiles:
    """Makers of Whisper checkpoints in the published forms."""

    small_state: Callable[..., dict[str, torch.Tensor]] = staticmethod(small_whisper_state)
    variables: Callable[..., dict[str, np.ndarray]] = staticmethod(ctranslate2_variables)
    name: Callable[[str], bytes] = staticmethod(ctranslate2_name)
    huggingface: Callable[..., dict[str, torch.Tensor]] = staticmethod(huggingface_names)
    ctranslate2: Callable[..., bytes] = staticmethod(ctranslate2_bytes)


@pytest.fixture(scope="session")
def whisper_files() -> WhisperFiles:
    return WhisperFiles()
