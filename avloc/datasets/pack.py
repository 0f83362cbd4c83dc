"""Training packs: all that a training reads in one file, for machines that cannot decode recordings.

A pack is a zip of plain files: ``pack.json`` (version, hash of every other file), ``manifest.json`` in the
form of :mod:`avloc.datasets.corpus`, ``sound/N.flac|ogg|mp3`` at 16 kHz, ``faces/N.npz.xz`` with coded crops,
and ``weights.safetensors`` where the training starts from given weights. Unpacking fills the very caches that
``SpeechPool`` and ``TalkingFaces`` read.
"""

import hashlib
import io
import json
import lzma
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from avloc.datasets import talking_faces
from avloc.datasets.corpus import Entry, read_manifest, read_manifests
from avloc.datasets.crop_coding import decode_crops, encode_crops
from avloc.datasets.speech_pool import FACE_KIND, SpeechPool
from avloc.datasets.talking_faces import STORED, cache_file, store_clip
from avloc.errors import AnnotationError
from avloc.features.audio import SAMPLE_RATE, SAMPLES_PER_FRAME
from avloc.media.stored_sound import decode_sound

FORMAT, VERSION = "avloc.training_pack", 1
USES = ("train", "dev")
CONTENTS, MANIFEST, WEIGHTS = "pack.json", "manifest.json", "weights.safetensors"
MEMBERS = re.compile(r"manifest\.json|weights\.safetensors|sound/\d+\.(flac|ogg|mp3)|faces/\d+\.npz\.xz")


@dataclass(frozen=True, slots=True)
class PackedRecording:
    """One recording as a pack holds it.

    ``row`` is its row in a manifest; ``sound`` the bytes of a file at 16 kHz with ``suffix``; ``face`` what
    :func:`pack_face` made, or None.
    """

    entry: Entry
    row: Mapping
    sound: bytes
    suffix: str
    face: bytes | None = None

    @property
    def n_bytes(self) -> int:
        """What it takes of a pack."""
        return len(self.sound) + len(self.face or b"")


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came out of a pack: its manifest, its weights if it has some, the crops of its faces."""

    manifest: Path
    weights: str | None
    crops: tuple[str, ...]


def pack_face(file: Path, samples: np.ndarray) -> bytes:
    """Code the cache file of a talking face; its sound only where it is not how ``samples`` (n,) begin."""
    with np.load(file) as stored:
        arrays = dict(stored)
    own = arrays["samples"]
    if np.array_equal(own, samples[: len(own)]):
        del arrays["samples"]
    for name in set(STORED.values()) & arrays.keys():
        crops = arrays.pop(name)
        arrays |= {f"coded_{name}": encode_crops(crops), f"shape_{name}": np.array(crops.shape)}
    written = io.BytesIO()
    np.savez(written, **arrays)
    return lzma.compress(written.getvalue())


def write_pack(
    path: Path, recordings: Sequence[PackedRecording], *, crops: Sequence[str], weights: bytes | None = None
) -> None:
    """Write a pack; the same content gives the same bytes.

    Raises
    ------
    AnnotationError
        If a recording is of another use than train and dev, or its licence does not allow shipped weights.
    """
    members: dict[str, bytes] = {}
    rows = []
    for number, recording in enumerate(recordings):
        _refuse_forbidden(recording.entry, path)
        sound = f"sound/{number:05d}{recording.suffix}"
        members[sound] = recording.sound
        if recording.face is not None:
            members[f"faces/{number:05d}.npz.xz"] = recording.face
        words = [list(word) for word in recording.entry.words]
        rows.append({**recording.row, "file": sound, "word_segments": words})
    members[MANIFEST] = json.dumps({"entries": rows}, sort_keys=True).encode()
    if weights is not None:
        members[WEIGHTS] = weights
    contents = {
        "format": FORMAT,
        "version": VERSION,
        "faces_version": talking_faces.VERSION,
        "crops": list(crops),
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in members.items()},
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {CONTENTS: json.dumps(contents).encode(), **members}.items():
            kind = zipfile.ZIP_DEFLATED if name.endswith(".json") else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=kind)


def unpack(path: str | Path, cache: str | Path) -> Unpacked:
    """Check a pack and fill ``cache`` with what it holds, as if its recordings had been decoded there.

    Raises
    ------
    AnnotationError
        If the file is no pack, of a newer version or damaged, or holds what may not be trained on.
    """
    path, cache = Path(path), Path(cache)
    try:
        with zipfile.ZipFile(path) as archive:
            contents = _read_contents(archive, path)
            members = {name: archive.read(name) for name in contents["sha256"]}
    # No file, no zip, a member missing or cut short; NotImplementedError: a compression that Python lacks.
    except (OSError, zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, lzma.LZMAError) as error:
        raise AnnotationError(
            f"{str(path)!r}: expected a pack of tools/pack_training.py, got {error}"
        ) from error
    for name, content in members.items():
        if hashlib.sha256(content).hexdigest() != contents["sha256"][name]:
            raise AnnotationError(f"{str(path)!r}: {name!r} is damaged (its SHA-256 differs); copy it again")
    told = json.dumps(contents["sha256"], sort_keys=True)
    folder = cache / f"pack-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    for name, content in members.items():
        if not name.startswith("faces/"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    manifest = folder / MANIFEST
    entries = read_manifest(manifest)
    for entry in entries:
        _refuse_forbidden(entry, path)
    crops = tuple(contents["crops"])
    _fill_caches(manifest, entries, members, cache, crops)
    return Unpacked(manifest, str(folder / WEIGHTS) if WEIGHTS in members else None, crops)


def _read_contents(archive: zipfile.ZipFile, path: Path) -> dict:
    try:
        contents = json.loads(archive.read(CONTENTS))
        is_pack = contents["format"] == FORMAT and isinstance(contents["version"], int)
    except (ValueError, KeyError, TypeError) as error:
        raise AnnotationError(
            f"{str(path)!r}: expected a pack of tools/pack_training.py, got {error}"
        ) from error
    if not is_pack:
        raise AnnotationError(f"{str(path)!r}: expected the format {FORMAT!r}, got {contents['format']!r}")
    made_by = (contents["version"], contents.get("faces_version"))
    if made_by != (VERSION, talking_faces.VERSION):
        expected = (VERSION, talking_faces.VERSION)
        raise AnnotationError(
            f"{str(path)!r}: it is of version {made_by}, expected {expected}; pack and train with one avloc"
        )
    hashes = contents.get("sha256")
    wrong = sorted(n for n in hashes if not MEMBERS.fullmatch(n)) if isinstance(hashes, dict) else ["sha256"]
    if wrong or MANIFEST not in hashes or not isinstance(contents.get("crops"), list):
        raise AnnotationError(f"{str(path)!r}: its {CONTENTS} is wrong or incomplete, see {wrong[:3]}")
    return contents


def _refuse_forbidden(entry: Entry, path: Path) -> None:
    if entry.use not in USES or not entry.weights_ok:
        got = f"use={entry.use!r}, weights_ok={entry.weights_ok}"
        raise AnnotationError(
            f"{str(path)!r}: {entry.id!r} may not be in a training pack: expected use of {USES} and a "
            f"licence that allows shipped weights, got {got}"
        )


def _fill_caches(
    manifest: Path,
    entries: Sequence[Entry],
    members: Mapping[str, bytes],
    cache: Path,
    crops: tuple[str, ...],
) -> None:
    reader = partial(decode_sound, sample_rate=SAMPLE_RATE)
    for use in USES:
        SpeechPool.build([manifest], use=use, cache=cache, reader=reader)
    (cache / "faces").mkdir(parents=True, exist_ok=True)
    for entry in read_manifests([manifest]):
        packed, file = members.get(f"faces/{entry.path.stem}.npz.xz"), cache_file(cache, entry, crops)
        if entry.kind == FACE_KIND and packed is not None and not file.exists():
            store_clip(file, _face_arrays(packed, reader(entry.path)[0]))


def _face_arrays(packed: bytes, sound: np.ndarray) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(lzma.decompress(packed))) as stored:
        arrays = dict(stored)
    for name in set(STORED.values()):
        if f"coded_{name}" in arrays:
            shape = tuple(int(side) for side in arrays.pop(f"shape_{name}"))
            arrays[name] = decode_crops(arrays.pop(f"coded_{name}"), shape)
            arrays[name][~arrays["present"]] = 0
    if "samples" not in arrays:
        n = int(arrays["n_frames"]) * SAMPLES_PER_FRAME
        arrays["samples"] = np.clip(np.round(sound[:n] * 32768), -32768, 32767).astype(np.int16)
    return arrays
