"""LAV-DF, and the sets that follow its schema: Psynd and TVIL.

``metadata.json`` (or ``metadata.min.json``) is a list of objects: file, n_fakes, fake_periods [[s, e]] in
seconds, duration, original, modify_video, modify_audio, split, and more. The media folder holds more files
than the list; only the list counts.
"""

from collections.abc import Iterator
from pathlib import Path

from avloc.datasets.annotation import (
    SPLITS,
    AnnotatedDataset,
    by_stream,
    find_annotation,
    json_entries,
    make_reference,
    number_of,
    spans_of,
    text_of,
)
from avloc.errors import AnnotationError
from avloc.registry import DATASETS
from avloc.structures import Reference

FILES = ("metadata.min.json", "metadata.json")
KEPT = ("original", "video_frames", "audio_frames", "n_fakes")


@DATASETS.register_module()
class LavDfDataset(AnnotatedDataset):
    """Recordings of LAV-DF, Psynd or TVIL.

    Parameters
    ----------
    root : str or Path
        The folder with the metadata, or the metadata file itself; files are relative to that folder.
    split : str or None
        ``"train"``, ``"dev"`` or ``"test"``; ``"subset"`` is the test split without entries whose only
        change is audio, the "Subset" of the paper; None: all.

    Raises
    ------
    AnnotationError
        With file and key.
    """

    def __init__(self, *, root: str | Path, split: str | None = None) -> None:
        path = find_annotation(root, FILES)
        super().__init__(path, path.parent, lavdf_references(path), split=split)


def lavdf_references(path: Path) -> Iterator[Reference]:
    """Truth of every entry, in file order; errors name file and key."""
    for number, entry in enumerate(json_entries(path)):
        name = text_of(entry, "file", f"{str(path)!r}, entry {number}")
        where = f"{str(path)!r}, {name!r}"
        if "fake_periods" not in entry and number_of(entry, "n_fakes", where) != 0:
            raise AnnotationError(f"{where}: expected 'fake_periods', got the keys {sorted(entry)}")
        rows = spans_of(entry, "fake_periods", where)
        modality = _modality(entry)
        audio, visual = by_stream(rows, modality)
        attributes = {key: entry[key] for key in KEPT if key in entry}
        attributes |= {"split": _split(entry, name), "modality": modality if rows else "none"}
        if isinstance(entry.get("original"), str):
            attributes["source"] = entry["original"]
        duration = number_of(entry, "duration", where)
        yield make_reference(name, rows, audio=audio, visual=visual, duration=duration, attributes=attributes)


def _modality(entry: dict) -> str | None:
    if "modify_video" not in entry and "modify_audio" not in entry:
        return None
    changed = (bool(entry.get("modify_audio")), bool(entry.get("modify_video")))
    return {(True, True): "both", (True, False): "audio", (False, True): "visual"}.get(changed)


def _split(entry: dict, name: str) -> str | None:
    """Split of an entry; where it says none, the folder that its file lies in."""
    folder = name.split("/")[0]
    return entry.get("split") or (folder if folder in SPLITS else None)
