"""The generic manifest: one JSON object a line with path, duration_s, segments and modality.

``synth`` writes it and adds ``audio_segments``, ``visual_segments``, ``family``, ``split`` and more; a
reader needs only the first four, and keeps the rest as attributes.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from avloc.datasets.base import NamedDataset
from avloc.errors import AnnotationError, SegmentError
from avloc.registry import DATASETS
from avloc.structures import Recording, Reference, Segment, Timeline

STREAMS = {
    "audio": ("audio",),
    "visual": ("visual",),
    "both": ("audio", "visual"),
    "unknown": None,
    None: None,
}
OWN_KEYS = ("path", "duration_s", "segments", "audio_segments", "visual_segments")


@DATASETS.register_module()
class ManifestDataset(NamedDataset):
    """Recordings that a generic manifest names.

    Parameters
    ----------
    root : str or Path
        The ``.jsonl`` file, or the folder with ``manifest.jsonl``; paths are relative to that folder.
    split : str or None
        Keep only rows whose ``split`` says so; None keeps all.

    Raises
    ------
    AnnotationError
        If the file cannot be read, a row is not as promised, or no row is left.
    """

    names = ("manifest",)
    marks = ("manifest.jsonl",)

    def __init__(self, *, root: str | Path, split: str | None = None) -> None:
        path = Path(root)
        self.path = path / "manifest.jsonl" if path.is_dir() else path
        rows = read_rows(self.path)
        self._rows = [row for row in rows if split is None or row.get("split") == split]
        if not self._rows:
            known = sorted({str(row.get("split")) for row in rows})
            raise AnnotationError(f"{str(self.path)!r}: no row with split={split!r}; there are {known}")
        self._references = [row_to_reference(row, self.path) for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[Recording, Reference]:
        from avloc.media.probe import open_recording

        return open_recording(self.path_of(index), id=self._rows[index]["path"]), self._references[index]

    def path_of(self, index: int, *, media: Path | None = None) -> Path:
        """Say where a recording lies, below ``media`` or beside the manifest; nothing is opened."""
        return (media or self.path.parent) / self._rows[index]["path"]

    def references(self) -> list[Reference]:
        """Give the truth of every recording, in file order."""
        return list(self._references)

    def recordings(self) -> list[Recording]:
        """Open the headers of every recording, in file order."""
        return [self[index][0] for index in range(len(self))]


def read_rows(path: Path) -> list[dict]:
    """Objects of a JSON-lines file; blank lines are skipped.

    Raises
    ------
    AnnotationError
        With file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{str(path)!r}: expected a JSON-lines manifest, got {error!r}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise AnnotationError(f"{str(path)!r}, line {number}: not JSON: {error}") from error
        if not isinstance(row, dict) or not isinstance(row.get("path"), str):
            raise AnnotationError(f"{str(path)!r}, line {number}: expected an object with 'path'")
        rows.append(row)
    return rows


def row_to_reference(row: Mapping, path: Path) -> Reference:
    """Truth of one row of the manifest at ``path``; recording id is the row's path.

    Raises
    ------
    AnnotationError
        With file, recording and key.
    """
    where = f"{str(path)!r}, {row['path']!r}"
    modality = row.get("modality")
    if modality not in STREAMS:
        known = sorted(k for k in STREAMS if k)
        raise AnnotationError(f"{where}: modality must be one of {known} or null, got {modality!r}")
    segments = _segments(row, "segments", where)
    streams = STREAMS[modality] if segments else ("audio", "visual")
    by_stream = {
        stream: Timeline(
            _segments(row, f"{stream}_segments", where)
            if f"{stream}_segments" in row
            else (segments if stream in streams else ())
        )
        if streams is not None or f"{stream}_segments" in row
        else None
        for stream in ("audio", "visual")
    }
    duration = row.get("duration_s")
    if duration is not None and not (isinstance(duration, int | float) and math.isfinite(duration)):
        raise AnnotationError(f"{where}: duration_s must be a number of seconds, got {duration!r}")
    return Reference(
        recording_id=row["path"],
        segments=segments,
        audio=by_stream["audio"],
        visual=by_stream["visual"],
        duration=duration,
        attributes={key: value for key, value in row.items() if key not in OWN_KEYS},
    )


def _segments(row: Mapping, key: str, where: str) -> tuple[Segment, ...]:
    try:
        return tuple(Segment(float(start), float(end)) for start, end in row.get(key) or ())
    except (TypeError, ValueError, SegmentError) as error:
        raise AnnotationError(f"{where}: {key} must be [[start_s, end_s], ...]: {error}") from error


def write_manifest(path: str | Path, rows: Iterable[Mapping]) -> None:
    """Write rows as JSON lines with sorted keys, so that the same rows give the same bytes."""
    text = "".join(
        json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n" for row in rows
    )
    Path(path).write_text(text, encoding="utf-8")
