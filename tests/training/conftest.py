"""A small made-up corpus, items without any corpus, and the smallest network that can be trained."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from avloc.config import load_config
from avloc.datasets.speech_statistics import measure_speech
from avloc.datasets.talking_faces import VERSION
from avloc.media.encode import write_audio
from avloc.models.hierarchical import HierarchicalLocalizer, build_network
from avloc.structures import Timeline
from avloc.synth.item import Item

OVERRIDES = {
    "model.audio_encoder.width": 16,
    "model.audio_encoder.n_layers": 1,
    "model.audio_encoder.n_heads": 2,
    "model.audio_encoder.recogniser_channels": 8,
    "model.audio_encoder.spectral_channels": 8,
    "model.visual_encoder.width": 4,
    "model.visual_encoder.out_channels": 8,
    "model.visual_encoder.n_blocks": 1,
    "model.alignment.channels": 8,
    "model.discrepancy.channels": 8,
    "model.discrepancy.n_blocks": 1,
    "model.pyramid.channels": 16,
    "model.pyramid.n_levels": 3,
    "model.pyramid.n_heads": 2,
    "train.iterations": 4,
    "train.warmup": 1,
    "train.batch_size": 2,
    "train.picture_batch_size": 2,
    "train.window_frames": [160],
    "train.picture_share": 0.0,
    "train.edit_share": 0.0,
    "train.sound": {name: 0.0 for name in load_config("default")["train"]["sound"]} | {"insert_other": 1.0},
    "train.picture": {name: 0.0 for name in load_config("default")["train"]["picture"]}
    | {"mouth_blend": 1.0, "replace_audio": 1.0},
    "train.telephone_share": 0.25,
    "train.workers": 0,
    "train.log_every": 1,
    "train.checkpoint_every": 2,
    "train.evaluate_every": 2,
    "train.development_items": 4,
}


def speak(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Voiced syllables over a noise floor, (1, n)."""
    n = int(seconds * 16000)
    out = 10**-3 * rng.standard_normal(n)
    place, pitch_hz = 2000, rng.uniform(90, 220)
    while place < n - 6000:
        length = int(rng.integers(2500, 5000))
        source = (np.arange(length) * pitch_hz / 16000 % 1) - 0.5
        angle = 2 * np.pi * rng.uniform(400, 2500) / 16000
        source = lfilter([0.03], [1, -1.94 * np.cos(angle), 0.97**2], source) * np.hanning(length)
        out[place : place + length] += 0.3 * source / np.abs(source).max()
        place += length + int(rng.integers(200, 2500))
    return out[None].astype(np.float32)


def make_row(name: str, **fields: object) -> dict:
    """One entry of a manifest that may be trained on unless ``fields`` say otherwise."""
    return {
        "id": name,
        "file": f"{name}.wav",
        "kind": "speech",
        "identity": f"speaker {name[0]}",
        "use": "train",
        "weights_ok": True,
        "licence_material": "CC0",
        "sha256": name,
        "duration_s": 7.0,
    } | fields


ROWS = [
    make_row("a0"),
    make_row("b0"),
    make_row("c0"),
    make_row("d0", use="dev"),
    make_row("e0", use="dev"),
    make_row("x0", use="test"),
    make_row("y0", weights_ok=False),
    make_row("f0", kind="genuine_talking_face"),
    make_row("g0", kind="genuine_talking_face", use="dev"),
    make_row("z0", kind="genuine_talking_face", use="test"),
    make_row("w0", kind="genuine_talking_face", weights_ok=False),
]
FORBIDDEN = ("x0", "y0", "z0", "w0")
"""Of use test, or of a licence that shipped weights cannot have: their files do not even exist."""


@dataclass(frozen=True)
class Corpus:
    """A manifest with its recordings, and a cache that already holds the talking faces."""

    media: tuple[str, ...]
    cache: Path

    def fill(self, cache: Path) -> Path:
        """Put the talking faces into another cache."""
        for file in (self.cache / "faces").glob("*.npz"):
            (cache / "faces").mkdir(parents=True, exist_ok=True)
            (cache / "faces" / file.name).write_bytes(file.read_bytes())
        return cache


def _store_face(cache: Path, name: str, samples: np.ndarray, rng: np.random.Generator) -> None:
    """Write what the decoder would have made of a clip whose mouth opens with the sound."""
    n_frames = len(samples) // 640
    loudness = np.abs(samples[: n_frames * 640]).reshape(n_frames, 640).mean(1)
    mouth = np.tile(rng.integers(90, 130, (96, 96)).astype(np.float32), (n_frames, 1, 1))
    mouth[:, 40:70, 30:66] -= (80 * loudness / loudness.max())[:, None, None]
    found = measure_speech(samples)
    rows = (found.level, found.threshold, found.speech, found.floor, found.bandwidth_hz, found.offset)
    np.savez(
        cache / "faces" / f"{name}-v{VERSION}.npz",
        n_frames=n_frames,
        samples=np.round(samples[: n_frames * 640] * 32767).astype(np.int16),
        mouth=mouth.clip(0, 255).astype(np.uint8),
        present=np.ones(n_frames, dtype=bool),
        boxes=np.zeros((n_frames, 4), dtype=np.float32),
        **{f"sound_{k}": row for k, row in enumerate(rows)},
    )


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(7)
    (folder / "cache" / "faces").mkdir(parents=True)
    for row in ROWS:
        if row["id"] in FORBIDDEN:
            continue
        sound = speak(rng, 7.0)
        if row["kind"] == "speech":
            write_audio(folder / row["file"], sound, 16000)
        else:
            _store_face(folder / "cache", row["sha256"], sound[0], rng)
    (folder / "manifest.json").write_text(json.dumps({"entries": ROWS}))
    return Corpus((str(folder / "manifest.json"),), folder / "cache")


@pytest.fixture(scope="session")
def config() -> dict:
    """The default configuration with everything made small; each test may change its copy."""
    return load_config("default", overrides=OVERRIDES)


@pytest.fixture
def settings(config: dict) -> dict:
    return copy.deepcopy(config["train"])


@pytest.fixture(scope="session")
def small_overrides() -> dict:
    return dict(OVERRIDES)


@pytest.fixture
def overrides(small_overrides: dict) -> dict:
    return dict(small_overrides)


@pytest.fixture(autouse=True)
def torch_stays_as_it_was() -> Iterator[None]:
    """Keep the random state; one thread is faster where all tensors are small."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def network(config: dict) -> HierarchicalLocalizer:
    torch.manual_seed(0)
    return build_network(config["model"])


SPAN = (2.0, 3.0)  # seconds: what made-up items say is forged


def draw_sound(rng: np.random.Generator, *, duration_s: float) -> Item:
    """Noise that says SPAN of its sound is forged."""
    n = int(duration_s * 16000)
    wave = (0.1 * rng.standard_normal((1, n))).astype(np.float32)
    return Item(wave, 16000, Timeline.from_pairs([SPAN]), Timeline(), "insert_other")


def picture_items(family: str, *, seconds: float = 6.4) -> Callable[..., Item]:
    """What draws noise under a mouth that carries the number of its frame."""

    def draw(rng: np.random.Generator, *, duration_s: float) -> Item:
        n_frames = round(min(duration_s, seconds) * 25)
        forged, nothing = Timeline.from_pairs([SPAN]), Timeline()
        in_picture = family == "mouth_blend"
        return Item(
            (0.1 * rng.standard_normal((1, n_frames * 640))).astype(np.float32),
            16000,
            nothing if in_picture or family == "genuine" else forged,
            forged if in_picture else nothing,
            family,
            crops={"mouth96_box": np.tile(np.arange(n_frames, dtype=np.uint8)[:, None, None], (1, 96, 96))},
            present=np.arange(n_frames) >= 5,
        )

    return draw


@dataclass(frozen=True)
class MadeUp:
    """Items that need no corpus."""

    span = SPAN
    draw_sound: Callable[..., Item] = staticmethod(draw_sound)
    picture_items: Callable[..., Callable[..., Item]] = staticmethod(picture_items)


@pytest.fixture(scope="session")
def made_up() -> MadeUp:
    return MadeUp()
