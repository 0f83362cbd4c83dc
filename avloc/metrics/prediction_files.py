"""Files of predictions, whoever wrote them, as a ``SegmentTable``; and files of one score a recording.

Three shapes are read, told apart by their first bytes: ``{file: [[score, start_s, end_s], ...]}`` (the
challenge of AV-Deepfake1M), ActivityNet's ``{"results": {file: [{"score", "segment"}, ...]}}`` (ActionFormer,
UMMAFormer, OpenTAD), and result documents of avloc, one, a list or one a line.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from avloc.errors import AnnotationError
from avloc.metrics.parsing import parse_rows
from avloc.metrics.table import SegmentTable

DOCUMENT = "avloc.result/"
PEEK_BYTES = 2**16
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


def _scores_of_documents(documents: list) -> dict[str, float]:
    """Score of each result document that has one."""
    return {
        document["input"]["id"]: float(document["score"])
        for document in documents
        if "input" in document and isinstance(document.get("score"), int | float)
    }


def _documents(content: bytes, source: str) -> Iterator[object]:
    """Give the documents of a file: one, those of a list, or one a line."""
    try:
        text = content.decode("utf-8-sig")
        try:
            whole = json.loads(text)
        except json.JSONDecodeError as error:
            if not error.msg.startswith("Extra data"):
                raise
            whole = [json.loads(line) for line in text.splitlines() if line.strip()]
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
        where = f"{source}, document {number}"
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
    return rows


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
