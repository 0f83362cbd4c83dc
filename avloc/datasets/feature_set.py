"""FeatureSet: a split of a data set as embeddings with their truth, for the training of published heads.

Embeddings come from ``avloc extract``, or from the authors' own scripts; who trains does not see which.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from avloc.datasets.media_files import MediaFiles, find_media
from avloc.datasets.named import build_dataset, data_sets
from avloc.datasets.saved_features import read_saved_features, to_one_length
from avloc.errors import AnnotationError, ConfigError
from avloc.features.cache import RUNS, SCHEMA, FeatureRow, read_features, read_rows, stored_shards
from avloc.report.shards import read_run
from avloc.structures import Reference

ANY_NUMBER = ("n_shards",)  # of a run: who shares the work decides nothing


@dataclass(frozen=True, slots=True)
class FeatureItem:
    """One recording: embeddings float32 (C, T) at 25 Hz of equal length, and the truth.

    A stream that the recording lacks, or that was not extracted, is None.
    """

    visual: np.ndarray | None
    audio: np.ndarray | None
    reference: Reference


class FeatureSet(Sequence):
    """Recordings of a split that have features, in the order of the annotation.

    Parameters
    ----------
    references : sequence of Reference
        All recordings of the split.
    load : mapping of str to callable
        Gives the embeddings (visual, audio) of each recording that has some, by id.
    missing : mapping of str to str
        Why others have none, by id; whose id is in neither was not extracted yet.
    made : mapping
        How they were made, as ``avloc extract`` noted it: ``encoders`` by stream, each with ``name``,
        ``kind`` and ``sha256``, and ``settings``. Empty where nobody noted it.

    Attributes
    ----------
    references : tuple of Reference
        Of the recordings that have features.
    missing : dict of str to str
        The others, and why.
    made : mapping
        As given.
    """

    def __init__(
        self,
        references: Sequence[Reference],
        load: Mapping[str, Callable[[], tuple[np.ndarray | None, np.ndarray | None]]],
        missing: Mapping[str, str],
        *,
        made: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.made = made
        self.references = tuple(r for r in references if r.recording_id in load)
        self._load = load
        self.missing = {
            r.recording_id: missing.get(r.recording_id, "was not extracted yet")
            for r in references
            if r.recording_id not in load
        }

    def __len__(self) -> int:
        return len(self.references)

    def __getitem__(self, index: int) -> FeatureItem:
        """Read one recording.

        Raises
        ------
        AnnotationError
            If its features cannot be read.
        """
        reference = self.references[index]
        visual, audio = self._load[reference.recording_id]()
        return FeatureItem(visual, audio, reference)


def open_features(
    folder: str | Path,
    dataset: str,
    *,
    root: str | Path | None = None,
    split: str | None = None,
    encoders: Mapping[str, str] | None = None,
    run: str | Collection[str] = (),
) -> FeatureSet:
    """Open what ``avloc extract`` wrote.

    Parameters
    ----------
    folder : str or Path
        What ``--out`` named.
    dataset, root, split
        As of the command.
    encoders : mapping of str to str, optional
        Names of the encoders by stream; needed where a folder holds features of several.
    run : str or collection of str
        Name of a folder in ``runs``, or several, of other splits too; needed where settings differ.

    Raises
    ------
    ConfigError
        If there are no features of these recordings, or of several encoders or settings.
    AnnotationError
        If the annotation or the rows cannot be read.
    """
    folder, media = Path(folder), find_media(dataset, root=root, split=split)
    references = _references(media, dataset, root, split)
    rows: dict[str, FeatureRow] = {}
    found = _runs(folder, media, encoders or {}, (run,) if isinstance(run, str) else run)
    shards = [path for run in found for path in run.glob("shard-*.jsonl")]
    for path in sorted(shards, key=lambda path: (path.stat().st_mtime_ns, path)):
        latest = {row.id: row for row in read_rows(path)}
        # Where the work was shared otherwise before, what has features counts, and of that the newest.
        rows |= {id: row for id, row in latest.items() if row.features or id not in rows}
    shards_there = stored_shards(folder)
    gone = {row.id for row in rows.values() if not shards_there.issuperset(_shards_of(row))}
    load = {row.id: _reader(folder, row) for row in rows.values() if _holds_any(row) and row.id not in gone}
    failed = {row.id: ", ".join((*row.reasons, *row.warnings)) for row in rows.values() if row.id not in load}
    failed |= dict.fromkeys(gone, "its features are gone; the same avloc extract makes them again")
    told = next(iter(found.values()))
    return FeatureSet(references, load, failed, made={key: told[key] for key in ("encoders", "settings")})


def open_saved_features(
    folder: str | Path, dataset: str, *, root: str | Path | None = None, split: str | None = None
) -> FeatureSet:
    """Open what the authors' scripts of DiMoDif and AuViRe saved: ``ID.npz`` below a folder for ``ID.mp4``.

    Raises
    ------
    AnnotationError
        If the annotation cannot be read, or there is no such file at all.
    """
    folder, media = Path(folder), find_media(dataset, root=root, split=split)
    places = {id: folder / Path(id).with_suffix(".npz") for id in media.ids}
    there = {id: path for id, path in places.items() if path.is_file()}
    if not there:
        raise AnnotationError(
            f"{str(folder)!r}: expected saved features such as {next(iter(places.values()))}"
        )
    load = {id: lambda path=path: read_saved_features(path) for id, path in there.items()}
    return FeatureSet(_references(media, dataset, root, split), load, {})


def _references(
    media: MediaFiles, dataset: str, root: str | Path | None, split: str | None
) -> list[Reference]:
    if media.dataset not in data_sets():
        raise ConfigError(f"{dataset!r} is a list of names without truth; name the annotation")
    source = root if dataset in data_sets() else dataset
    return build_dataset(media.dataset, root=source, split=split).references()


def _runs(
    folder: Path, media: MediaFiles, encoders: Mapping[str, str], names: Collection[str]
) -> dict[Path, dict[str, Any]]:
    """Find the runs over these recordings; they must agree in all but how the work was shared."""
    asked = {"dataset": media.dataset, "split": media.split, "recordings_sha256": media.sha256}
    there = {path: told for path, told in _all_runs(folder) if asked.items() <= told.items()}
    found = {
        path: told
        for path, told in there.items()
        if encoders.items() <= _names(told).items() and (not names or path.name in names)
    }
    listed = ", ".join(f"{path.name} {_names(told)}" for path, told in there.items()) or "none"
    if not found:
        raise ConfigError(
            f"{str(folder)!r} holds no such features of these recordings (data set {media.dataset!r}, split "
            f"{media.split!r}); runs over them are {listed}; make others with avloc extract"
        )
    kinds = [{k: v for k, v in told.items() if k not in ANY_NUMBER} for told in found.values()]
    if differing := [kind for kind in kinds if kind != kinds[0]]:
        keys = sorted(key for key in kinds[0] if kinds[0][key] != differing[0].get(key))
        raise ConfigError(
            f"{str(folder)!r} holds features of these recordings that differ in {', '.join(keys)}: {listed}; "
            "choose with encoders or run"
        )
    return found


def _all_runs(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((folder / RUNS).glob("*")):
        if (told := read_run(path, schema=SCHEMA)) is not None:
            yield path, told


def _names(told: Mapping[str, Any]) -> dict[str, str]:
    return {stream: encoder["name"] for stream, encoder in told["encoders"].items()}


def _holds_any(row: FeatureRow) -> bool:
    return any(stored.n_frames for stored in (row.features or {}).values())


def _shards_of(row: FeatureRow) -> set[str]:
    return {stored.shard for stored in (row.features or {}).values()}


def _reader(folder: Path, row: FeatureRow) -> Callable[[], tuple[np.ndarray | None, np.ndarray | None]]:
    def read() -> tuple[np.ndarray | None, np.ndarray | None]:
        visual, audio = (
            read_features(folder, stored) if stored is not None and stored.n_frames else None
            for stored in (row.features.get("visual"), row.features.get("audio"))
        )
        return to_one_length(visual, audio)

    return read
