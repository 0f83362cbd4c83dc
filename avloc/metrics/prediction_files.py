"""Files of predictions, whoever wrote them, as a ``SegmentTable``; and files of one score a recording.

Three shapes are read, told apart by their first bytes: ``{file: [[score, start_s, end_s], ...]}`` (the
challenge of AV-Deepfake1M), ActivityNet's ``{"results": {file: [{"score", "segment"}, ...]}}`` (ActionFormer,
UMMAFormer, OpenTAD), and result documents of avloc, one, a list or one a line. Lines are read one by one:
those of a whole data set are gigabytes.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from avloc.errors import AnnotationError
from avloc.metrics.parsing import parse_rows
from avloc.metrics.table import SegmentTable

DOCUMENT = "avloc.result/"
PEEK_BYTES = 2**16
LINES_TOGETHER = 2**12  # documents whose rows are Python objects at one time
# The first name of an object and the first character of its value.
FIRST_VALUE = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*([^\s\[])', re.DOTALL)
LIST = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[")


@dataclass(frozen=True, slots=True)
class PredictionFile:
    """Rows of a file, and the score of each recording where the file tells it apart from its rows."""

    rows: SegmentTable
    scores: dict[str, float]


def read_predictions(path: str | Path, *, skip_invalid: bool = False) -> SegmentTable:
    """Read the rows of a file of predictions; see ``read_prediction_file``."""
    return read_prediction_file(path, skip_invalid=skip_invalid).rows


def read_prediction_file(path: str | Path, *, skip_invalid: bool = False) -> PredictionFile:
    """Read a file of predictions.

    Parameters
    ----------
    path : str or Path
        See the module.
    skip_invalid : bool
        Drop rows that are not three finite numbers with end >= start, and count them, instead of refusing
        them.

    Returns
    -------
    PredictionFile
        In the order of the file. A recording that could not be analysed has an entry without rows. Only
        result documents tell scores.

    Raises
    ------
    AnnotationError
        With file and name, if it cannot be read, is of no known shape, or holds an invalid row.
    """
    source = repr(str(path))
    try:
        with open(path, "rb") as stream:
            beginning = stream.read(PEEK_BYTES)
            stream.seek(0)
            if not (FIRST_VALUE.match(beginning) or LIST.match(beginning)):
                return PredictionFile(parse_rows(stream, source=source, skip_invalid=skip_invalid), {})
            first = next(line for line in stream if line.strip())
            has_more_lines = bool(stream.read(1))
            stream.seek(0)
            if has_more_lines and _is_document(first):
                return read_document_lines(stream, source=source, skip_invalid=skip_invalid)
            documents = list(_documents(stream.read(), source))
            rows = _rows_of_documents(documents, source)
            if rows is None:  # its first entry is no list: let the parser say so
                stream.seek(0)
                return PredictionFile(parse_rows(stream, source=source, skip_invalid=skip_invalid), {})
    except OSError as error:
        raise AnnotationError(
            f"{source}: expected a file of predictions: {error.strerror or error}"
        ) from error
    table = SegmentTable.from_rows(rows, source=source, skip_invalid=skip_invalid)
    return PredictionFile(table, _scores_of_documents(documents))


def read_document_lines(
    stream: BinaryIO, *, source: str, skip_invalid: bool = False, may_be_cut: bool = False
) -> PredictionFile:
    """Read result documents, one a line.

    Parameters
    ----------
    stream : binary file
        Read from where it stands to its end; blank lines are skipped.
    source : str
        What messages call it.
    skip_invalid : bool
        As of ``read_prediction_file``.
    may_be_cut : bool
        Leave out a last line without a line end: whoever writes it has not finished.

    Returns
    -------
    PredictionFile

    Raises
    ------
    AnnotationError
        With source and line, if one is no result document, or names a recording again.
    """
    tables: list[SegmentTable] = []
    scores: dict[str, float] = {}
    rows: dict[str, list] = {}
    for number, line in enumerate(stream, start=1):
        if not line.strip() or (may_be_cut and not line.endswith(b"\n")):
            continue
        where = f"{source}, line {number}"
        try:
            document = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise AnnotationError(f"{where}: expected JSON: {error}") from error
        _add_document(document, rows, where)
        scores |= _scores_of_documents([document])
        if len(rows) == LINES_TOGETHER:
            tables.append(SegmentTable.from_rows(rows, source=source, skip_invalid=skip_invalid))
            rows = {}
    tables.append(SegmentTable.from_rows(rows, source=source, skip_invalid=skip_invalid))
    return PredictionFile(SegmentTable.joined(tables, source=source), scores)


def _is_document(line: bytes) -> bool:
    """Whether the first line of a file is a result document as a whole."""
    try:
        document = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and str(document.get("schema")).startswith(DOCUMENT)


def _scores_of_documents(documents: list) -> dict[str, float]:
    """Score of each result document that has one."""
    return {
        document["input"]["id"]: float(document["score"])
        for document in documents
        if "input" in document and isinstance(document.get("score"), int | float)
    }


def _documents(content: bytes, source: str) -> Iterator[object]:
    """Give the documents of a file: one, or those of a list."""
    try:
        whole = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{source}: expected JSON or JSON lines: {error}") from error
    yield from whole if isinstance(whole, list) else [whole]


def _rows_of_documents(documents: list, source: str) -> dict[str, list] | None:
    """Rows by recording, of ActivityNet's results or of avloc's documents; None for any other object."""
    results = documents[0].get("results") if len(documents) == 1 and isinstance(documents[0], dict) else None
    if isinstance(results, dict):
        return {name: _activitynet_rows(entries, name, source) for name, entries in results.items()}
    if len(documents) == 1 and isinstance(documents[0], dict) and "schema" not in documents[0]:
        return None
    rows: dict[str, list] = {}
    for number, document in enumerate(documents):
        _add_document(document, rows, f"{source}, document {number}")
    return rows


def _add_document(document: object, rows: dict[str, list], where: str) -> None:
    """Add the rows of a result document."""
    if not (isinstance(document, dict) and str(document.get("schema")).startswith(DOCUMENT)):
        raise AnnotationError(
            f"{where}: expected {{file: [[score, start_s, end_s], ...]}}, ActivityNet's results or "
            f"documents of the schema {DOCUMENT + '1'!r}, got {type(document).__name__}"
        )
    try:
        name = str(document["input"]["id"])
        segments = [[s["score"], s["start_s"], s["end_s"]] for s in document["segments"]]
    except (KeyError, TypeError) as error:
        raise AnnotationError(f"{where}: expected input.id and segments, got {error!r}") from error
    if name in rows:
        raise AnnotationError(f"{where}: {name!r} stands twice; give every recording an id of its own")
    rows[name] = segments


def _activitynet_rows(entries: object, name: str, source: str) -> list[list]:
    try:
        # A text as a segment is kept whole, so that it is refused as a row and not read digit by digit.
        return [[entry["score"], *_listed(entry["segment"])] for entry in entries]
    except (KeyError, TypeError) as error:
        raise AnnotationError(
            f"{source}: {name!r}: expected a list of objects with 'score' and 'segment' under 'results', "
            f"got {error!r}"
        ) from error


def _listed(segment: object) -> list:
    return [segment] if isinstance(segment, str) else list(segment)


def read_scores(path: str | Path, *, skip_invalid: bool = False) -> tuple[dict[str, float], int]:
    """Read ``file;score`` lines, the text file of the challenge.

    Parameters
    ----------
    path : str or Path
        One recording a line, without a header.
    skip_invalid : bool
        Drop lines that are not a name and a finite score, and count them, instead of refusing them.

    Returns
    -------
    tuple
        Score by recording, and the number of lines that were dropped.

    Raises
    ------
    AnnotationError
        With file and line.
    """
    scores: dict[str, float] = {}
    n_skipped = 0
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{str(path)!r}: expected lines of file;score, got {error!r}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, _, text = line.rpartition(";")
        problem = _score_problem(name, text, scores)
        if problem is None:
            scores[name] = float(text)
        elif skip_invalid:
            n_skipped += 1
        else:
            raise AnnotationError(f"{str(path)!r}, line {number}: {problem}, got {line[:200]!r}")
    return scores, n_skipped


def _score_problem(name: str, text: str, known: Mapping[str, float]) -> str | None:
    try:
        is_finite = math.isfinite(float(text))
    except ValueError:
        is_finite = False
    if not name or not is_finite:
        return "expected file;score with a finite score"
    if ";" in name:
        return "a name must not hold ';', which ends it"
    return f"{name!r} stands twice" if name in known else None
