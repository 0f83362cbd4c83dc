"""Genuine recordings of a study: found, made small, looked at, and split by who is seen and heard."""

import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from avloc.datasets.corpus import read_manifests
from avloc.datasets.talking_faces import TalkingFaces
from avloc.errors import AnnotationError, ConfigError, MediaError
from avloc.features.speech import SpeechDetector
from avloc.media.clock import GRID_RATE
from avloc.media.encode import write_video
from avloc.media.probe import probe
from avloc.media.whole import read_audio, stream_frames

MANIFEST = "manifest.json"
VIDEO = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg")
FACE = "genuine_talking_face"
MAY_TRAIN = ("train", "dev")  # uses of a manifest; who compares networks on ``test`` tunes on it
SPLITS = ("train", "dev", "test")
SHARES = {"dev": 0.2, "test": 0.25}  # of the identities
LEAST_IDENTITIES = 2  # of a split: what is put into a recording is said by another
LONGEST_S = 20.48  # of a recording; the rest is left
LONGEST_SIDE = 480  # px: sets of this kind are small, and time goes into pixels
LEAST_SPEECH_S = 1.0
SAMPLE_RATE = 16_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A recording that the user named; ``id`` is distinct, ``identity`` says who is in it."""

    id: str
    identity: str
    path: Path


def find_sources(folder: Path) -> list[Source]:
    """Find the recordings of a folder.

    Where ``manifest.json`` lies there, they are its genuine talking faces of use train and dev, and
    identities are as it says, without a remark in brackets. Else they are all videos below the folder: those
    of one subfolder are of one identity, and what lies in the folder itself is each of its own.

    Raises
    ------
    ConfigError
        If there is no such folder or no video in it.
    AnnotationError
        If the manifest is wrong.
    """
    if not folder.is_dir():
        raise ConfigError(f"{str(folder)!r}: expected a folder of genuine recordings; name one with MEDIA=")
    manifest = folder / MANIFEST
    sources = list(_of_manifest(manifest) if manifest.is_file() else _of_folder(folder))
    if not sources:
        looked = (
            "genuine talking face of use train or dev" if manifest.is_file() else f"video ({' '.join(VIDEO)})"
        )
        raise ConfigError(
            f"{str(folder)!r} holds no {looked}; a study is made of recordings of talking faces"
        )
    return sources


def _of_manifest(manifest: Path) -> Iterator[Source]:
    for entry in read_manifests([manifest]):
        if entry.kind == FACE and entry.use in MAY_TRAIN:
            identity = entry.identity.split(" (")[0]
            yield Source(entry.id, identity if entry.one_speaker else entry.id, entry.path)


def _of_folder(folder: Path) -> Iterator[Source]:
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        if path.suffix.lower() in VIDEO and path.is_file() and not hidden:
            yield Source(str(below), below.parts[0], path)


def make_small(source: Source, target: Path) -> None:
    """Write the first seconds of a recording at 25 pictures a second, 16 kHz mono, with small pictures.

    Raises
    ------
    MediaError
        If it cannot be read, or has no picture or no sound.
    """
    recording = probe(source.path, with_hash=False)
    samples = read_audio(source.path, sample_rate=SAMPLE_RATE).mean(axis=0, keepdims=True)
    n_frames = int(LONGEST_S * GRID_RATE)
    pictures = islice(stream_frames(recording, frames=(0, n_frames)), n_frames)
    part = target.with_name(f".{target.name}.part")
    samples = np.nan_to_num(samples[:, : int(LONGEST_S * SAMPLE_RATE)]).clip(-1, 1)
    write_video(part, (_small(picture) for _, picture in pictures), GRID_RATE, samples, SAMPLE_RATE)
    part.replace(target)


def _small(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    size = tuple(max(2, round(side * scale) // 2 * 2) for side in (width, height))
    return picture if size == (width, height) else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def prepare(sources: Sequence[Source], folder: Path, *, seen: Collection[str], seed: int) -> dict[str, int]:
    """Make all recordings small, leave out what shows no face or holds no speech, and split the rest.

    ``folder`` gets the recordings and ``manifest.json``, in which each stands twice: as a talking face and as
    speech, of the use that its split is called.

    Parameters
    ----------
    sources : sequence of Source
        All recordings.
    folder : Path
        What is there already is not made again.
    seen : collection of str
        Ids that the encoders were trained on; their identities go into the training split first.
    seed : int
        Of the split.

    Returns
    -------
    dict of str to int
        Recordings and identities: ``n``, ``n_left_out``, and of each split ``train``, ``train_identities``, …

    Raises
    ------
    ConfigError
        If too few identities are left for three splits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = _rows(sources, folder)
    usable = _usable(rows, folder) if rows else []
    identities = {row["identity"] for row in usable}
    split_of = split_identities(sorted(identities), seen=_identities(usable, seen), seed=seed)
    for row in usable:
        row["use"] = split_of[row["identity"]]
    _write_manifest(usable, folder)
    told = {"n": len(usable), "n_left_out": len(sources) - len(usable)}
    for split in SPLITS:
        told[split] = sum(row["use"] == split for row in usable)
        told[f"{split}_identities"] = sum(use == split for use in split_of.values())
    return told


def _rows(sources: Sequence[Source], folder: Path) -> list[dict]:
    rows = []
    for number, source in enumerate(sources):
        target = folder / f"{number:05d}.mp4"
        try:
            if not target.exists():
                make_small(source, target)
        except (MediaError, ValueError) as error:
            logger.warning("left out: %s: %s", source.id, error)
            continue
        sha256 = hashlib.sha256(target.read_bytes()).hexdigest()
        row = {"id": source.id, "file": target.name, "identity": source.identity, "sha256": sha256}
        rows.append(row | {"use": "train", "licence_material": "the user's own", "weights_ok": False})
    return rows


def _usable(rows: Sequence[dict], folder: Path) -> list[dict]:
    _write_manifest(rows, folder)
    try:
        faces = TalkingFaces.build(
            [folder / MANIFEST], use="train", cache=folder / "cache", weights_only=False
        )
    except AnnotationError:  # no face in any of them
        faces = ()
    usable = []
    for index in range(len(faces)):
        clip = faces[index]
        detector = SpeechDetector()
        detector.push(clip.samples)
        detector.finish()
        if sum(span.duration for span in detector.spans().segments) >= LEAST_SPEECH_S:
            usable.append(clip.entry.id)
    for row in rows:
        if row["id"] not in usable:
            logger.warning("left out: %s: too little speech, or no face for half of the time", row["id"])
    return [row for row in rows if row["id"] in usable]


def _identities(rows: Sequence[Mapping], ids: Collection[str]) -> set[str]:
    return {row["identity"] for row in rows if row["id"] in ids}


def _write_manifest(rows: Sequence[dict], folder: Path) -> None:
    entries = [
        row | kind
        for row in rows
        for kind in ({"kind": FACE}, {"kind": "speech", "id": f"{row['id']} (sound)"})
    ]
    part = folder / f".{MANIFEST}.part"
    part.write_text(json.dumps({"entries": entries}, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / MANIFEST)


def split_identities(
    identities: Sequence[str], *, seen: Collection[str] = (), seed: int = 0
) -> dict[str, str]:
    """Give each identity its split: no one is in two.

    Parameters
    ----------
    identities : sequence of str
        All of them.
    seen : collection of str
        These are the first to go into the training split.
    seed : int
        Of the order.

    Raises
    ------
    ConfigError
        If there are fewer than two for each split.

    Examples
    --------
    >>> splits = split_identities("abcdefghij", seen="ab")
    >>> [sorted(splits.values()).count(split) for split in SPLITS], splits["a"]
    ([6, 2, 2], 'train')
    """
    if len(identities) < LEAST_IDENTITIES * len(SPLITS):
        raise ConfigError(
            f"expected recordings of at least {LEAST_IDENTITIES * len(SPLITS)} identities with a face and "
            f"speech, {LEAST_IDENTITIES} for each of the splits {', '.join(SPLITS)}, got {len(identities)}"
        )
    order = np.random.default_rng(seed).permutation(len(identities))
    ranked = sorted((identities[i] for i in order), key=lambda identity: identity in seen)
    splits, first = {}, 0
    for split in ("test", "dev"):
        n = max(LEAST_IDENTITIES, round(SHARES[split] * len(identities)))
        splits |= dict.fromkeys(ranked[first : first + n], split)
        first += n
    return splits | dict.fromkeys(ranked[first:], "train")
