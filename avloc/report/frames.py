"""The scores of every frame, as CSV or as arrays: one file a recording."""

import errno
import math
from collections.abc import Sequence
from pathlib import Path

from avloc.report.files import AtomicFile, identity, make_writable, unique_name
from avloc.structures import FrameTable, Prediction

COLUMNS = ("time_s", "source_frame", "channel", "face", "score_audio", "score_visual", "score", "in_segment")
BLOCK_ROWS = 4096
SUFFIXES = (".csv", ".npz")
NAMED = "that ends with .csv or .npz"


class FrameWriter:
    """Writes the frames of recordings into a folder, one CSV file each, or of one recording into a file.

    Parameters
    ----------
    target : str
        A name that ends with ``.csv`` or ``.npz``: the file of the one recording. A name without a suffix or
        with ``/`` at its end, and that of a folder which is there: a folder, made if need be, for files
        ``ID.frames.csv``.
    sources : sequence of (str, str or int)
        Ids and paths, or open files, of the recordings that will be written.

    Raises
    ------
    ValueError
        If the name is empty, has another suffix, or names one file for several recordings.
    FileExistsError
        If the place is one of the recordings.
    OSError
        If the folder cannot be made.
    """

    def __init__(self, target: str, *, sources: Sequence[tuple[str, str | int]]) -> None:
        if not target:
            raise ValueError("the name is empty; name a file or a folder")
        self._target = Path(target)
        self._inputs = {identity(path) for _, path in sources} - {None}
        self._names: set[str] = set()
        suffix = self._target.suffix.lower()
        self.is_folder = self._target.is_dir() or target.endswith("/") or not suffix
        if self._target.exists() and self.is_folder != self._target.is_dir():
            raise ValueError(f"{target!r} is there and no folder; name a file {NAMED} or a folder")
        if self.is_folder:
            make_writable(self._target)
        elif suffix not in SUFFIXES:
            raise ValueError(
                f"{target!r} has another suffix; name a file {NAMED}, or a folder as {target + '/'!r}"
            )
        elif len(sources) != 1:
            raise ValueError(f"{target!r} is one file, for {len(sources)} recordings; name a folder")
        else:
            self._refuse_input(self._target)
            AtomicFile(self._target).discard()  # tell now that it cannot be written

    def write(self, prediction: Prediction) -> None:
        """Write the frames of a recording; a table without rows where it could not be analysed."""
        path = self._target
        if self.is_folder:
            path /= unique_name(prediction.recording.id, ".frames.csv", self._names)
        self._refuse_input(path)
        file = AtomicFile(path)
        try:
            if path.suffix.lower() == ".npz":
                _write_arrays(file, prediction.frames)
            else:
                _write_lines(file, prediction.frames)
            file.publish()
        finally:
            file.discard()

    def _refuse_input(self, path: Path) -> None:
        if identity(path) in self._inputs:
            message = f"{str(path)!r} is one of the recordings, or a link to one; name another file or folder"
            raise FileExistsError(errno.EEXIST, message)


def _write_arrays(file: AtomicFile, table: FrameTable | None) -> None:
    """Write an archive of arrays, which ``numpy.load`` reads."""
    import numpy as np  # here: it takes as long to load as all else that ``avloc --help`` needs

    columns = dict.fromkeys(COLUMNS, np.zeros(0)) if table is None else table.columns()
    np.savez_compressed(file.stream.buffer, **columns)


def _write_lines(file: AtomicFile, table: FrameTable | None) -> None:
    """Write CSV; what is none is an empty cell."""
    file.stream.write(",".join(COLUMNS) + "\n")
    for start in range(0, 0 if table is None else len(table), BLOCK_ROWS):
        block = [values[start : start + BLOCK_ROWS] for values in table.columns().values()]
        cells = [[_cell(value) for value in values.tolist()] for values in block]
        file.stream.writelines(",".join(row) + "\n" for row in zip(*cells, strict=True))


def _cell(value: float | int | bool) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6f}"
    if isinstance(value, bool):
        return str(int(value))
    return "" if value < 0 else str(value)
