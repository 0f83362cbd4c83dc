"""ActivityNet-style annotations: ``{"database": {name: {"subset", "duration", "annotations": [...]}}}``.

ActionFormer, UMMAFormer and OpenTAD keep LAV-DF and its kin in this shape; an annotation has ``segment``
[start, end] in seconds and ``label``. Every annotation is a forged segment.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from avloc.datasets.annotation import (
    AnnotatedDataset,
    find_annotation,
    make_reference,
    read_text,
)
from avloc.datasets.fields import number_of, spans_of, word_of
from avloc.errors import AnnotationError
from avloc.registry import DATASETS
from avloc.structures import Reference

FILES = ("annotations.json",)


@DATASETS.register_module()
class ActivityNetDataset(AnnotatedDataset):
    """Recordings of an annotation file in ActivityNet's shape.

    Parameters
    ----------
    root : str or Path
        The file, or the folder with ``annotations.json``; names are relative to that folder.
    split : str or None
        Value of ``subset``.

    Raises
    ------
    AnnotationError
        With file and name.
    """

    names = ("activitynet",)

    def __init__(self, *, root: str | Path, split: str | None = None) -> None:
        path = find_annotation(root, FILES)
        super().__init__(path, path.parent, activitynet_references(path), split=split)


def activitynet_references(path: Path) -> Iterator[Reference]:
    """Truth of every name under ``database``, in file order."""
    try:
        database = json.loads(read_text(path))["database"].items()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AnnotationError(f"{str(path)!r}: expected an object with 'database', got {error!r}") from error
    for name, entry in database:
        where = f"{str(path)!r}, {name!r}"
        try:
            found = {"segments": [annotation["segment"] for annotation in entry.get("annotations") or ()]}
        except (AttributeError, KeyError, TypeError) as error:
            raise AnnotationError(f"{where}: expected 'annotations' with 'segment', got {error!r}") from error
        yield make_reference(
            name,
            spans_of(found, "segments", where),
            duration=number_of(entry, "duration", where),
            attributes={"split": word_of(entry, "subset", where)},
        )
