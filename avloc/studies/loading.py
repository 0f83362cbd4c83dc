"""What is scored: the truth of a split, and predictions that fit it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from avloc.datasets.annotation import in_split
from avloc.datasets.named import build_dataset, data_set, name_of
from avloc.errors import AnnotationError
from avloc.metrics.evaluate import some
from avloc.metrics.prediction_files import PredictionFile, read_scores
from avloc.metrics.table import SegmentTable
from avloc.structures import Reference
from avloc.studies.predictions import read_all

Reading = Callable[[], tuple[PredictionFile, list[str]]]
"""Waits for predictions that are being read, and what is said of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How files are scored.

    Parameters
    ----------
    protocol : str
        Name in ``metrics.PROTOCOLS``.
    split : str or None
        Of the annotation; None: all of it.
    dataset : str or None
        Name of the data set; None: found from the annotation itself.
    fps : float or None [Hz]
        Predicted times are frames at this rate; None: seconds.
    sort : bool
        Sort the proposals of each recording by score before anything else.
    skip_invalid : bool
        Drop what cannot be scored, counted in a warning, instead of refusing the file.
    bootstrap : int [>= 0]
        Draws of the intervals.
    seed : int
        Of the bootstrap.
    threshold : float
        From which a proposal counts as a detection, for the details.
    """

    protocol: str = "corrected"
    split: str | None = None
    dataset: str | None = None
    fps: float | None = None
    sort: bool = False
    skip_invalid: bool = False
    bootstrap: int = 0
    seed: int = 0
    threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class Truth:
    """References that are scored, ids of the other splits, all splits, and the name of the chosen."""

    references: list[Reference]
    others: frozenset[str]
    splits: tuple[str, ...]
    split: str | None

    @property
    def durations_s(self) -> dict[str, float]:
        """Duration of each recording that has one."""
        return {r.recording_id: r.duration for r in self.references if r.duration}


def load_truth(path: str | Path, settings: Settings) -> Truth:
    """Read an annotation and take the split that is asked for.

    Raises
    ------
    AnnotationError
        If it cannot be read, has no such split, or is a folder of several of which none is named.
    """
    dataset = settings.dataset or name_of(path)
    # Some sets have a file for each split, so that the others are not there to be seen.
    apart = data_set(dataset).splits_in(Path(path))
    if settings.split is None and len(apart) > 1:
        raise AnnotationError(
            f"{str(path)!r}: holds the splits {list(apart)}, each with annotations of its own; name one with "
            "--split, or give its file"
        )
    everything = build_dataset(dataset, root=path, split=settings.split if apart else None).references()
    splits = tuple(sorted({str(s) for r in everything if (s := r.attributes.get("split")) is not None}))
    if settings.split is None or apart:
        name = settings.split or (splits[0] if len(splits) == 1 else None)
        return Truth(everything, frozenset(), splits, name)
    chosen = [r for r in everything if in_split(r, settings.split)]
    if not chosen:
        raise AnnotationError(
            f"{str(path)!r}: no recording with split={settings.split!r}; there are {list(splits)}"
        )
    ids = {r.recording_id for r in chosen}
    others = frozenset(r.recording_id for r in everything if r.recording_id not in ids)
    return Truth(chosen, others, splits, settings.split)


def start_reading(path: str | Path, settings: Settings) -> Reading:
    """Read predictions in a thread; the call that is given back waits for them and what was said of them.

    Rows of numbers are read by compiled code, which leaves the interpreter to whoever reads the references.
    Where that fails, nobody waits for the thread.
    """
    future: Future = Future()

    def read() -> None:
        told: list[str] = []
        try:
            future.set_result((read_all(path, told, skip_invalid=settings.skip_invalid), told))
        except BaseException as error:  # it is raised again where the result is asked for
            future.set_exception(error)

    threading.Thread(target=read, name="avloc-read-predictions", daemon=True).start()
    return future.result


def load_predictions(
    path: str | Path, reading: Reading, truth: Truth, settings: Settings, warnings: list[str]
) -> SegmentTable:
    """Take the predictions for ``truth`` that are being read; what is dropped is told in ``warnings``.

    Raises
    ------
    AnnotationError
        With the file, if they cannot be read, name a recording that the references do not know, or cover a
        part of several splits and no split was named.
    """
    file, told = reading()
    warnings += told
    table = file.rows
    known = {r.recording_id for r in truth.references}
    others = [i for i in table.ids if i in truth.others]
    unknown = [i for i in table.ids if i not in known and i not in truth.others]
    if unknown and not settings.skip_invalid:
        raise AnnotationError(
            f"{str(path)!r}: {len(unknown)} recordings are not in the references: {some(unknown)}; "
            "drop them or give the references that hold them"
        )
    for names, what in (
        (others, "recordings of other splits were dropped"),
        (unknown, "recordings that the references do not know were dropped"),
    ):
        if names:
            warnings.append(f"{len(names)} {what}: {some(names)}")
    if others or unknown:
        table = table.select([i for i in table.ids if i in known])
    entries = set(table.ids)
    n_covered = sum(r.recording_id in entries for r in truth.references)
    if truth.split is None and len(truth.splits) > 1 and n_covered < len(truth.references):
        raise AnnotationError(
            f"{str(path)!r}: {n_covered} of {len(truth.references)} recordings have an entry, and the "
            f"references hold the splits {list(truth.splits)}; name one with --split"
        )
    if settings.fps is not None:
        table = table.from_frames(settings.fps)
    return table.by_score() if settings.sort else table


def load_scores(
    path: str | Path | None, truth: Truth, settings: Settings, warnings: list[str]
) -> dict[str, float] | None:
    """Read one score a recording; None without a file.

    Raises
    ------
    AnnotationError
        If it cannot be read, or names a recording that the references do not know.
    """
    if path is None:
        return None
    scores, n_skipped = read_scores(path, skip_invalid=settings.skip_invalid)
    known = {r.recording_id for r in truth.references}
    unknown = [name for name in scores if name not in known and name not in truth.others]
    if unknown and not settings.skip_invalid:
        raise AnnotationError(
            f"{str(path)!r}: {len(unknown)} recordings are not in the references: {some(unknown)}"
        )
    n_skipped += len(unknown)
    if n_skipped:
        warnings.append(f"{n_skipped} lines of {str(path)!r} were dropped")
    if n_absent := sum(name not in scores for name in known):
        warnings.append(f"{n_absent} reference recordings have no score in {str(path)!r} and rank last")
    return {name: score for name, score in scores.items() if name in known}
