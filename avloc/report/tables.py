"""One recording in rows and in words: the CSV table and the text for a terminal."""

from collections.abc import Iterable, Iterator
from typing import Any

from avloc.report.reasons import explain
from avloc.report.schema import to_dict
from avloc.structures import Prediction

CSV_COLUMNS = (
    "id",
    "sha256",
    "status",
    "verdict",
    "score",
    "llr",
    "threshold",
    "coverage_audio",
    "coverage_visual",
    "duration_s",
    "reasons",
    "warnings",
    "message",
    "start_s",
    "end_s",
    "segment_score",
    "segment_llr",
    "modality",
    "channel",
    "face",
)
# A spreadsheet takes such a cell for a formula; tab and carriage return are skipped by some before they look.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

VERDICTS = {
    "forged_segments_found": "forged segments found",
    "none_found": "none found",
    "inconclusive": "inconclusive: nothing found, but not enough could be judged",
}
STATUSES = {"not_analysable": "could not be analysed", "error": "failed"}
MODALITIES = {"audio": "sound", "visual": "picture", "both": "both", "unknown": "unknown"}


def csv_header() -> str:
    """Line of column names."""
    return csv_line(CSV_COLUMNS)


def csv_rows(prediction: Prediction) -> str:
    """One line a segment, or one line with empty segment columns.

    Parameters
    ----------
    prediction : Prediction
        Any status.

    Returns
    -------
    str
        Lines of comma-separated cells; text that a spreadsheet would run as a formula starts with ``'``.
    """
    document = to_dict(prediction)
    coverage = document["analysed"]["coverage"]
    common = [
        document["input"]["id"],
        document["input"]["sha256"],
        *(document[key] for key in ("status", "verdict", "score", "llr", "threshold")),
        coverage["audio"],
        coverage["visual"],
        document["analysed"]["duration_s"],
        " ".join(document["reasons"]),
        " ".join(document["warnings"]),
        document["message"],
    ]
    keys = ("start_s", "end_s", "score", "llr", "modality", "channel", "face")
    rows = [[segment[key] for key in keys] for segment in document["segments"]] or [[None] * len(keys)]
    return "".join(csv_line([*common, *row]) for row in rows)


def text_block(prediction: Prediction) -> str:
    """Describe a recording in lines for a terminal, followed by an empty line.

    Parameters
    ----------
    prediction : Prediction
        Any status.

    Returns
    -------
    str
        Name, verdict, score, coverage, segments, and every reason and warning in words. Control characters
        of names and messages are spelt out, so that a name cannot steer the terminal.
    """
    document = to_dict(prediction)
    lines = [printable(document["input"]["id"])]
    lines += [f"  {title:<9} {text}" for title, text in _facts(document)]
    lines += _segment_lines(document["segments"])
    for title, codes in (("reason", document["reasons"]), ("warning", document["warnings"])):
        lines += [f"  {title:<9} {code}: {explain(code).meaning}" for code in codes]
    return "\n".join(lines) + "\n\n"


def csv_line(cells: Iterable[Any]) -> str:
    """One line of comma-separated cells, neutralised as in ``csv_rows``; None is an empty cell."""
    return ",".join(_cell(cell) for cell in cells) + "\n"


def _cell(value: Any) -> str:
    """Write a cell: text cannot start a formula, numbers stay numbers.

    The csv module leaves a carriage return unquoted when lines end with a line feed, and its own reader then
    refuses the line; so the quotes are set here.
    """
    if value is None:
        return ""
    text = "'" + value if isinstance(value, str) and value.startswith(FORMULA_STARTS) else str(value)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in '",\r\n') else text


def _facts(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Titles and texts of what is known of the whole recording."""
    if document["status"] != "analysed":
        yield "status", STATUSES[document["status"]]
        if document["message"]:
            yield "message", printable(document["message"])
        return
    threshold = document["threshold"]
    limit = "" if threshold is None else f" (threshold {threshold:.3f})"
    yield "verdict", VERDICTS[document["verdict"]] + limit
    if document["verdict"] == "none_found":
        yield "", "this does not show that the recording is genuine"
    if document["score"] is not None:
        yield "score", f"{document['score']:.3f} (ranks recordings; the segments decide the verdict)"
    yield "coverage", _coverage(document["analysed"]["coverage"])
    offset = document["sync"]["offset_s"]
    if offset is not None and abs(offset) >= 0.0005:  # what the three decimals can show
        yield "sync", f"sound {abs(offset):.3f} s {'late' if offset > 0 else 'early'}"
    if document["message"]:
        yield "message", printable(document["message"])


def _coverage(coverage: dict[str, float | None]) -> str:
    parts = (
        f"{name} absent" if coverage[key] is None else f"{coverage[key]:.1%} of the {name} analysed"
        for key, name in (("audio", "sound"), ("visual", "picture"))
    )
    return ", ".join(parts)


def _segment_lines(segments: list[dict[str, Any]]) -> list[str]:
    if not segments:
        return []
    lines = [f"  {'segments':<9} {'start':>12} {'end':>12} {'length':>9} {'score':>6}  forged"]
    for segment in segments:
        start, end = segment["start_s"], segment["end_s"]
        where = "".join(f", {key} {segment[key]}" for key in ("channel", "face") if segment[key] is not None)
        lines.append(
            f"  {'':<9} {_clock(start):>12} {_clock(end):>12} {end - start:>8.3f}s {segment['score']:>6.3f}"
            f"  {MODALITIES[segment['modality']]}{where}"
        )
    return lines


def _clock(time_s: float) -> str:
    """Hours, minutes and seconds with milliseconds, as players show them.

    Examples
    --------
    >>> _clock(3723.4567)
    '1:02:03.457'
    >>> _clock(59.9996)
    '0:01:00.000'
    """
    minutes, milliseconds = divmod(round(time_s * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{hours}:{minutes:02}:{seconds:02}.{milliseconds:03}"


def printable(text: str) -> str:
    """Text without control characters, line ends or marks that turn the direction of writing."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
