"""What every data set offers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

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
