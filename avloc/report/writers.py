"""Results in every format: to a stream, to a whole file, or to one file a recording."""

import errno
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from avloc.report.exports.labels import labels
from avloc.report.files import AtomicFile, identity, make_writable, unique_name, write_whole
from avloc.report.schema import to_json
from avloc.report.tables import csv_header, csv_rows, text_block
from avloc.structures import Prediction


class Format(NamedTuple):
    """What stands before, between and after the recordings in one format, and its file suffix.

    ``is_single``: one file holds one recording.
    """

    row: Callable[[Prediction, bool], str]
    head: str = ""
    separator: str = ""
    tail: str = ""
    suffix: str = ""
    is_single: bool = False


def _json(prediction: Prediction, reproducible: bool) -> str:
    return to_json(prediction, reproducible=reproducible)


FORMATS = {
    "text": Format(lambda prediction, _: text_block(prediction), suffix=".txt"),
    "json": Format(_json, "[", ",", "]\n", suffix=".json"),
    "jsonl": Format(lambda prediction, reproducible: _json(prediction, reproducible) + "\n", suffix=".jsonl"),
    "csv": Format(lambda prediction, _: csv_rows(prediction), head=csv_header(), suffix=".csv"),
    "labels": Format(lambda prediction, _: labels(prediction), suffix=".labels.txt", is_single=True),
}
SINGLE_JSON = Format(_json, tail="\n", suffix=".json", is_single=True)
"""A JSON file that holds one document and no array."""


def write_report(
    predictions: Iterable[Prediction],
    path_or_stream: str | Path | IO[str],
    *,
    format: str = "json",
    array: bool | None = None,
    reproducible: bool = False,
) -> None:
    """Write what avloc says about some recordings.

    Parameters
    ----------
    predictions : iterable of Prediction
        Taken one at a time and written in this order.
    path_or_stream : str, Path or text stream
        A file, which appears under its name only when it is complete; a folder (one that exists, or a text
        with a slash at its end), which gets one file a recording; or a stream, flushed after each recording.
    format : {"json", "jsonl", "csv", "text", "labels"}
        What to write; labels (for Audacity) of one recording alone, or into a folder.
    array : bool, optional
        For a JSON file or stream: write an array, or the one document alone. By default an array unless
        there is exactly one prediction.
    reproducible : bool
        Leave ``timing`` out.

    Raises
    ------
    ValueError
        If the format is unknown, or ``array=False`` and there is not exactly one prediction, or the place
        has no name.
    FileExistsError
        If the place is one of the recordings: a recording is never replaced.
    OSError
        If the place cannot be written. A file that was there before is then as it was.
    """
    if array is None and format == "json":
        predictions = list(predictions)
        array = len(predictions) != 1
    known = predictions if isinstance(predictions, Sequence) else ()
    with ReportWriter(
        path_or_stream,
        format=format,
        array=bool(array),
        reproducible=reproducible,
        sources=[(prediction.recording.id, prediction.recording.path) for prediction in known],
    ) as report:
        for prediction in predictions:
            report.write(prediction)


class ReportWriter:
    """Writes recordings one at a time; parameters as in ``write_report``, but ``array`` is decided.

    It is a context manager. An exception that passes through it leaves a stream with what was written and a
    valid end, and a file as it was before. ``n_written`` counts recordings.

    ``sources`` are the ids and the paths, or open files, of recordings that will be written, as far as they
    are known: a place that is one of them is a FileExistsError at once, and later so is a recording whose
    result would replace it or one before it.
    """

    def __init__(
        self,
        path_or_stream: str | Path | IO[str],
        *,
        format: str = "json",
        array: bool = True,
        reproducible: bool = False,
        sources: Sequence[tuple[str, str | int]] = (),
    ) -> None:
        if format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
        if path_or_stream == "":
            raise ValueError("the name of the output is empty; name a file or a folder")
        self.n_written = 0
        self._format = FORMATS[format]
        self._reproducible = reproducible
        self._names: set[str] = set()
        self._folder = _folder(path_or_stream)
        self._file: AtomicFile | None = None
        self._stream: IO[str] | None = None
        self._is_over = False
        if format == "json" and (self.is_folder or not array):
            self._format = SINGLE_JSON
        self._other_way = "write an array instead" if format == "json" else "write into a folder instead"
        if self._format.is_single and not self.is_folder and len(sources) > 1:
            raise ValueError(f"{len(sources)} recordings do not go into one document; {self._other_way}")
        self._target = Path(path_or_stream) if isinstance(path_or_stream, str | Path) else None
        self._inputs = {identity(path) for _, path in sources}
        self._refuse_inputs(sources)
        if self.is_folder:
            make_writable(self._folder)
        elif self._target is not None:
            self._file = AtomicFile(self._target)
            self._stream = self._file.stream
        else:
            self._stream = path_or_stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
            elif self._file is None and not self.is_folder and self.n_written and not self._is_over:
                self._put(self._format.tail)
        finally:
            if self._file is not None:
                self._file.discard()

    @property
    def is_folder(self) -> bool:
        """Whether each recording gets a file of its own, so that one failure does not stop the others."""
        return self._folder is not None

    def write(self, prediction: Prediction) -> None:
        """Write one recording; nothing of it is written when it cannot be serialised."""
        row = self._format.row(prediction, self._reproducible)
        if prediction.recording.path != "-":  # stdin, no file of that name
            self._inputs.add(identity(prediction.recording.path))
        if self.is_folder:
            name = unique_name(prediction.recording.id, self._format.suffix, self._names)
            self._refuse_input(self._folder / name)
            write_whole(self._folder / name, self._format.head + row + self._format.tail)
        elif self._format.is_single and self.n_written:
            raise ValueError(f"expected one prediction for one document, got a second; {self._other_way}")
        else:
            if self._target is not None:
                self._refuse_input(self._target)
            self._put((self._format.separator if self.n_written else self._format.head) + row)
        self.n_written += 1

    def _refuse_inputs(self, sources: Sequence[tuple[str, str | int]]) -> None:
        """Look at every place that ``sources`` would be written to, before anything is."""
        if self.is_folder:
            names: set[str] = set()
            for id, _ in sources:
                self._refuse_input(self._folder / unique_name(id, self._format.suffix, names))
        elif self._target is not None:
            self._refuse_input(self._target)

    def _refuse_input(self, target: Path) -> None:
        found = identity(target)
        if found is not None and found in self._inputs:
            raise FileExistsError(
                errno.EEXIST,
                f"{str(target)!r} is one of the recordings, or a link to one, and would be replaced by the "
                "result; name another file or folder",
            )

    def finish(self) -> None:
        """Complete what was written and give a file its name; nothing after a failure or a second time."""
        if self.is_folder or self._is_over:
            return
        if not self.n_written:
            if self._format.is_single:
                raise ValueError(f"expected one prediction for one document, got none; {self._other_way}")
            self._put(self._format.head)
        self._put(self._format.tail)
        self._is_over = True
        if self._file is not None:
            self._file.publish()

    def _put(self, text: str) -> None:
        encoding = getattr(self._stream, "encoding", None)
        if encoding:  # a terminal of a small alphabet gets the rest spelt out
            text = text.encode(encoding, "backslashreplace").decode(encoding)
        try:
            self._stream.write(text)
            self._stream.flush()
        except BaseException:
            self._is_over = True
            raise


def _folder(path_or_stream: str | Path | IO[str]) -> Path | None:
    if not isinstance(path_or_stream, str | Path):
        return None
    path = Path(path_or_stream)
    return path if path.is_dir() or str(path_or_stream).endswith("/") else None
