"""HAD and ADD track 2: lines ``id s-e-T/s-e-F/... k`` in seconds, T genuine, F fake, k the class."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from avloc.datasets.annotation import AnnotatedDataset, find_annotation, make_reference, read_text
from avloc.errors import AnnotationError
from avloc.registry import DATASETS
from avloc.structures import Reference

FILES = ("label.txt", "labels.txt", "train_label.txt", "dev_label.txt", "test_label.txt")
STRETCH = re.compile(r"([0-9.eE+-]+?)-([0-9.eE+]+)-([TF])")


@DATASETS.register_module()
class LineLabelDataset(AnnotatedDataset):
    """Recordings of HAD or of the second track of ADD.

    Parameters
    ----------
    root : str or Path
        The label file, or its folder; ids are relative to that folder.
    split : None
        A file is one split.

    Raises
    ------
    AnnotationError
        With file and line.
    """

    def __init__(self, *, root: str | Path, split: str | None = None) -> None:
        path = find_annotation(root, FILES)
        super().__init__(path, path.parent, line_references(path), split=split, place=_place)


def line_references(path: Path) -> Iterator[Reference]:
    """Truth of every line, in file order; fake stretches that touch are one segment."""
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
        attributes = {"modality": "audio" if rows else "none"}
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
