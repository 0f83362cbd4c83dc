"""What every data set offers."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from avloc.structures import Recording, Reference


@runtime_checkable
class Dataset(Protocol):
    """Recordings with their truth, in the order of the published annotation."""

    def references(self) -> list[Reference]:
        """Give the truth of every recording; nothing is opened."""

    def recordings(self) -> Sequence[Recording]:
        """Open the headers of every recording."""

    def path_of(self, index: int, *, media: Path | None = None) -> Path:
        """Say where one recording lies, below ``media`` or beside the annotation; nothing is opened."""

    def __getitem__(self, index: int) -> tuple[Recording, Reference]:
        """Open one recording and give its truth with it."""

    def __len__(self) -> int:
        """Count the recordings."""


class NamedDataset:
    """A data set that users call by a name, and that is known by what lies in its folder.

    Attributes
    ----------
    names : tuple of str
        What users call it; several for sets that share a format.
    marks : tuple of str
        Files or folders of which its folder has one, and that of no other data set has any.
    """

    names: ClassVar[tuple[str, ...]] = ()
    marks: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether a folder is one of this data set."""
        return any((folder / mark).exists() for mark in cls.marks)

    @classmethod
    def splits_in(cls, folder: Path) -> tuple[str, ...]:
        """Give the splits of a folder that have annotations of their own; none where one file holds all."""
        return ()
