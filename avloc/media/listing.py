"""Which recordings a run is about: paths as given, folders walked, lists read; each with an id of its own.

Only names are looked at here: what a file holds is found out when it is opened.
"""

import csv
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avloc.errors import AnnotationError

HIDDEN = "."  # names that begin with it are left out of a walk
COLUMNS = ("path", "id")  # of a list; all others pass through


@dataclass(frozen=True, slots=True)
class Input:
    """One recording of a run: where it lies, its id in every output, and what passes through with it."""

    path: str
    id: str
    extra: Mapping[str, str] | None = None


def list_inputs(
    paths: Sequence[str], *, files_from: str | None = None, recursive: bool = False
) -> list[Input]:
    """List the recordings of a run in the order in which they are analysed.

    Parameters
    ----------
    paths : sequence of str
        As the user gave them; nothing is looked up, except folders with ``recursive``.
    files_from : str, optional
        A list of more of them, which come after ``paths``: see ``read_list``.
    recursive : bool
        Put the files of a folder in its place, sorted, with ids relative to it, after an id of its own if it
        has one. Names that begin with a dot are left out; a folder that a link leads back to is walked once;
        one that cannot be read stays, and so does an empty one where there are other recordings.

    Returns
    -------
    list of Input
        With distinct ids: an id that is there already gets ``#2``, ``#3``, …

    Raises
    ------
    AnnotationError
        As of ``read_list``.
    """
    given = [Input(path, path) for path in paths]
    if files_from is not None:
        given += read_list(files_from)
    # An empty folder stays beside others: every path of the user has a row.
    walked = [list(_walk(item)) if recursive else [item] for item in given]
    if not any(walked):
        return []
    return list(
        _with_distinct_ids(
            [one for item, below in zip(given, walked, strict=True) for one in below or [item]]
        )
    )


def read_list(name: str) -> list[Input]:
    """Read a list of recordings.

    Parameters
    ----------
    name : str
        A file, or ``-`` for stdin. Either one path a line, or CSV whose first line has a column ``path``; its
        column ``id`` names the recording in outputs (the path without it), other columns pass through.
        Paths are relative to the working folder. Empty lines are skipped.

    Raises
    ------
    AnnotationError
        If the list cannot be read, holds no recording, has a column twice, a row of another length, a row
        without a path, or an id twice.
    """
    where = "the list on stdin" if name == "-" else f"the list {name!r}"
    try:
        raw = sys.stdin.buffer.read() if name == "-" else _read_bytes(name)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise AnnotationError(f"{where} cannot be read: {why}") from error
    text = os.fsdecode(raw.removeprefix(b"\xef\xbb\xbf"))  # names may hold bytes that are no text
    try:
        header = next(csv.reader(io.StringIO(text, newline="")), [])
        rows = _read_rows(text, where) if "path" in header else None
    except csv.Error as error:
        raise AnnotationError(f"{where} is neither lines nor CSV: {error}") from error
    if rows is not None:
        inputs = rows
    elif Path(name).suffix.lower() == ".csv":
        raise AnnotationError(f"{where}: expected a column 'path' in its first line, got {header}")
    else:
        inputs = [Input(line, line) for line in text.replace("\r\n", "\n").split("\n") if line]
    if not inputs:
        raise AnnotationError(f"{where} names no recording")
    return inputs


def _read_bytes(name: str) -> bytes:
    with open(name, "rb") as file:  # not Path, which takes an empty name for the working folder
        return file.read()


def _read_rows(text: str, where: str) -> list[Input]:
    reader = csv.reader(io.StringIO(text, newline=""))  # a quoted name may hold a line end
    header = next(reader)
    for column in header:
        if header.count(column) > 1:
            raise AnnotationError(f"{where}: the column {column!r} is there {header.count(column)} times")
    inputs, lines = [], {}
    for row in reader:
        place = f"{where}, line {reader.line_num}"
        if not row:
            continue
        if len(row) != len(header):
            raise AnnotationError(f"{place}: expected {len(header)} columns, got {len(row)}")
        values = dict(zip(header, row, strict=True))
        path = values["path"]
        if not path:
            raise AnnotationError(f"{place}: the column 'path' is empty")
        extra = {name: value for name, value in values.items() if name not in COLUMNS} or None
        id = values.get("id") or path
        if "id" in header and (first := lines.setdefault(id, reader.line_num)) != reader.line_num:
            raise AnnotationError(f"{place}: the id {id!r} is that of line {first}; make ids unique")
        inputs.append(Input(path, id, extra))
    return inputs


def _walk(item: Input) -> Iterator[Input]:
    """Yield the files below a folder, sorted; anything else as it is."""
    if not os.path.isdir(item.path):
        yield item
        return
    unreadable: list[OSError] = []
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(item.path, followlinks=True, onerror=unreadable.append):
        try:
            status = os.stat(folder)
        except OSError as error:  # it has gone since it was listed
            unreadable.append(error)
            continue
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(HIDDEN))
        for name in sorted(names):
            if not name.startswith(HIDDEN):
                yield _below(item, os.path.join(folder, name))
    for error in unreadable:
        yield _below(item, os.fspath(error.filename))


def _below(item: Input, path: str) -> Input:
    inside = os.path.relpath(path, item.path)
    return Input(path, inside if item.id == item.path else f"{item.id}/{inside}", item.extra)


def _with_distinct_ids(inputs: Sequence[Input]) -> Iterator[Input]:
    """Give an id that comes again a number.

    Bytes of a name that are no UTF-8 are spelt out in documents, and so they are compared that way.
    """
    taken: set[bytes] = set()
    for item in inputs:
        id, number = item.id, 1
        while (written := id.encode("utf-8", "backslashreplace")) in taken:
            number += 1
            id = f"{item.id}#{number}"
        taken.add(written)
        yield Input(item.path, id, item.extra)
