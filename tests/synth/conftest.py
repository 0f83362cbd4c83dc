"""Made-up speech: voiced syllables with pauses and a noise floor, so that no recording is needed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter

from avloc.datasets.corpus import Entry
from avloc.datasets.speech_pool import SpeechPool
from avloc.datasets.speech_statistics import measure_speech
from avloc.datasets.talking_faces import TalkingFaces


def speak(rng: np.random.Generator, pitch_hz: float, seconds: float) -> tuple[np.ndarray, list]:
    """Sound (1, n) and its words, [start_s, end_s, word]."""
    n = int(seconds * 16000)
    out, words = np.zeros(n), []
    place = int(rng.integers(1000, 4000))
    while place < n - 8000:
        length = int(rng.integers(2500, 5000))
        phase = np.cumsum(pitch_hz * (1 + 0.1 * np.sin(np.linspace(0, rng.uniform(1, 6), length))) / 16000)
        source = (phase % 1) - 0.5 + 0.05 * rng.standard_normal(length)
        for formant in rng.uniform([300, 900, 2200], [800, 2000, 3500]):
            radius, angle = 0.97, 2 * np.pi * formant / 16000
            source = lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], source)
        out[place : place + length] += (
            source * np.hanning(length) / (np.abs(source).max() + 1e-9) * 10 ** rng.uniform(-1, -0.3)
        )
        words.append([place / 16000, (place + length) / 16000, f"word{len(words)}"])
        place += length + int(rng.integers(200, 3000))
    noise = 10 ** rng.uniform(-3.5, -2.5) * rng.standard_normal(n)
    return (out + noise)[None].astype(np.float32), words


def build_pool(folder: Path) -> SpeechPool:
    rng = np.random.default_rng(11)
    sounds, rows, said = {}, [], {}

    def add(name: str, sound: np.ndarray, **fields: object) -> None:
        sounds[f"{name}.wav"] = sound
        rows.append(
            {"id": name, "file": f"{name}.wav", "licence_material": "CC0", "use": "train", "weights_ok": True}
            | {"sha256": name, "duration_s": sound.shape[1] / 16000, "kind": "speech"}
            | fields
        )

    for speaker in range(4):
        for k in range(3):
            sound, words = speak(rng, 90 + 35 * speaker, 4 + 1.5 * k)
            said[f"s{speaker}-{k}"] = words
            timed = {"word_segments": words} if speaker < 3 else {}
            add(f"s{speaker}-{k}", sound, identity=f"speaker-{speaker}", **timed)
    for speaker in range(2):
        natural = sounds[f"s{speaker}-0.wav"]
        twin = np.roll(natural, 80) * 0.8 + 0.002 * rng.standard_normal(natural.shape)
        add(
            f"twin-{speaker}",
            twin.astype(np.float32),
            kind="generated_speech",
            identity=f"speaker-{speaker}",
            generator="noise",
            natural_pair=f"s{speaker}-0",
            pair_lag_ms=3.0,
        )
    for speaker in range(3):  # in another voice, what the second recording of the speaker says
        sound, own = speak(rng, 150 + 20 * speaker, 5)
        rows_of_words = [
            [*theirs[:2], *ours[:2], theirs[2]]
            for theirs, ours in zip(said[f"s{speaker}-1"], own, strict=False)
        ]
        add(
            f"again-{speaker}",
            sound,
            kind="generated_speech",
            identity="machine",
            generator="machine",
            replaces={"media_entry": f"s{speaker}-1", "words": rows_of_words},
        )
    path = folder / "manifest.json"
    path.write_text(json.dumps({"entries": rows}))
    return SpeechPool.build(
        [path], use="train", cache=folder / "cache", reader=lambda file: sounds[file.name]
    )


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> SpeechPool:
    return build_pool(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="session")
def faces(pool, tmp_path_factory) -> TalkingFaces:
    """Clips whose crops are noise around a level of their own frame, so that every frame is recognised."""
    folder, entries, files = tmp_path_factory.mktemp("faces"), [], []
    for k in range(3):
        rng = np.random.default_rng(k)
        n_frames = 100 + 10 * k
        samples = (pool.read(k, 0, n_frames * 640) * 32768).astype(np.int16)
        averages = measure_speech(samples.astype(np.float32) / 32768)
        file = folder / f"{k}.npz"
        np.savez(
            file,
            n_frames=n_frames,
            samples=samples,
            mouth=rng.integers(0, 255, (n_frames, 96, 96), dtype=np.uint8),
            present=np.ones(n_frames, dtype=bool),
            boxes=np.tile(np.float32([40, 30, 80, 80]), (n_frames, 1)),
            sound_0=averages.level,
            sound_1=averages.threshold,
            sound_2=averages.speech,
            sound_3=averages.floor,
            sound_4=averages.bandwidth_hz,
            sound_5=averages.offset,
        )
        files.append(file)
        identity = f"face-{k // 2}"
        words = tuple(w for w in pool.entries[k].words if w[1] < n_frames / 25) if k else ()
        entry = Entry(f"c{k}", file, "genuine_talking_face", identity, "train", True, 4.0, str(k), "CC0")
        entries.append(replace(entry, words=words))
    return TalkingFaces(entries, files)


@pytest.fixture(scope="session")
def real_pool(shared_corpus, tmp_path_factory) -> SpeechPool:
    """Some real recordings of the training split, with neural twins."""
    folder = tmp_path_factory.mktemp("real")
    rows = json.loads((shared_corpus / "manifest.json").read_text())["entries"]
    fakes = [
        r for r in rows if r["kind"] == "generated_speech" and r["use"] == "train" and "natural_pair" in r
    ]
    twins = {r["natural_pair"] for r in fakes[::8]}
    natural = [r for r in rows if r["kind"] == "speech" and r["use"] == "train"]
    faces = [r for r in rows if r["kind"] == "genuine_talking_face" and r.get("word_segments")]
    chosen = fakes[::8] + [r for r in natural if r["id"] in twins] + natural[::32] + faces[::12]
    rows = [r | {"file": str(shared_corpus / r["file"])} for r in {r["id"]: r for r in chosen}.values()]
    (folder / "manifest.json").write_text(json.dumps({"entries": rows}))
    return SpeechPool.build([folder / "manifest.json"], use="train", cache=folder)
