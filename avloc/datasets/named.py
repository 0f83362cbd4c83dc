"""Data sets by name, and which of them a file belongs to."""

import re
from pathlib import Path

from avloc.datasets import (  # noqa: F401 - they register themselves
    activitynet,
    avdeepfake1m,
    fakeavceleb,
    forgerynet,
    manifest,
    partialspoof,
)
from avloc.datasets.annotation import first_line, json_entries, read_text
from avloc.datasets.base import Dataset, NamedDataset
from avloc.datasets.lavdf import LavDfDataset
from avloc.datasets.line_labels import is_of_stretches
from avloc.errors import AnnotationError, ConfigError
from avloc.registry import DATASETS, suggest

TRIPLES = re.compile(r"\S+\s+[0-9]+(\s+-?[0-9]+)*\s*")


def data_sets() -> dict[str, type[NamedDataset]]:
    """Give the registered data sets by the names that users call them.

    Examples
    --------
    >>> data_sets()["tvil"].__name__
    'LavDfDataset'
    """
    return {name: cls for cls in DATASETS.module_dict.values() for name in getattr(cls, "names", ())}


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
    return data_set(name)(root=root, split=split)


def data_set(name: str) -> type[NamedDataset]:
    """Give the data set of a name; ConfigError with the closest if there is none."""
    known = data_sets()
    if name not in known:
        raise ConfigError(f"no data set is called {name!r}; {suggest(name, known)}")
    return known[name]


def name_of(root: str | Path) -> str:
    """Say which data set a folder or an annotation file belongs to, from what is in it.

    Raises
    ------
    AnnotationError
        If it is not there, of no known shape, or a folder with the annotations of two data sets.
    """
    root = Path(root)
    if root.is_dir():
        return _name_of_folder(root)
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


def _name_of_folder(folder: Path) -> str:
    found = [cls for cls in dict.fromkeys(data_sets().values()) if cls.is_in(folder)]
    if len(found) > 1:
        names = [cls.names[0] for cls in found]
        raise AnnotationError(
            f"{str(folder)!r}: holds annotations of {names}; say which with --dataset, or give the file"
        )
    if not found:
        marks = sorted({mark for cls in data_sets().values() for mark in cls.marks})
        raise _unknown(folder, f"a folder without {', '.join(marks)} and without JSON beside recordings")
    if found[0] is LavDfDataset:  # AV-Deepfake1M may have a list of that name, too
        return _name_of_json(next(folder / mark for mark in found[0].marks if (folder / mark).exists()))
    return found[0].names[0]


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
    line = first_line(path)
    if is_of_stretches(line):
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
