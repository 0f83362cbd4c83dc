"""All recordings of a data set as files, in a stable order, so that it can be analysed whole.

The truth is not asked for: lists without it, such as ``test_files.txt`` of AV-Deepfake1M, count as well. No
recording is opened: one that is missing or broken has its row later.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avloc.datasets import avdeepfake1m, fakeavceleb, forgerynet
from avloc.datasets.annotation import find_annotation
from avloc.datasets.named import build_dataset, data_set, data_sets, name_of
from avloc.errors import AnnotationError, ConfigError
from avloc.registry import suggest

LIST = "list"  # of names, one a line
# Sets whose truth takes the header of every recording.
NAMES = {
    "fakeavceleb": (fakeavceleb.FILES, fakeavceleb.fakeavceleb_names),
    "forgerynet": (forgerynet.FILES, forgerynet.forgerynet_names),
}


@dataclass(frozen=True, slots=True)
class MediaFiles:
    """Recordings of a data set.

    Parameters
    ----------
    dataset : str
        Its name in ``data_sets()``, or ``"list"``.
    split : str or None
        The split that they are of; None where there is only one, without a name.
    ids : tuple of str
        As the annotation or the list has them, in order of the text.
    path_of : callable
        Where a recording lies, from its id; it need not be there.
    """

    dataset: str
    split: str | None
    ids: tuple[str, ...]
    path_of: Callable[[str], Path]

    @property
    def sha256(self) -> str:
        """Tell this list of ids from others, in hexadecimal."""
        return hashlib.sha256("\n".join(self.ids).encode(errors="replace")).hexdigest()


def find_media(dataset: str, *, root: str | Path | None = None, split: str | None = None) -> MediaFiles:
    """Find the recordings of a data set.

    Parameters
    ----------
    dataset : str
        A name in ``data_sets()``, or the path of a manifest, an annotation, the folder of a data set, or a
        list of names, one a line.
    root : str or Path, or None
        With a name: the folder of the data set, its annotation or its list. With a path: the folder that the
        recordings lie in; None: that of the annotation or the list.
    split : str or None
        Keep only this split; None where there is only one.

    Returns
    -------
    MediaFiles

    Raises
    ------
    ConfigError
        If the data set is neither a name nor a path that is there, or its name stands without ``root``.
    AnnotationError
        If the annotation is not as published, names a recording twice or none, or holds several splits and
        none is named.
    """
    known = data_sets()
    if dataset in known:
        if root is None:
            raise ConfigError(f"{dataset!r} is the name of a data set; say with --root where it lies")
        kind, source, media = dataset, Path(root), None
    elif Path(dataset).exists():
        kind, source, media = _kind_of(Path(dataset)), Path(dataset), root and Path(root)
    else:
        raise ConfigError(
            f"no data set and no file is called {dataset!r}; {suggest(dataset, known)}, and root says where"
        )
    if kind != LIST and source.is_dir():
        split = _only(_splits_in(kind, source), split, source)
    if kind in NAMES:
        files, names_of = NAMES[kind]
        path = find_annotation(source, files)
        return _named(kind, None, names_of(path), _below(media or path.parent), asked=split, source=path)
    if (listed := _list_of(kind, source, split)) is not None:
        folder, own = media or listed.parent, avdeepfake1m.split_of_file(listed)
        names = avdeepfake1m.listed_files(listed)
        place = _below(folder, own)
        return _named(kind, own, names, place, asked=split, source=listed)
    return _with_truth(kind, source, media, split)


def _kind_of(path: Path) -> str:
    try:
        return name_of(path)
    except AnnotationError:
        if path.suffix == ".txt":  # lines of no annotation that is known are names
            return LIST
        raise


def _list_of(kind: str, source: Path, split: str | None) -> Path | None:
    """Find the list of names, of a split without truth."""
    if kind == LIST or (kind == "avdeepfake1m" and source.suffix == ".txt"):
        return source
    if kind != "avdeepfake1m" or split is None or split in data_set(kind).splits_in(source):
        return None
    listed = source / avdeepfake1m.WITHOUT.format(split)
    return listed if listed.is_file() else None


def _splits_in(kind: str, folder: Path) -> set[str]:
    """Give the splits of a folder that have files of their own, with truth or as a list of names."""
    listed = avdeepfake1m.splits_without_truth(folder) if kind == "avdeepfake1m" else ()
    return {*data_set(kind).splits_in(folder), *listed}


def _below(folder: Path, split: str | None = None) -> Callable[[str], Path]:
    return lambda name: folder / avdeepfake1m.place_in_split(name, folder, split)


def _named(
    kind: str,
    own: str | None,
    names: Sequence[str],
    path_of: Callable[[str], Path],
    *,
    asked: str | None,
    source: Path,
) -> MediaFiles:
    """Give the recordings of a list that is one split as a whole."""
    if asked not in (None, own):
        raise AnnotationError(f"{str(source)!r}: no recording with split={asked!r}; leave the split out")
    return MediaFiles(kind, own, _in_order(names, source), path_of)


def _with_truth(kind: str, source: Path, media: Path | None, split: str | None) -> MediaFiles:
    built = build_dataset(kind, root=source, split=split)
    references = built.references()
    splits = {str(s) for r in references if (s := r.attributes.get("split")) is not None}
    places = {r.recording_id: i for i, r in enumerate(references)}
    return MediaFiles(
        kind,
        split or _only(splits, None, source),
        _in_order([r.recording_id for r in references], source),
        lambda name: built.path_of(places[name], media=media),
    )


def _only(splits: set[str], asked: str | None, source: Path) -> str | None:
    """Return the split that is asked for, else the only one."""
    if asked is None and len(splits) > 1:
        raise AnnotationError(f"{str(source)!r} holds the splits {sorted(splits)}; name one with --split")
    return asked or next(iter(splits), None)


def _in_order(names: Sequence[str], source: Path) -> tuple[str, ...]:
    ids = tuple(sorted(set(names)))
    if not ids:
        raise AnnotationError(f"{str(source)!r} names no recording")
    if len(ids) < len(names):
        raise AnnotationError(
            f"{str(source)!r}: {len(names) - len(ids)} recordings stand twice; keep one of each"
        )
    return ids
