"""AV-Deepfake1M and AV-Deepfake1M++: one list a split, or one JSON file beside each recording.

Entries hold file, original, split, modify_type (real, visual_modified, audio_modified, both_modified),
audio_model, video_model (++ only), fake_segments, audio_fake_segments and visual_fake_segments in seconds,
video_frames, audio_frames. There is no duration; video_frames / 25 is taken, because audio_frames are wrong
for fake audio. Some entries list a segment under the stream that was not modified: it is cleared by
modify_type. Scores are taken on fake_segments. The test lists (``test_files.txt`` and its kin) have no truth.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from avloc.datasets.annotation import (
    SPLITS,
    AnnotatedDataset,
    find_annotation,
    json_entries,
    make_reference,
    read_text,
)
from avloc.datasets.fields import choice_of, number_of, spans_of, text_of, word_of
from avloc.errors import AnnotationError
from avloc.registry import DATASETS
from avloc.structures import Reference

WHOLE = "metadata.json"
WITH_TRUTH, WITHOUT = "{}_metadata.json", "{}_files.txt"  # of one split
FRAME_RATE = 25  # of every recording of the set, Hz
MODALITIES = {
    "real": "none",
    "visual_modified": "visual",
    "audio_modified": "audio",
    "both_modified": "both",
}


@DATASETS.register_module()
class AvDeepfake1mDataset(AnnotatedDataset):
    """Recordings of AV-Deepfake1M or AV-Deepfake1M++.

    Parameters
    ----------
    root : str or Path
        The folder with ``{train,val}_metadata.json``, one such file, or a folder with a JSON file beside each
        recording; these may lie in a folder for each split, ids are relative to it then.
    split : str or None
        ``"train"`` or ``"val"``; None: all of the file, or of both files.

    Raises
    ------
    AnnotationError
        With file and key.
    """

    names = ("avdeepfake1m",)
    marks = (WITH_TRUTH.format("train"), WITH_TRUTH.format("val"))

    def __init__(self, *, root: str | Path, split: str | None = None) -> None:
        path, folder = Path(root), Path(root)
        listed = _listed_in(folder)
        if _has_files_beside(folder):
            references = _references_beside(folder, split)
        elif split is None and len(listed) > 1:
            lists = [folder / WITH_TRUTH.format(name) for name in listed]
            references = (reference for path in lists for reference in avdeepfake1m_references(path))
        else:
            asked = [WITH_TRUTH.format(split)] if split else []
            path = find_annotation(root, [*asked, WHOLE, *map(WITH_TRUTH.format, listed or ("val", "train"))])
            folder, references = path.parent, avdeepfake1m_references(path)
        super().__init__(path, folder, references, split=split, place=_place)

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether a folder holds a list, or the first JSON file beside a recording is one of these."""
        if super().is_in(folder):
            return True
        path = next(_files_beside(folder), None) if _has_files_beside(folder) else None
        return path is not None and bool({"fake_segments", "modify_type"} & _entry_of(path).keys())

    @classmethod
    def splits_in(cls, folder: Path) -> tuple[str, ...]:
        """Give the splits that have a list, or a folder of recordings with JSON files."""
        if not _has_files_beside(folder):
            return _listed_in(folder)
        return tuple(split for split in SPLITS if any(True for _ in _files_beside(folder / split)))


def _listed_in(folder: Path) -> tuple[str, ...]:
    """Give the splits that have a list with truth in a folder."""
    return tuple(split for split in SPLITS if (folder / WITH_TRUTH.format(split)).is_file())


def _has_files_beside(folder: Path) -> bool:
    """Whether JSON files lie beside the recordings, and no list in their folder."""
    if not folder.is_dir() or _listed_in(folder) or (folder / WHOLE).is_file():
        return False
    return any(True for _ in _files_beside(folder))


def _files_beside(folder: Path) -> Iterator[Path]:
    """Give the JSON files below a folder, and those in it that lie beside a recording."""
    for path in folder.rglob("*.json"):
        if path.parent != folder or path.with_suffix(".mp4").exists():
            yield path


def _references_beside(folder: Path, split: str | None) -> Iterator[Reference]:
    """Truth of every JSON file beside a recording, in order of path; of one split where it has a folder."""
    folders = {folder / name: name for name in SPLITS if (folder / name).is_dir()}
    chosen = folder / split if split is not None and folder / split in folders else folder
    for path in sorted(_files_beside(chosen)):
        top = next((known for known in folders if path.is_relative_to(known)), folder)
        yield _reference_beside(path, top, folders.get(top))


def _place(reference: Reference, media: Path) -> str:
    return place_in_split(reference.recording_id, media, reference.attributes.get("split"))


def place_in_split(name: str, media: Path, split: str | None) -> str:
    """Path below ``media``: recordings lie in the folder of their split, or beside its list."""
    below = f"{split}/{name}"
    return below if split and (media / below).exists() else name


def avdeepfake1m_references(path: Path) -> Iterator[Reference]:
    """Truth of every entry, in file order; errors name file and key."""
    listed, split = repr(str(path)), split_of_file(path)
    for number, entry in enumerate(json_entries(path)):
        name = text_of(entry, "file", f"{listed}, entry {number}")
        yield _reference(entry, name, f"{listed}, {name!r}", split=split)


def listed_files(path: str | Path) -> list[str]:
    """Names of a list without truth, such as ``test_files.txt``, in file order.

    Raises
    ------
    AnnotationError
        If it cannot be read or names a file twice.
    """
    names = [line.strip() for line in read_text(Path(path)).splitlines() if line.strip()]
    if len(set(names)) != len(names):
        raise AnnotationError(f"{str(path)!r}: a name stands twice")
    return names


def _reference_beside(path: Path, folder: Path, split: str | None) -> Reference:
    entry, where = _entry_of(path), repr(str(path))
    name = word_of(entry, "file", where) or path.relative_to(folder).with_suffix(".mp4").as_posix()
    return _reference(entry, name, where, split=split)


def _entry_of(path: Path) -> dict:
    """Read the JSON file beside a recording."""
    try:
        entry = json.loads(read_text(path))
    except ValueError as error:
        raise AnnotationError(f"{str(path)!r}: not JSON: {error}") from error
    except RecursionError as error:
        raise AnnotationError(f"{str(path)!r}: nested too deep to be read") from error
    if not isinstance(entry, dict):
        raise AnnotationError(f"{str(path)!r}: expected an object, got {type(entry).__name__}")
    return entry


def _reference(entry: dict, name: str, where: str, *, split: str | None) -> Reference:
    modify_type = choice_of(entry, "modify_type", where, MODALITIES)
    if entry.get("fake_segments") is None and modify_type != "real":
        raise AnnotationError(
            f"{where}: expected 'fake_segments', got the keys {sorted(entry)}, or null; "
            "a list without truth cannot be scored"
        )
    rows = spans_of(entry, "fake_segments", where)
    modality = MODALITIES.get(modify_type)
    frames = number_of(entry, "video_frames", where)
    attributes = {
        "split": word_of(entry, "split", where) or split,
        "modality": modality if rows or modality is None else "none",
    }
    models = [word_of(entry, key, where) for key in ("audio_model", "video_model")]
    if generators := [model for model in models if model is not None]:
        attributes["generator"] = sys.intern("+".join(generators))  # one of a few, a million times
    if (source := word_of(entry, "original", where)) is not None:
        attributes["source"] = source
    return make_reference(
        name,
        rows,
        audio=_of_stream(entry, "audio", modality, rows, where),
        visual=_of_stream(entry, "visual", modality, rows, where),
        duration=frames / FRAME_RATE if frames else None,
        attributes=attributes,
    )


def _of_stream(entry: dict, stream: str, modality: str | None, rows: tuple, where: str) -> tuple | None:
    """Rows of one stream: none if it was not modified, whatever is listed under it; None: not known."""
    key = f"{stream}_fake_segments"
    listed = spans_of(entry, key, where)
    if modality is not None and modality not in (stream, "both"):
        return ()
    if key in entry:
        return listed
    return rows if modality is not None else None


def split_of_file(path: Path) -> str | None:
    """Split that the name of a file says, as in ``val_metadata.json`` or ``testA_files.txt``."""
    word = path.name.split("_")[0]
    return word if word in SPLITS else None


def splits_without_truth(folder: Path) -> tuple[str, ...]:
    """Give the splits that have a list of names in a folder, such as ``testA_files.txt``."""
    return tuple(split for split in SPLITS if (folder / WITHOUT.format(split)).is_file())
