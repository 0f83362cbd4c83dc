"""The files of the AV-Deepfake1M challenge, from predictions in any shape that is read.

``prediction.json`` is ``{file: [[score, start_s, end_s], ...]}`` by descending score, ``prediction.txt`` has
``file;score`` lines without a header, and ``prediction.zip`` holds both, flat. The official scorer stops at a
recording without proposals, so such a one gets a row of score 0 and no length, which can serve no reference.
"""

import json
import math
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from avloc.datasets.avdeepfake1m import listed_files
from avloc.errors import AnnotationError
from avloc.metrics.evaluate import some
from avloc.metrics.figures import highest_scores
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
    scores: Mapping[str, float] | None = None,
    skip_invalid: bool = False,
) -> list[str]:
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
    scores : mapping of str to float, or None
        Score of each recording. None: the score of its result document, else its highest proposal.
    skip_invalid : bool
        Drop invalid rows, and recordings that the list does not name, instead of refusing them.

    Returns
    -------
    list of str
        Warnings: recordings without an entry or without a proposal, rows that were dropped, shards that are
        absent or unfinished.

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
    told = told if scores is None else dict(scores)
    highest = dict(zip(ids, highest_scores(rows).tolist(), strict=True))
    final = {name: told.get(name, highest[name]) for name in ids}
    if n_empty := int((rows.counts == 0).sum()):
        warnings.append(f"{n_empty} recordings have no proposal and get a row of score 0 and no length")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / JSON_NAME, _json_parts(rows))
    _write(
        out / TEXT_NAME,
        (f"{name};{score if math.isfinite(score) else 0.0}\n" for name, score in final.items()),
    )
    _zip(out)
    return warnings


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
