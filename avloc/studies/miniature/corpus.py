"""A corpus of ``avloc synth`` in LAV-DF's format: one annotation over three splits."""

import json
from collections.abc import Mapping
from pathlib import Path

from avloc.datasets.corpus import read_manifest
from avloc.studies.miniature.recordings import SPLITS

RATE_HZ = 25
# Sound and picture of what is forged no longer belong together, as in LAV-DF.
FAMILIES = ("replace_audio", "mouth_blend", "mouth_reverse", "lag_shift", "mouth_freeze")
ANNOTATION = "metadata.json"


def write_annotation(folder: Path) -> Path:
    """Write ``metadata.json`` over the folders ``train``, ``dev`` and ``test`` that ``avloc synth`` made.

    Beside LAV-DF's keys an entry says ``identity`` and ``family``.
    """
    entries = []
    for split in SPLITS:
        lines = (folder / split / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
        entries += [lavdf_entry(json.loads(line), split) for line in lines]
    path = folder / ANNOTATION
    part = path.with_name(f".{ANNOTATION}.part")
    part.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def lavdf_entry(row: Mapping, split: str) -> dict:
    """Bring a row of the manifest of ``avloc synth`` into the form of LAV-DF's annotation.

    Examples
    --------
    >>> row = {"path": "1.mp4", "duration_s": 2.0, "segments": [[0.4, 0.8]], "modality": "audio"}
    >>> entry = lavdf_entry(row | {"identity": "me", "family": "lag_shift", "sources": ["a"]}, "dev")
    >>> entry["file"], entry["n_fakes"], entry["modify_audio"], entry["modify_video"], entry["video_frames"]
    ('dev/1.mp4', 1, True, False, 50)
    """
    return {
        "file": f"{split}/{row['path']}",
        "n_fakes": len(row["segments"]),
        "fake_periods": [list(pair) for pair in row["segments"]],
        "duration": row["duration_s"],
        "original": None,
        "modify_video": row["modality"] in ("visual", "both"),
        "modify_audio": row["modality"] in ("audio", "both"),
        "split": split,
        "video_frames": round(row["duration_s"] * RATE_HZ),
        "identity": row["identity"],
        "family": row["family"],
    }


def identity_of_files(annotation: Path) -> dict[str, str]:
    """Say who is in each file of the corpus."""
    return {entry["file"]: entry["identity"] for entry in json.loads(annotation.read_text(encoding="utf-8"))}


def shared_identities(folder: Path, manifest: Path) -> set[str]:
    """Name the identities that the material of two splits has: empty, unless a split is wrong."""
    identity = {entry.id.removesuffix(" (sound)"): entry.identity for entry in read_manifest(manifest)}
    used: dict[str, set[str]] = {}
    for split in SPLITS:
        rows = map(json.loads, (folder / split / "manifest.jsonl").read_text(encoding="utf-8").splitlines())
        names = {source.removesuffix(" (sound)") for row in rows for source in row["sources"]}
        used[split] = {identity[name] for name in names}
    return (used["train"] & used["dev"]) | (used["train"] & used["test"]) | (used["dev"] & used["test"])
