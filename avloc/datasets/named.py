"""Data sets by name, and which of them a file belongs to."""

import re
from pathlib import Path

from avloc.datasets.activitynet import ActivityNetDataset
from avloc.datasets.annotation import json_entries, read_text
from avloc.datasets.avdeepfake1m import AvDeepfake1mDataset
from avloc.datasets.base import Dataset
from avloc.datasets.fakeavceleb import FakeAvCelebDataset
from avloc.datasets.forgerynet import ForgeryNetDataset
from avloc.datasets.lavdf import LavDfDataset
from avloc.datasets.line_labels import LineLabelDataset
from avloc.datasets.manifest import ManifestDataset
from avloc.datasets.partialspoof import PartialSpoofDataset
from avloc.errors import AnnotationError, ConfigError
from avloc.registry import suggest

NAMED = {
    "lavdf": LavDfDataset,
    "psynd": LavDfDataset,
    "tvil": LavDfDataset,
    "avdeepfake1m": AvDeepfake1mDataset,
    "fakeavceleb": FakeAvCelebDataset,
    "forgerynet": ForgeryNetDataset,
    "partialspoof": PartialSpoofDataset,
    "had": LineLabelDataset,
    "add": LineLabelDataset,
    "activitynet": ActivityNetDataset,
    "manifest": ManifestDataset,
}
FOLDERS = {  # a file that only this data set has
    "metadata.json": "lavdf",
    "metadata.min.json": "lavdf",
    "val_metadata.json": "avdeepfake1m",
    "train_metadata.json": "avdeepfake1m",
    "meta_data.csv": "fakeavceleb",
    "video_list.txt": "forgerynet",
    "segment_labels": "partialspoof",
    "manifest.jsonl": "manifest",
}
TRIPLES = re.compile(r"\S+\s+[0-9]+(\s+-?[0-9]+)*\s*")
STRETCHES = re.compile(r"\S+\s+\S+-[TF](/\S+-[TF])*(\s+\S+)?\s*")


def build_dataset(name: str, *, root: str | Path, split: str | None = None) -> Dataset:
    """Open a data set by its name.

    Parameters
    ----------
    name : str
        ``lavdf``, ``psynd``, ``tvil``, ``avdeepfake1m``, ``fakeavceleb``, ``forgerynet``, ``partialspoof``,
        ``had``, ``add``, ``activitynet`` or ``manifest``.
    root : str or Path
        Its folder, or its annotation file. Nothing is ever written there.
    split : str or None
        As the annotation names it; None: all.

    Returns
    -------
    Dataset

    Raises
    ------
    ConfigError
        If the name is unknown, with the closest.
    AnnotationError
        With file and key, if the annotation is not as published.
    """
    if name not in NAMED:
        raise ConfigError(f"no data set is called {name!r}; {suggest(name, NAMED)}")
    return NAMED[name](root=root, split=split)


def name_of(root: str | Path) -> str:
    """Say which data set a folder or an annotation file belongs to, from what is in it.

    Raises
    ------
    AnnotationError
        If it is not there or of no known shape.
    """
    root = Path(root)
    if root.is_dir():
        found = next((name for file, name in FOLDERS.items() if (root / file).exists()), None)
        if found == "lavdf":
            return _name_of_json(root / next(f for f in FOLDERS if (root / f).exists()))
        if found is None:
            raise _unknown(root, f"a folder without {', '.join(FOLDERS)}")
        return found
    if not root.exists():
        raise AnnotationError(f"{str(root)!r}: expected an annotation file or folder, there is none")
    if root.suffix == ".npy":
        return "partialspoof"
    if root.suffix == ".csv":
        return "fakeavceleb"
    if root.suffix == ".jsonl":
        return "manifest"
    if root.suffix == ".txt":
        return _name_of_lines(root)
    return _name_of_json(root)


def _name_of_json(path: Path) -> str:
    with path.open("rb") as stream:
        beginning = stream.read(4096).decode("utf-8-sig", errors="replace").lstrip()
    if beginning.startswith("{"):
        if '"database"' in read_text(path):
            return "activitynet"
        raise _unknown(path, "an object without 'database'")
    for entry in json_entries(path):
        if {"fake_periods", "n_fakes"} & entry.keys():
            return "lavdf"
        if {"fake_segments", "modify_type"} & entry.keys():
            return "avdeepfake1m"
        raise _unknown(path, f"entries with the keys {sorted(entry)}")
    raise _unknown(path, "an empty list")


def _name_of_lines(path: Path) -> str:
    line = next((line for line in read_text(path).splitlines() if line.strip()), "")
    if STRETCHES.fullmatch(line):
        return "had"
    if TRIPLES.fullmatch(line):
        return "forgerynet"
    raise _unknown(path, f"lines such as {line[:80]!r}")


def _unknown(path: Path, found: str) -> AnnotationError:
    return AnnotationError(
        f"{str(path)!r}: expected the annotation of a data set, got {found}; known are a list of objects "
        "with fake_periods (LAV-DF) or fake_segments (AV-Deepfake1M), meta_data.csv (FakeAVCeleb), "
        "video_list.txt (ForgeryNet), *_seglab_*.npy (PartialSpoof), lines of s-e-T/s-e-F (HAD, ADD), an "
        "object with 'database' (ActivityNet), and manifest.jsonl"
    )
