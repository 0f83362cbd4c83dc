"""Training packs: what goes in comes out in the caches, and what may not be trained on never does."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from avloc.datasets import talking_faces
from avloc.datasets.corpus import read_manifest
from avloc.datasets.pack import PackedRecording, pack_face, unpack, write_pack
from avloc.datasets.speech_pool import SpeechPool
from avloc.datasets.speech_statistics import measure_speech
from avloc.datasets.talking_faces import TalkingFaces, cache_file, store_clip
from avloc.errors import AnnotationError
from avloc.media.decode import MOUTH
from avloc.media.stored_sound import encode_sound


def make_row(name: str, **fields: object) -> dict:
    return {
        "id": name,
        "file": f"somewhere/{name}.wav",
        "kind": "speech",
        "identity": f"speaker {name[0]}",
        "use": "train",
        "weights_ok": True,
        "licence_material": "CC0",
        "sha256": name * 12,
        "duration_s": 2.0,
    } | fields


ROWS = [
    make_row("a0"),
    make_row("a1", kind="generated_speech", generator="g", natural_pair="a0", pair_lag_ms=3),
    make_row("d0", use="dev"),
    make_row("f0", kind="genuine_talking_face", word_segments=[[0.2, 0.5, "bin"]]),
    make_row("f1", kind="genuine_talking_face"),
]


def speech(name: str) -> np.ndarray:
    rng = np.random.default_rng(sum(name.encode()))
    return rng.integers(-9000, 9000, 32000 + 1280, dtype=np.int16)


def face_file(folder: Path, entry, samples: np.ndarray) -> Path:
    """What the cache keeps of a clip of 50 frames, the third without a face."""
    present = np.arange(50) != 2
    shade = np.linspace(60, 180, 50)[:, None, None] + 20 * np.sin(np.arange(96) / 9)
    found = measure_speech(samples.astype(np.float32) / 32768)
    rows = (found.level, found.threshold, found.speech, found.floor, found.bandwidth_hz, found.offset)
    arrays = {"n_frames": 50, "samples": samples[:32000], "present": present, "boxes": np.ones((50, 4))}
    arrays["mouth"] = np.broadcast_to(shade, (50, 96, 96)).astype(np.uint8) * present[:, None, None]
    file = cache_file(folder, entry, MOUTH)
    file.parent.mkdir(parents=True, exist_ok=True)
    store_clip(file, arrays | {f"sound_{k}": row for k, row in enumerate(rows)})
    return file


def recordings(folder: Path, rows: list[dict], *, own_sound: tuple[str, ...] = ()) -> list[PackedRecording]:
    """Code rows; the clips of ``own_sound`` have other sound in their cache than the pool has."""
    (folder / "manifest.json").write_text(json.dumps({"entries": rows}))
    packed = []
    for row, entry in zip(rows, read_manifest(folder / "manifest.json"), strict=True):
        samples, face = speech(entry.id), None
        if entry.kind == "genuine_talking_face":
            own = speech("other") if entry.id in own_sound else samples
            face = pack_face(face_file(folder / "decoded", entry, own), samples)
        packed.append(PackedRecording(entry, row, encode_sound(samples, 16000, codec="flac"), ".flac", face))
    return packed


@pytest.fixture
def pack(tmp_path) -> Path:
    path = tmp_path / "x.pack"
    write_pack(path, recordings(tmp_path, ROWS), crops=MOUTH, weights=b"weights")
    return path


def change(pack: Path, **changed: bytes | dict | None) -> Path:
    """Write another pack with files replaced (None: left out) or fields of pack.json changed."""
    target = pack.with_name("changed.pack")
    with zipfile.ZipFile(pack) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = changed.get(name, old.read(name))
            if name == "pack.json":
                content = json.dumps(json.loads(content) | changed.get("contents", {})).encode()
            if content is not None:
                new.writestr(name, content)
    return target


def test_the_pools_open_from_what_was_unpacked(pack, tmp_path):
    unpacked = unpack(pack, tmp_path / "cache")
    assert unpacked.crops == MOUTH and Path(unpacked.weights).read_bytes() == b"weights"
    pool = SpeechPool.build([unpacked.manifest], use="train", cache=tmp_path / "cache", reader=None)
    assert [entry.id for entry in pool.entries] == ["a0", "a1", "f0"]
    for i, entry in enumerate(pool.entries):
        np.testing.assert_array_equal(np.round(pool.read(i) * 32768), speech(entry.id))
    assert pool.pairs == ((0, 1),) and pool.entries[1].pair_lag == pytest.approx(0.003)
    assert pool.entries[2].words == ((0.2, 0.5, "bin"),) and pool.timed.tolist() == [2]
    dev = SpeechPool.build([unpacked.manifest], use="dev", cache=tmp_path / "cache", reader=None)
    assert [entry.id for entry in dev.entries] == ["d0"]


@pytest.mark.parametrize("own_sound", [(), ("f0", "f1")])
def test_faces_come_back_with_their_sound(tmp_path, own_sound):
    write_pack(tmp_path / "x.pack", recordings(tmp_path, ROWS, own_sound=own_sound), crops=MOUTH)
    unpacked = unpack(tmp_path / "x.pack", tmp_path / "cache")
    assert unpacked.weights is None
    faces = TalkingFaces.build([unpacked.manifest], use="train", cache=tmp_path / "cache")
    first = TalkingFaces(faces.entries, [cache_file(tmp_path / "decoded", e, MOUTH) for e in faces.entries])
    assert len(faces) == 2
    for got, wanted in zip(faces, first, strict=True):
        np.testing.assert_array_equal(got.samples, wanted.samples)
        np.testing.assert_array_equal(got.present, wanted.present)
        assert not got.crops["mouth96_box"][2].any()
        difference = got.crops["mouth96_box"].astype(int) - wanted.crops["mouth96_box"]
        # The frame without a face is black, and the cube of 8 frames that holds it loses most.
        assert np.abs(difference[8:]).mean() < 2
    np.testing.assert_array_equal(faces.statistics.speech, first.statistics.speech)


def test_the_same_content_gives_the_same_bytes(pack, tmp_path):
    write_pack(tmp_path / "again.pack", recordings(tmp_path, ROWS), crops=MOUTH, weights=b"weights")
    assert (tmp_path / "again.pack").read_bytes() == pack.read_bytes()


def test_it_is_a_zip_of_plain_files(pack):
    with zipfile.ZipFile(pack) as archive:
        names = archive.namelist()
    assert names[0] == "pack.json" and {"manifest.json", "weights.safetensors"} < set(names)
    assert sum(name.endswith(".flac") for name in names) == 5 and "faces/00003.npz.xz" in names


@pytest.mark.parametrize("forbidden", [{"use": "test"}, {"weights_ok": False}, {"weights_ok": None}])
def test_what_may_not_be_trained_on_never_goes_in(tmp_path, forbidden):
    rows = [*ROWS, make_row("z0", **forbidden)]
    with pytest.raises(AnnotationError, match="'z0' may not be in a training pack"):
        write_pack(tmp_path / "x.pack", recordings(tmp_path, rows), crops=MOUTH)
    assert not (tmp_path / "x.pack").exists()


@pytest.mark.parametrize(
    ("forbidden", "message"),
    [
        ({"use": "test"}, "'a0' may not be in a training pack"),
        ({"weights_ok": False}, "'a0' may not be"),
        ({"licence_material": ""}, r"'a0'.*missing \['licence_material'\]"),
        ({"use": "dev"}, "in two splits"),
    ],
)
def test_a_pack_that_holds_it_all_the_same_is_refused(pack, tmp_path, forbidden, message):
    with zipfile.ZipFile(pack) as archive:
        rows = json.loads(archive.read("manifest.json"))["entries"]
        hashes = json.loads(archive.read("pack.json"))["sha256"]
    rows[0] |= forbidden
    rows.append(make_row("a9", file=rows[0]["file"]))  # another recording of the same speaker
    manifest = json.dumps({"entries": rows}).encode()
    hashes["manifest.json"] = hashlib.sha256(manifest).hexdigest()
    changed = change(pack, **{"manifest.json": manifest, "contents": {"sha256": hashes}})
    with pytest.raises(AnnotationError, match=message):
        unpack(changed, tmp_path / "cache")


def test_a_damaged_file_is_named(pack, tmp_path):
    changed = change(pack, **{"sound/00001.flac": encode_sound(speech("else"), 16000, codec="flac")})
    with pytest.raises(AnnotationError, match=r"'sound/00001.flac' is damaged .* copy it again"):
        unpack(changed, tmp_path / "cache")


def test_a_missing_file_is_named(pack, tmp_path):
    with pytest.raises(AnnotationError, match="expected a pack .*sound/00001.flac"):
        unpack(change(pack, **{"sound/00001.flac": None}), tmp_path / "cache")


@pytest.mark.parametrize("cut", [0, 100, -30])
def test_a_pack_that_was_cut_off_is_refused(pack, tmp_path, cut):
    pack.write_bytes(pack.read_bytes()[:cut])
    with pytest.raises(AnnotationError, match="expected a pack of tools/pack_training.py"):
        unpack(pack, tmp_path / "cache")


def test_another_file_is_refused(tmp_path):
    (tmp_path / "a.pack").write_bytes(b"RIFF" + bytes(100))
    with zipfile.ZipFile(tmp_path / "b.pack", "w") as archive:
        archive.writestr("pack.json", b"[1, 2]")
    with zipfile.ZipFile(tmp_path / "c.pack", "w") as archive:
        archive.writestr("model.pt", b"")
    for name in ("a", "b", "c", "missing"):
        with pytest.raises(AnnotationError, match=f"{name}.pack.*expected a pack of tools/pack_training.py"):
            unpack(tmp_path / f"{name}.pack", tmp_path / "cache")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"format": "zip"}, "expected the format 'avloc.training_pack', got 'zip'"),
        ({"version": 2}, "pack and train with one avloc"),
        ({"faces_version": "0"}, "pack and train with one avloc"),
        ({"sha256": {"manifest.json": "", "../evil.json": ""}}, "wrong or incomplete.*evil"),
        ({"sha256": {}}, "wrong or incomplete"),
        ({"sha256": None}, "wrong or incomplete"),
        ({"crops": None}, "wrong or incomplete"),
    ],
)
def test_a_pack_of_another_kind_is_refused(pack, tmp_path, contents, message):
    with pytest.raises(AnnotationError, match=message):
        unpack(change(pack, contents=contents), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_faces_that_were_followed_otherwise_are_refused(pack, tmp_path, monkeypatch):
    monkeypatch.setattr(talking_faces, "VERSION", "next")
    with pytest.raises(AnnotationError, match="pack and train with one avloc"):
        unpack(pack, tmp_path / "cache")
