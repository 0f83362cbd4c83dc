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
)
from avloc.datasets.fields import flag_of, number_of, spans_of, text_of, word_of
from avloc.errors import AnnotationError
from avloc.registry import DATASETS
from avloc.structures import Reference

FILES = ("metadata.min.json", "metadata.json")
COUNTS = ("video_frames", "audio_frames", "n_fakes")


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

    names = ("lavdf", "psynd", "tvil")
    marks = FILES

    def __init__(self, *, root: str | Path, split: str | None = None) -> None:
        path = find_annotation(root, FILES)
        super().__init__(path, path.parent, lavdf_references(path), split=split)


def lavdf_references(path: Path) -> Iterator[Reference]:
    """Truth of every entry, in file order; errors name file and key."""
    for number, entry in enumerate(json_entries(path)):
        name = text_of(entry, "file", f"{str(path)!r}, entry {number}")
        where = f"{str(path)!r}, {name!r}"
        if entry.get("fake_periods") is None and number_of(entry, "n_fakes", where) != 0:
            raise AnnotationError(f"{where}: expected 'fake_periods', got the keys {sorted(entry)}, or null")
        rows = spans_of(entry, "fake_periods", where)
        modality = _modality(entry, where)
        audio, visual = by_stream(rows, modality)
        source = word_of(entry, "original", where)
        attributes = {"original": source} if "original" in entry else {}
        for key in COUNTS:
            if number_of(entry, key, where) is not None:
                attributes[key] = entry[key]  # as it stands: a whole number
        attributes |= {"split": _split(entry, name, where), "modality": modality if rows else "none"}
        if source is not None:
            attributes["source"] = source
        duration = number_of(entry, "duration", where)
        yield make_reference(name, rows, audio=audio, visual=visual, duration=duration, attributes=attributes)


def _modality(entry: dict, where: str) -> str | None:
    if "modify_video" not in entry and "modify_audio" not in entry:
        return None
    changed = tuple(bool(flag_of(entry, key, where)) for key in ("modify_audio", "modify_video"))
    return {(True, True): "both", (True, False): "audio", (False, True): "visual"}.get(changed)


def _split(entry: dict, name: str, where: str) -> str | None:
    """Split of an entry; where it says none, the folder that its file lies in."""
    folder = name.split("/")[0]
    return word_of(entry, "split", where) or (folder if folder in SPLITS else None)
