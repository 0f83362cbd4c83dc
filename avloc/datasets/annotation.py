"""What the readers of published annotations share: entries, spans in seconds, and the data set itself.

Nothing is written into the folder of a data set, and no medium is opened before it is asked for.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from avloc.datasets.base import NamedDataset
from avloc.datasets.fields import Rows, shown
from avloc.errors import AnnotationError, SegmentError
from avloc.structures import Recording, Reference, Segment, Timeline

NOTHING = Timeline(())  # of most recordings, so one for all
WHITE = " \t\r\n"
SUBSET = "subset"
SPLITS = ("train", "dev", "val", "test", "testA", "testB")


class AnnotatedDataset(NamedDataset):
    """Recordings of one annotation file, in its order.

    Parameters
    ----------
    path : Path
        The annotation.
    media : Path
        Folder that the recordings' ids are relative to.
    references : iterable of Reference
        The truth; ``attributes["split"]`` says the split where there is one.
    split : str or None
        Keep only this split; None keeps all.
    place : callable or None
        Path of a recording below a folder of media from its reference and that folder; None: the id.

    Raises
    ------
    AnnotationError
        If an id stands twice, or nothing is left.
    """

    def __init__(
        self,
        path: Path,
        media: Path,
        references: Iterable[Reference],
        *,
        split: str | None,
        place: Callable[[Reference, Path], str] | None = None,
    ) -> None:
        self.path, self.media, self.place = path, media, place
        everything = list(references)
        ids: set[str] = set()
        for reference in everything:
            if reference.recording_id in ids:
                raise AnnotationError(f"{str(path)!r}: {reference.recording_id!r} stands twice")
            ids.add(reference.recording_id)
        splits = {str(r.attributes.get("split")) for r in everything}
        self._references = [r for r in everything if in_split(r, split)]
        if not self._references:
            raise AnnotationError(
                f"{str(path)!r}: no recording with split={split!r}; there are {sorted(splits)}"
            )

    def __len__(self) -> int:
        return len(self._references)

    def __getitem__(self, index: int) -> tuple[Recording, Reference]:
        from avloc.media.probe import open_recording

        reference = self._references[index]
        return open_recording(self.path_of(index), id=reference.recording_id), reference

    def path_of(self, index: int, *, media: Path | None = None) -> Path:
        """Say where a recording lies, below ``media`` or beside the annotation; nothing is opened."""
        reference, media = self._references[index], media or self.media
        return media / (reference.recording_id if self.place is None else self.place(reference, media))

    def references(self) -> list[Reference]:
        """Give the truth of every recording, in file order."""
        return list(self._references)

    def recordings(self) -> list[Recording]:
        """Open the headers of every recording, in file order."""
        return [self[index][0] for index in range(len(self))]


def in_split(reference: Reference, split: str | None) -> bool:
    """Whether a recording is of a split; all are of None.

    ``"subset"`` is LAV-DF's test split without recordings whose only change is audio.
    """
    own = reference.attributes.get("split")
    if split == SUBSET:
        return own == "test" and reference.attributes.get("modality") != "audio"
    return split is None or own == split


def find_annotation(root: str | Path, names: Iterable[str]) -> Path:
    """Return ``root`` if it is a file, else the first of ``names`` that lies in it.

    Raises
    ------
    AnnotationError
        If there is none.
    """
    root, names = Path(root), list(names)
    if root.is_file():
        return root
    found = next((root / name for name in names if (root / name).is_file()), None)
    if found is None:
        raise AnnotationError(f"{str(root)!r}: expected a folder with {' or '.join(names)}, or such a file")
    return found


def read_text(path: Path) -> str:
    """Read an annotation file in UTF-8.

    Raises
    ------
    AnnotationError
        If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(
            f"{str(path)!r}: expected an annotation file in UTF-8, got {error!r}"
        ) from error


def first_line(path: Path) -> str:
    """Give the first line of a file that is not blank, or nothing; AnnotationError as of ``read_text``."""
    return next((line for line in read_text(path).splitlines() if line.strip()), "")


def json_entries(path: Path) -> Iterator[dict]:
    """Give the objects of a JSON list one by one; the list as a whole would take ten times the file.

    Raises
    ------
    AnnotationError
        With file and entry, if it is not a list of objects.
    """
    text = read_text(path)
    decoder, at, number = json.JSONDecoder(), _after_white(text, 0), 0
    mark = "["
    while True:
        if text[at : at + 1] != mark:
            raise AnnotationError(
                f"{str(path)!r}, entry {number}: expected {mark!r} of a JSON list, got {text[at : at + 20]!r}"
            )
        at, mark = _after_white(text, at + 1), ","
        if text[at : at + 1] == "]" and number == 0:
            return
        try:
            entry, at = decoder.raw_decode(text, at)
        except ValueError as error:
            raise AnnotationError(f"{str(path)!r}, entry {number}: not JSON: {error}") from error
        except RecursionError as error:
            raise AnnotationError(f"{str(path)!r}, entry {number}: nested too deep to be read") from error
        if not isinstance(entry, dict):
            raise AnnotationError(f"{str(path)!r}, entry {number}: expected an object, got {shown(entry)}")
        yield entry
        number += 1
        at = _after_white(text, at)
        if text[at : at + 1] == "]":
            return


def _after_white(text: str, at: int) -> int:
    while at < len(text) and text[at] in WHITE:
        at += 1
    return at


def make_reference(
    recording_id: str,
    rows: Rows,
    *,
    audio: Rows | None = None,
    visual: Rows | None = None,
    duration: float | None = None,
    attributes: Mapping | None = None,
) -> Reference:
    """Make a reference of rows as they were read.

    Parameters
    ----------
    recording_id : str
    rows : tuple of (float, float) [s]
        What is scored. Those that are no segments (of zero length, or before zero) stay in
        ``Reference.rows``.
    audio, visual : tuple of (float, float) [s], or None
        What was forged in each stream; None: not known.
    duration : float or None [s]
    attributes : mapping or None
        Whatever else the annotation says.
    """
    segments = _segments(rows)
    whole = Timeline(segments) if segments else NOTHING
    of_stream = [
        part if part is None else whole if part == rows else Timeline(_segments(part)) if part else NOTHING
        for part in (audio, visual)
    ]
    return Reference(
        recording_id=recording_id,
        segments=segments,
        audio=of_stream[0],
        visual=of_stream[1],
        duration=duration,
        attributes={} if attributes is None else attributes,
        rows=None if len(segments) == len(rows) and not any(s < 0 for s, _ in rows) else rows,
    )


def _segments(rows: Rows) -> tuple[Segment, ...]:
    """Rows as segments, cut at zero; what has no length is left out."""
    segments = []
    for start, end in rows:
        try:
            segments.append(Segment(max(start, 0.0), end))
        except SegmentError:
            continue
    return tuple(segments)


def by_stream(rows: Rows, modality: str | None) -> tuple[Rows | None, Rows | None]:
    """Rows of the audio and of the visual stream, from which of them was modified; None: not known."""
    if not rows:
        return (), ()
    if modality == "both":
        return rows, rows
    if modality in ("audio", "visual"):
        return (rows, ()) if modality == "audio" else ((), rows)
    return None, None
