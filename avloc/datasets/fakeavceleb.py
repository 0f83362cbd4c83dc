"""FakeAVCeleb v1.2: labels of whole recordings.

``meta_data.csv`` has the columns source, target1, target2, method, category, type, race, gender, path, and an
unnamed one that holds the folder. Category A is genuine in both streams, B forged in the sound, C in the
picture, D in both; type says the same in words and wins where they differ. What is forged is the whole
recording, whose length only its header tells.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from avloc.datasets.annotation import AnnotatedDataset, by_stream, find_annotation, make_reference, read_text
from avloc.errors import AnnotationError, MediaError
from avloc.registry import DATASETS
from avloc.structures import Reference

FILES = ("meta_data.csv",)
TYPES = {
    "RealVideo-RealAudio": "none",
    "RealVideo-FakeAudio": "audio",
    "FakeVideo-RealAudio": "visual",
    "FakeVideo-FakeAudio": "both",
}
CATEGORIES = ("A", "B", "C", "D")  # in the order of TYPES


@DATASETS.register_module()
class FakeAvCelebDataset(AnnotatedDataset):
    """Recordings of FakeAVCeleb.

    Parameters
    ----------
    root : str or Path
        The folder with ``meta_data.csv``, or that file. The forged recordings lie beside it: their headers
        are read for their length.
    split : None
        The set has no splits.

    Raises
    ------
    AnnotationError
        With file and line, also where a forged recording is not there.
    """

    names = ("fakeavceleb",)
    marks = FILES

    def __init__(self, *, root: str | Path, split: str | None = None) -> None:
        path = find_annotation(root, FILES)
        super().__init__(path, path.parent, fakeavceleb_references(path), split=split)


def fakeavceleb_references(path: Path) -> Iterator[Reference]:
    """Truth of every line, in file order."""
    for name, row, where in _rows(path):
        modality = _modality(row, where)
        duration = whole_duration(path.parent / name, where) if modality != "none" else None
        rows = () if duration is None else ((0.0, duration),)
        audio, visual = by_stream(rows, modality)
        attributes = {key: row[key] for key in ("category", "race", "gender") if row.get(key)}
        attributes |= {"modality": modality, "generator": row.get("method") or None}
        if row.get("source"):
            attributes["source"] = row["source"]
        yield make_reference(name, rows, audio=audio, visual=visual, duration=duration, attributes=attributes)


def fakeavceleb_names(path: Path) -> list[str]:
    """Names of every line, in file order; no recording is opened."""
    return [name for name, _, _ in _rows(path)]


def _rows(path: Path) -> Iterator[tuple[str, dict, str]]:
    """Name, columns and place of every line."""
    reader = csv.DictReader(read_text(path).splitlines())
    columns = reader.fieldnames or []
    if "path" not in columns or not {"type", "category"} & set(columns):
        raise AnnotationError(f"{str(path)!r}: expected the columns path and type, got {columns}")
    for line, row in enumerate(reader, start=2):
        where = f"{str(path)!r}, line {line}"
        yield _place(row, where), row, where


def whole_duration(path: Path, where: str) -> float:
    """Length of a recording in seconds, from its header: the end of a label that means all of it.

    Raises
    ------
    AnnotationError
        If the recording cannot be opened.
    """
    from avloc.media.probe import open_recording

    try:
        duration = open_recording(path).duration
    except MediaError as error:
        raise AnnotationError(
            f"{where}: the label means the whole recording, whose length only its header tells: {error}"
        ) from error
    if not duration:
        raise AnnotationError(f"{where}: {str(path)!r} does not say how long it is")
    return duration


def _place(row: dict, where: str) -> str:
    """File below the folder of the set: the unnamed column is its folder, ``path`` its name."""
    name, folder = row.get("path") or "", (row.get("") or "").strip("/")
    if not name:
        raise AnnotationError(f"{where}: expected a file under 'path'")
    folder = folder.removeprefix("FakeAVCeleb/")
    return name if not folder or name.startswith(f"{folder}/") else f"{folder}/{name}"


def _modality(row: dict, where: str) -> str:
    kind, category = row.get("type") or "", row.get("category") or ""
    if kind in TYPES:
        return TYPES[kind]
    if not kind and category in CATEGORIES:
        return tuple(TYPES.values())[CATEGORIES.index(category)]
    raise AnnotationError(f"{where}: type must be one of {sorted(TYPES)}, got {kind!r}")
