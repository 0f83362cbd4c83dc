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

FILES = ("{split}_metadata.json", "metadata.json", "val_metadata.json", "train_metadata.json")
SPLIT_ENDINGS = ("_metadata.json", "_files.txt")  # of the files in the folder, behind the split
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
        recording.
    split : str or None
        ``"train"`` or ``"val"``; None: all of the file, or of both files.

    Raises
    ------
    AnnotationError
        With file and key.
    """

    def __init__(self, *, root: str | Path, split: str | None = None) -> None:
        folder = Path(root)
        beside = sorted(folder.rglob("*.json")) if folder.is_dir() and not list(folder.glob("*.json")) else []
        if beside:
            references = (_reference_beside(path, folder) for path in beside)
            super().__init__(folder, folder, references, split=split)
            return
        both = [folder / f"{name}_metadata.json" for name in ("train", "val")]
        if split is None and all(path.is_file() for path in both):
            references = (reference for path in both for reference in avdeepfake1m_references(path))
            super().__init__(folder, folder, references, split=split, place=_place)
            return
        path = find_annotation(root, [name.format(split=split) for name in FILES])
        super().__init__(path, path.parent, avdeepfake1m_references(path), split=split, place=_place)


def _place(reference: Reference, media: Path) -> str:
    return place_in_split(reference.recording_id, media, reference.attributes.get("split"))


def place_in_split(name: str, media: Path, split: str | None) -> str:
    """Path below ``media``: recordings lie in the folder of their split, or beside its list."""
    below = f"{split}/{name}"
    return below if split and (media / below).exists() else name


def avdeepfake1m_references(path: Path) -> Iterator[Reference]:
    """Truth of every entry, in file order; errors name file and key."""
    for number, entry in enumerate(json_entries(path)):
        name = text_of(entry, "file", f"{str(path)!r}, entry {number}")
        yield _reference(entry, name, f"{str(path)!r}, {name!r}", split=split_of_file(path))


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


def _reference_beside(path: Path, folder: Path) -> Reference:
    try:
        entry = json.loads(read_text(path))
    except ValueError as error:
        raise AnnotationError(f"{str(path)!r}: not JSON: {error}") from error
    except RecursionError as error:
        raise AnnotationError(f"{str(path)!r}: nested too deep to be read") from error
    if not isinstance(entry, dict):
        raise AnnotationError(f"{str(path)!r}: expected an object, got {type(entry).__name__}")
    where = repr(str(path))
    name = word_of(entry, "file", where) or path.relative_to(folder).with_suffix(".mp4").as_posix()
    return _reference(entry, name, where, split=None)


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


def splits_in(folder: Path) -> set[str]:
    """Give the splits that have a file of their own in a folder, with truth or as a list of names."""
    found = {split_of_file(path) for path in folder.iterdir() if path.name.endswith(SPLIT_ENDINGS)}
    return {split for split in found if split is not None}
