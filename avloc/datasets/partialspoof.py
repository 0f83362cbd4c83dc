"""PartialSpoof 1.2: labels of short stretches of sound.

``segment_labels/{split}_seglab_{0.01 ... 0.64}.npy`` holds a pickled dict from recording to an array of text,
'1' for bona fide and '0' for spoof, one for each stretch of as many seconds as the name says. The pickle is
read without running anything in it: what NumPy would build arrays of is only noted, and arrays of text and
integers are made of these notes afterwards.
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
PLAIN_TYPE = re.compile(r"[SUiu][0-9]{1,4}")


@DATASETS.register_module()
class PartialSpoofDataset(AnnotatedDataset):
    """Recordings of PartialSpoof.

    Parameters
    ----------
    root : str or Path
        The folder of the data base, its ``segment_labels``, or one ``.npy`` file.
    split : str or None
        ``"train"``, ``"dev"`` or ``"eval"``; None: the only one that is there.
    step_s : float or None [s]
        Length of a stretch; None: the shortest that is there.

    Raises
    ------
    AnnotationError
        With file and recording.
    """

    names = ("partialspoof",)

    def __init__(self, *, root: str | Path, split: str | None = None, step_s: float | None = None) -> None:
        there = self.splits_in(Path(root))
        if split is None and len(there) > 1:
            raise AnnotationError(f"{str(root)!r}: holds the splits {list(there)}; name one")
        path = _find(Path(root), split, step_s)
        told = NAME.fullmatch(path.name)["split"]
        folder = path.parent.parent if path.parent.name == "segment_labels" else path.parent
        super().__init__(
            path,
            folder,
            partialspoof_references(path),
            split=split,
            place=lambda reference, media: f"{told}/con_wav/{reference.recording_id}.wav",
        )

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether a folder, or its ``segment_labels``, holds files of labels."""
        return any(True for _ in _label_files(folder))

    @classmethod
    def splits_in(cls, folder: Path) -> tuple[str, ...]:
        """Give the splits whose labels are there, in the order of ``SPLITS``."""
        there = {told["split"] for _, told in _label_files(folder)}
        return (*(name for name in SPLITS if name in there), *sorted(there - set(SPLITS)))


def partialspoof_references(path: Path) -> Iterator[Reference]:
    """Truth of every recording of one file, in its order."""
    told = NAME.fullmatch(path.name)
    if told is None:
        raise AnnotationError(f"{str(path)!r}: expected a name such as 'dev_seglab_0.16.npy'")
    step_ms = round(float(told["step"]) * 1000)
    for name, labels in _read(path).items():
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
    found = [
        (float(told["step"]), path)
        for path, told in _label_files(root)
        if split in (None, told["split"]) and step_s in (None, float(told["step"]))
    ]
    if not found:
        raise AnnotationError(
            f"{str(root)!r}: expected {split or 'SPLIT'}_seglab_{step_s or 'SECONDS'}.npy there or in its "
            "segment_labels, none is there"
        )
    return min(found)[1]


def _label_files(root: Path) -> Iterator[tuple[Path, re.Match]]:
    """Give the files of labels in a folder or its ``segment_labels``, and what their names say."""
    folder = root / "segment_labels" if (root / "segment_labels").is_dir() else root
    for path in folder.glob("*.npy") if folder.is_dir() else ():
        if (told := NAME.fullmatch(path.name)) is not None:
            yield path, told


class _Note:
    """Stands for something of NumPy's that a pickle names; it keeps what it is given, and does nothing."""

    __slots__ = ("arguments", "made_by", "state")

    def __init__(self, made_by: str, arguments: tuple) -> None:
        self.made_by, self.arguments, self.state = made_by, arguments, None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Name:
    """Stands for a function or class of NumPy's: calling it makes a note."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *arguments: object) -> _Note:
        return _Note(self.name, arguments)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError(f"it would change {self.name}")


NAMES = {
    *(
        (f"numpy.{core}.multiarray", name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    ),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _PlainUnpickler(pickle.Unpickler):
    """Makes containers, text and numbers, and notes of everything of NumPy's; other names are refused."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in NAMES:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return _Name(name)


def _read(path: Path) -> dict[object, np.ndarray]:
    try:
        with path.open("rb") as stream:
            _pass_header(stream)
            value = _PlainUnpickler(stream).load()
        if isinstance(value, _Note):  # np.save wraps what is no array in one without dimensions
            (value,) = _items(value)
        if not isinstance(value, dict):
            raise ValueError(f"got {type(value).__name__}")
        return {name: _array(labels) for name, labels in value.items()}
    except OSError as error:
        raise AnnotationError(f"{str(path)!r}: cannot be read: {error.strerror or error}") from error
    # A damaged pickle may raise anything; nothing of it has run.
    except Exception as error:
        raise AnnotationError(f"{str(path)!r}: expected a pickled dict of label arrays: {error}") from error


def _array(value: object) -> np.ndarray:
    """Make labels (n,) of a note of an array, or of a list; ValueError for anything else."""
    if not isinstance(value, _Note):
        return np.array(_plain(value))
    kind, shape, data = _stored(value)
    if kind is None:
        return np.array(_plain(data))
    return np.frombuffer(_bytes(data), dtype=kind).reshape(shape)


def _items(note: _Note) -> list:
    """Give what an array of objects holds."""
    kind, _, data = _stored(note)
    if kind is not None or not isinstance(data, list):
        raise ValueError("the outermost array holds no objects")
    return data


def _stored(note: _Note) -> tuple[np.dtype | None, tuple[int, ...], object]:
    """Give type (None: objects), shape and content of a note of an array."""
    if note.made_by == "_reconstruct":
        _, shape, told, _, data = note.state
    elif note.made_by == "_frombuffer":
        data, told, shape, _ = note.arguments
    else:
        raise ValueError(f"{note.made_by} is no array")
    if not (isinstance(told, _Note) and told.made_by == "dtype" and isinstance(shape, tuple)):
        raise ValueError("an array has no type or no shape")
    if not all(type(n) is int for n in shape):
        raise ValueError(f"an array has the shape {shape!r:.60}")
    name, order = told.arguments[0], told.state[1] if told.state else "="
    if name == "O8":
        return None, shape, data
    if not (isinstance(name, str) and PLAIN_TYPE.fullmatch(name) and order in ("<", ">", "|", "=")):
        raise ValueError(f"an array has the type {name!r:.60}, neither text nor integers")
    return np.dtype(order + name), shape, data


def _plain(values: object) -> list[str | int]:
    if not (isinstance(values, list | tuple) and all(type(value) in (str, int) for value in values)):
        raise ValueError("labels are neither text nor integers")
    return list(values)


def _bytes(data: object) -> bytes:
    """Give the content of an array; protocol 2 writes bytes as text in Latin 1."""
    if isinstance(data, _Note) and data.made_by == "encode" and data.arguments[1:] == ("latin1",):
        data = str(data.arguments[0]).encode("latin1")
    if not isinstance(data, bytes | bytearray):
        raise ValueError("an array has no content")
    return bytes(data)


def _pass_header(stream: BinaryIO) -> None:
    """Move to the pickle behind the header of an ``.npy`` file, and see that it is one."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype != np.dtype(object) or shape != ():
        raise ValueError(f"the array has the shape {shape} and the type {dtype}")
