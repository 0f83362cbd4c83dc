"""PartialSpoof 1.2: labels of short stretches of sound.

``segment_labels/{split}_seglab_{0.01 ... 0.64}.npy`` holds a pickled dict from recording to an array of text,
'1' for bona fide and '0' for spoof, one for each stretch of as many seconds as the name says. The pickle is
read without running anything in it: only NumPy's arrays of plain types are made.
"""

import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from avloc.datasets.annotation import AnnotatedDataset, make_reference
from avloc.errors import AnnotationError
from avloc.registry import DATASETS
from avloc.structures import Reference

SPLITS = ("train", "dev", "eval")
NAME = re.compile(r"(?P<split>[a-z]+)_seglab_(?P<step>0\.[0-9]+)\.npy")
ALLOWED = {
    *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
    *((f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


@DATASETS.register_module()
class PartialSpoofDataset(AnnotatedDataset):
    """Recordings of PartialSpoof.

    Parameters
    ----------
    root : str or Path
        The folder of the data base, its ``segment_labels``, or one ``.npy`` file.
    split : str or None
        ``"train"``, ``"dev"`` or ``"eval"``; None: the first that is there.
    step_s : float or None [s]
        Length of a stretch; None: the shortest that is there.

    Raises
    ------
    AnnotationError
        With file and recording.
    """

    def __init__(self, *, root: str | Path, split: str | None = None, step_s: float | None = None) -> None:
        path = _find(Path(root), split, step_s)
        told = NAME.fullmatch(path.name)["split"]
        folder = path.parent.parent if path.parent.name == "segment_labels" else path.parent
        super().__init__(
            path,
            folder,
            partialspoof_references(path),
            split=split,
            place=lambda reference: f"{told}/con_wav/{reference.recording_id}.wav",
        )


def partialspoof_references(path: Path) -> Iterator[Reference]:
    """Truth of every recording of one file, in its order."""
    told = NAME.fullmatch(path.name)
    if told is None:
        raise AnnotationError(f"{str(path)!r}: expected a name such as 'dev_seglab_0.16.npy'")
    step_ms = round(float(told["step"]) * 1000)
    for name, labels in _read(path).items():
        labels = np.asarray(labels)
        if labels.ndim != 1 or not np.isin(labels.astype(str), ("0", "1")).all():
            raise AnnotationError(
                f"{str(path)!r}, {name!r}: expected '1' (bona fide) or '0' (spoof) a stretch"
            )
        spoof = np.concatenate([[False], labels.astype(str) == "0", [False]])
        edges = np.flatnonzero(spoof[1:] != spoof[:-1]).reshape(-1, 2)
        rows = tuple((first * step_ms / 1000, end * step_ms / 1000) for first, end in edges.tolist())
        attributes = {"split": told["split"], "modality": "audio" if rows else "none"}
        yield make_reference(
            str(name), rows, audio=rows, duration=len(labels) * step_ms / 1000, attributes=attributes
        )


def _find(root: Path, split: str | None, step_s: float | None) -> Path:
    if root.is_file():
        return root
    folder = root / "segment_labels" if (root / "segment_labels").is_dir() else root
    found = []
    for path in folder.glob("*.npy") if folder.is_dir() else ():
        told = NAME.fullmatch(path.name)
        if told and split in (None, told["split"]) and step_s in (None, float(told["step"])):
            order = SPLITS.index(told["split"]) if told["split"] in SPLITS else len(SPLITS)
            found.append((order, float(told["step"]), path))
    if not found:
        raise AnnotationError(
            f"{str(folder)!r}: expected {split or 'SPLIT'}_seglab_{step_s or 'SECONDS'}.npy, none is there"
        )
    return min(found)[2]


class _PlainUnpickler(pickle.Unpickler):
    """Makes containers, text, numbers and NumPy arrays of them, and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return super().find_class(module, name)


def _read(path: Path) -> dict:
    try:
        with path.open("rb") as stream:
            _pass_header(stream)
            value = _PlainUnpickler(stream).load()
        value = value.item() if isinstance(value, np.ndarray) else value
    except OSError as error:
        raise AnnotationError(f"{str(path)!r}: cannot be read: {error.strerror or error}") from error
    # A damaged pickle may raise anything; nothing of it has run.
    except Exception as error:
        raise AnnotationError(f"{str(path)!r}: expected a pickled dict of label arrays: {error}") from error
    if not isinstance(value, dict):
        raise AnnotationError(
            f"{str(path)!r}: expected a pickled dict of label arrays, got {type(value).__name__}"
        )
    return value


def _pass_header(stream: BinaryIO) -> None:
    """Move to the pickle behind the header of an ``.npy`` file, and see that it is one."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype != np.dtype(object) or shape != ():
        raise ValueError(f"the array has the shape {shape} and the type {dtype}")
