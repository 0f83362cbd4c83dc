"""The files of the AV-Deepfake1M challenge, from predictions in any shape that is read.

``prediction.json`` is ``{file: [[score, start_s, end_s], ...]}`` by descending score, ``prediction.txt`` has
``file;score`` lines without a header, and ``prediction.zip`` holds both, flat. The official scorer stops at a
recording without proposals, so such a one gets a row of score 0 and no length, which can serve no reference.
"""

import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from avloc.datasets.avdeepfake1m import listed_files
from avloc.errors import AnnotationError
from avloc.metrics.evaluate import some
from avloc.metrics.figures import highest_scores
from avloc.metrics.prediction_files import read_scores
from avloc.metrics.table import SegmentTable
from avloc.report.files import AtomicFile
from avloc.studies.predictions import read_all

JSON_NAME, TEXT_NAME, ZIP_NAME = "prediction.json", "prediction.txt", "prediction.zip"
NOTHING = [[0.0, 0.0, 0.0]]
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same predictions give the same bytes


def submit(
    predictions: str | Path,
    out: str | Path,
    *,
    files: str | Path | None = None,
    scores: str | Path | None = None,
    skip_invalid: bool = False,
) -> dict:
    """Write the files of a submission.

    Parameters
    ----------
    predictions : str or Path
        What ``read_all`` reads: a file, a folder of files, or the folder of a run.
    out : str or Path
        Folder that gets the three files; made where there is none.
    files : str or Path, or None
        The list of the challenge, such as ``test_files.txt``: its recordings, in its order, and no others.
        None: what the predictions hold.
    scores : str or Path, or None
        ``file;score`` lines. A recording that they do not name has the score of its result document, else
        that of its highest proposal, else 0.
    skip_invalid : bool
        Drop invalid rows and lines, and recordings that the list does not name, instead of refusing them.

    Returns
    -------
    dict
        ``files`` (paths of the three), ``n`` recordings, ``warnings``: recordings without an entry, a
        proposal or a score of their own, rows that were dropped, shards that are absent or unfinished.

    Raises
    ------
    AnnotationError
        With file and recording, if the predictions cannot be read, do not fit the list, or a name holds ``;``
        or a line end.
    OSError
        If a file cannot be written.
    """
    warnings: list[str] = []
    found = read_all(predictions, warnings, skip_invalid=skip_invalid)
    rows, told = found.rows, found.scores
    warnings += [f"{rows.n_skipped} invalid rows were dropped"] if rows.n_skipped else []
    ids = rows.ids if files is None else tuple(listed_files(files))
    warnings += _check_names(rows.ids, ids, str(files), skip_invalid)
    rows = rows.select(ids).by_score()
    final, unusual = _scores(rows, told, scores, skip_invalid)
    warnings += unusual
    if empty := [ids[r] for r in np.flatnonzero(rows.counts == 0)]:
        warnings.append(
            f"{len(empty)} recordings have no proposal and get a row of score 0 and no length: {some(empty)}"
        )
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / JSON_NAME, _json_parts(rows))
    _write(out / TEXT_NAME, (f"{name};{score}\n" for name, score in final.items()))
    _zip(out)
    files_written = [str(out / name) for name in (JSON_NAME, TEXT_NAME, ZIP_NAME)]
    return {"files": files_written, "n": len(ids), "warnings": warnings}


def _scores(
    rows: SegmentTable, told: dict[str, float], path: str | Path | None, skip_invalid: bool
) -> tuple[dict[str, float], list[str]]:
    """Give the score of every recording, and say where it is not the one that was to be expected.

    ``told`` are those of result documents, ``path`` the file of scores that wins over them.
    """
    highest = np.where(rows.counts > 0, highest_scores(rows), 0.0).tolist()
    final = {name: told.get(name, best) for name, best in zip(rows.ids, highest, strict=True)}
    if path is None:
        absent = [name for name in rows.ids if name not in told] if told else []
        return final, _lacking(absent, len(final), "in their result documents", "")
    given, n_skipped = read_scores(path, skip_invalid=skip_invalid)
    warnings = [f"{n_skipped} invalid lines of {str(path)!r} were dropped"] if n_skipped else []
    if unknown := [name for name in given if name not in final]:
        problem = f"{str(path)!r}: {len(unknown)} recordings are not submitted: {some(unknown)}"
        if not skip_invalid:
            raise AnnotationError(f"{problem}; take them out, or drop them with --skip-invalid")
        warnings.append(f"{problem}; their scores were dropped")
    absent = [name for name in final if name not in given]
    of_document = "of their result document, else " if told else ""
    warnings += _lacking(absent, len(final), f"in {str(path)!r}", of_document)
    return {name: given.get(name, score) for name, score in final.items()}, warnings


def _lacking(absent: Sequence[str], n: int, where: str, instead: str) -> list[str]:
    """Make the warning of recordings without a score; none if there are none."""
    if not absent:
        return []
    return [
        f"{len(absent)} of {n} recordings have no score {where} and get that {instead}of their highest "
        f"proposal, or 0 without one: {some(absent)}"
    ]


def _check_names(predicted: Sequence[str], ids: Sequence[str], files: str, skip_invalid: bool) -> list[str]:
    """See that every name can be written and is in the list; what is not there is a warning."""
    for name in ids:
        if ";" in name or "\n" in name or "\r" in name:
            raise AnnotationError(
                f"{name!r}: a name with ';' or a line end cannot stand in {TEXT_NAME}; rename it"
            )
    listed, entries = set(ids), set(predicted)
    warnings = []
    if unknown := [name for name in predicted if name not in listed]:
        told = f"{len(unknown)} recordings are not in {files!r}: {some(unknown)}"
        if not skip_invalid:
            raise AnnotationError(told)
        warnings.append(f"{told}; they were dropped")
    if absent := [name for name in ids if name not in entries]:
        warnings.append(f"{len(absent)} of {len(ids)} listed recordings have no entry: {some(absent)}")
    return warnings


def _json_parts(rows: SegmentTable) -> Iterator[str]:
    """Give the JSON object piece by piece: as one text it may be a gigabyte."""
    for r, name in enumerate(rows.ids):
        own = slice(rows.splits[r], rows.splits[r + 1])
        entry = list(zip(*(c[own].tolist() for c in (rows.scores, rows.starts, rows.ends)), strict=True))
        yield f"{',' if r else '{'}{json.dumps(name)}:{json.dumps(entry or NOTHING, separators=(',', ':'))}"
    yield "}\n" if rows.ids else "{}\n"


def _write(path: Path, parts: Iterator[str]) -> None:
    file = AtomicFile(path)
    try:
        for part in parts:
            file.stream.write(part)
        file.publish()
    finally:
        file.discard()


def _zip(folder: Path) -> None:
    part = folder / f".avloc-{os.getpid()}.part"
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in (JSON_NAME, TEXT_NAME):
                entry = zipfile.ZipInfo(name, ZIP_EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                with (
                    (folder / name).open("rb") as source,
                    archive.open(entry, "w", force_zip64=True) as target,
                ):
                    while block := source.read(2**20):
                        target.write(block)
        os.replace(part, folder / ZIP_NAME)
    finally:
        part.unlink(missing_ok=True)
