"""HAD and ADD track 2: lines ``id s-e-T/s-e-F/... k`` in seconds, T genuine, F fake, k the class."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from avloc.datasets.annotation import (
    SPLITS,
    AnnotatedDataset,
    find_annotation,
    first_line,
    make_reference,
    read_text,
)
from avloc.errors import AnnotationError
from avloc.registry import DATASETS
from avloc.structures import Reference

FILES = ("label.txt", "labels.txt")
OF_SPLIT = "{}_label.txt"
LINE = re.compile(r"\S+\s+\S+-[TF](/\S+-[TF])*(\s+\S+)?\s*")
STRETCH = re.compile(r"([0-9.eE+-]+?)-([0-9.eE+]+)-([TF])")


@DATASETS.register_module()
class LineLabelDataset(AnnotatedDataset):
    """Recordings of HAD or of the second track of ADD.

    Parameters
    ----------
    root : str or Path
        The label file, or its folder; ids are relative to that folder.
    split : str or None
        Whose ``{split}_label.txt`` is read from the folder; None: ``label.txt``, or the only one that is
        there.

    Raises
    ------
    AnnotationError
        With file and line.
    """

    names = ("had", "add")

    def __init__(self, *, root: str | Path, split: str | None = None) -> None:
        there = (split,) if split else self.splits_in(Path(root))
        if len(there) > 1:
            raise AnnotationError(f"{str(root)!r}: holds the splits {list(there)}; name one")
        path = find_annotation(root, [*(OF_SPLIT.format(name) for name in there), *FILES])
        super().__init__(path, path.parent, line_references(path), split=split, place=_place)

    @classmethod
    def splits_in(cls, folder: Path) -> tuple[str, ...]:
        """Give the splits whose ``{split}_label.txt`` is there, and no ``label.txt`` of all."""
        if any((folder / name).is_file() for name in FILES):
            return ()
        return tuple(name for name in SPLITS if (folder / OF_SPLIT.format(name)).is_file())

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether the first label file of a folder has lines of such stretches."""
        names = (*FILES, *(OF_SPLIT.format(name) for name in SPLITS))
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        return path is not None and is_of_stretches(first_line(path))


def is_of_stretches(line: str) -> bool:
    """Whether a line reads ``id s-e-T/s-e-F/... k``."""
    return LINE.fullmatch(line) is not None


def line_references(path: Path) -> Iterator[Reference]:
    """Truth of every line, in file order; fake stretches that touch are one segment."""
    split = next((name for name in SPLITS if path.name == OF_SPLIT.format(name)), None)
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{str(path)!r}, line {number}"
        fields = line.split()
        if len(fields) not in (2, 3):
            raise AnnotationError(f"{where}: expected 'id s-e-T/s-e-F/... k', got {line[:100]!r}")
        spans = [_stretch(text, where) for text in fields[1].split("/")]
        rows: list[tuple[float, float]] = []
        for start, end, is_fake in spans:
            if is_fake and rows and rows[-1][1] == start:
                rows[-1] = (rows[-1][0], end)
            elif is_fake:
                rows.append((start, end))
        attributes = {"split": split, "modality": "audio" if rows else "none"}
        duration = max(end for _, end, _ in spans)
        yield make_reference(
            fields[0], tuple(rows), audio=tuple(rows), duration=duration, attributes=attributes
        )


def _stretch(text: str, where: str) -> tuple[float, float, bool]:
    found = STRETCH.fullmatch(text)
    try:
        start, end = (float(found[1]), float(found[2])) if found else (math.nan, math.nan)
    except ValueError:
        start = end = math.nan
    if not 0 <= start <= end < math.inf:
        raise AnnotationError(f"{where}: expected start-end-T or start-end-F in seconds, got {text[:60]!r}")
    return start, end, found[3] == "F"


def _place(reference: Reference, media: Path) -> str:
    name = reference.recording_id
    return name if Path(name).suffix else f"{name}.wav"
