"""ForgeryNet, temporal localization: ``video_list.txt``.

One line a recording: path, n, n triples (start frame, LENGTH in frames, 0 genuine or 1 forged), then classes,
of which the first is 0 for genuine and the last the method. Recordings of the methods 2 and 8 have no
triples: all of them is forged. Frames that no triple covers are unlabelled; ``attributes["labelled"]`` holds
what is.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from avloc.datasets.annotation import AnnotatedDataset, find_annotation, make_reference, read_text
from avloc.datasets.fakeavceleb import whole_duration
from avloc.errors import AnnotationError, MediaError
from avloc.registry import DATASETS
from avloc.structures import FrameGrid, Reference

FILES = ("video_list.txt",)
WHOLLY_FORGED = (2, 8)  # methods


@DATASETS.register_module()
class ForgeryNetDataset(AnnotatedDataset):
    """Recordings of ForgeryNet's list for temporal localization.

    Parameters
    ----------
    root : str or Path
        The folder with ``video_list.txt``, or that file; paths are relative to that folder.
    split : None
        A list is one split.
    frame_rate : Fraction or None [Hz]
        Of all recordings; None: each header tells its own, so the recordings must be there.

    Raises
    ------
    AnnotationError
        With file and line.
    """

    names = ("forgerynet",)
    marks = FILES

    def __init__(
        self, *, root: str | Path, split: str | None = None, frame_rate: Fraction | None = None
    ) -> None:
        path = find_annotation(root, FILES)
        super().__init__(path, path.parent, forgerynet_references(path, frame_rate=frame_rate), split=split)


def forgerynet_references(path: Path, *, frame_rate: Fraction | None = None) -> Iterator[Reference]:
    """Truth of every line, in file order, frames turned into seconds."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{str(path)!r}, line {number}"
        name, *fields = line.split()
        try:
            n, *values = (int(field) for field in fields)
        except ValueError as error:
            raise AnnotationError(f"{where}: expected a path, a count and whole numbers: {error}") from error
        if n < 0 or len(values) < 3 * n or any(v < 0 for v in values[: 3 * n]):
            raise AnnotationError(
                f"{where}: expected {n} triples (start, length, 0 or 1), got {len(values)} numbers"
            )
        triples = [tuple(values[i : i + 3]) for i in range(0, 3 * n, 3)]
        classes = values[3 * n :]
        yield _reference(name, triples, classes, path.parent / name, where, frame_rate)


def forgerynet_names(path: Path) -> list[str]:
    """Names of every line, in file order; no recording is opened."""
    return [line.split()[0] for line in read_text(path).splitlines() if line.strip()]


def _reference(
    name: str,
    triples: list[tuple[int, ...]],
    classes: list[int],
    medium: Path,
    where: str,
    frame_rate: Fraction | None,
) -> Reference:
    attributes: dict = {"generator": str(classes[-1]) if classes else None}
    if triples:
        grid = FrameGrid(rate=frame_rate or _frame_rate(medium, where), n_frames=0)
        spans = [(grid.time(start), grid.time(start + length), forged) for start, length, forged in triples]
        attributes["labelled"] = [[start, end] for start, end, _ in spans]
        rows = tuple((start, end) for start, end, forged in spans if forged)
    elif classes and (classes[-1] in WHOLLY_FORGED or classes[0] != 0):
        rows = ((0.0, whole_duration(medium, where)),)
    else:
        rows = ()
    attributes["modality"] = "visual" if rows else "none"
    return make_reference(name, rows, audio=(), visual=rows, attributes=attributes)


def _frame_rate(path: Path, where: str) -> Fraction:
    from avloc.media.probe import open_recording

    try:
        video = open_recording(path).video
    except MediaError as error:
        raise AnnotationError(
            f"{where}: triples are frames, whose rate only the recording's header tells: {error}"
        ) from error
    if video is None or not video.frame_rate:
        raise AnnotationError(f"{where}: {str(path)!r} has no picture with a frame rate")
    return video.frame_rate
