"""Predictions as users have them: a file, a folder of files, or the folder of a run in shards."""

from pathlib import Path

from avloc.errors import AnnotationError
from avloc.metrics.prediction_files import PredictionFile, read_document_lines, read_prediction_file
from avloc.metrics.table import SegmentTable
from avloc.report.shards import read_run, shards_of

SUFFIXES = (".json", ".jsonl")


def read_all(path: str | Path, warnings: list[str], *, skip_invalid: bool = False) -> PredictionFile:
    """Read one file, or all files of a folder as one.

    Parameters
    ----------
    path : str or Path
        What ``read_prediction_file`` reads, a folder of such files (``.json``, ``.jsonl``), taken in order of
        name, or the folder of ``avloc predict``.
    warnings : list of str
        Gets what is said of shards that are absent or unfinished.
    skip_invalid : bool
        As of ``read_prediction_file``.

    Returns
    -------
    PredictionFile

    Raises
    ------
    AnnotationError
        With file and recording, if they cannot be read, none is there, or a recording stands twice.
    """
    path = Path(path)
    if not path.is_dir():
        return read_prediction_file(path, skip_invalid=skip_invalid)
    run = read_run(path)
    if run is None:
        names = sorted(inner for inner in path.iterdir() if inner.suffix in SUFFIXES and inner.is_file())
        parts = [read_prediction_file(name, skip_invalid=skip_invalid) for name in names]
    else:
        parts = _shards(path, run, warnings, skip_invalid)
    if not parts and run is not None:
        raise AnnotationError(f"{str(path)!r}: of the {run['n_shards']} shards of the run none is there")
    if not parts:
        expected = " or ".join(SUFFIXES)
        raise AnnotationError(f"{str(path)!r}: expected files of predictions, {expected}; none is there")
    scores: dict[str, float] = {}
    for part in parts:
        scores |= part.scores
    return PredictionFile(SegmentTable.joined([p.rows for p in parts], source=repr(str(path))), scores)


def split_of(path: str | Path) -> str | None:
    """Give the split that the folder of a run is of; None for anything else."""
    run = read_run(Path(path))
    return None if run is None else run.get("split")


def _shards(folder: Path, run: dict, warnings: list[str], skip_invalid: bool) -> list[PredictionFile]:
    """Read the shards that are there, as far as they are written."""
    parts = []
    for shard in shards_of(run):
        name, expected = folder / shard.name, shard.size(run["n_recordings"])
        if not name.is_file():
            warnings.append(
                f"shard {shard.number} of {shard.n} is absent: {str(name)!r}; avloc predict --shard "
                f"{shard.number}/{shard.n} makes it"
            )
            continue
        try:
            with name.open("rb") as stream:
                part = read_document_lines(
                    stream, source=repr(str(name)), skip_invalid=skip_invalid, may_be_cut=True
                )
        except OSError as error:
            raise AnnotationError(f"{str(name)!r}: cannot be read: {error.strerror or error}") from error
        if len(part.rows.ids) < expected:
            warnings.append(
                f"shard {shard.number} of {shard.n} holds {len(part.rows.ids)} of {expected} recordings; the "
                "same avloc predict goes on with it"
            )
        parts.append(part)
    return parts
