"""TalkingFaces: genuine talking faces of one use as sound, crops and presence on one clock."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avloc.datasets.corpus import Entry, read_manifests, select_entries
from avloc.datasets.speech_statistics import SpeechStatistics, measure_speech
from avloc.errors import AnnotationError, MediaError
from avloc.features.audio import SAMPLES_PER_FRAME
from avloc.media.decode import MOUTH, AudioBlock, Decoder, VideoBlock
from avloc.media.protocol import CROP_SHAPES

VERSION = "2"  # part of the cache's names: raise it when decoding or face tracking changes
LEAST_PRESENT = 0.5
STORED = {"mouth96_box": "mouth", "face112": "face"}  # names of the crops in the cache

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FaceClip:
    """``samples`` (640 T,), ``crops`` (T, H, W) by name, ``present`` (T,), ``boxes`` (T, 4) px of a clip."""

    entry: Entry
    samples: np.ndarray
    crops: Mapping[str, np.ndarray]
    present: np.ndarray
    boxes: np.ndarray

    @property
    def n_frames(self) -> int:
        """Length on the 25 Hz grid."""
        return len(self.present)


class TalkingFaces:
    """Clips by index; a clip is read from its cache file each time.

    Parameters
    ----------
    entries : sequence of Entry
        What is there.
    files : sequence of Path
        The cache file of each.
    crops : tuple of str
        Crops that a clip has.
    """

    def __init__(
        self, entries: Sequence[Entry], files: Sequence[Path], *, crops: tuple[str, ...] = MOUTH
    ) -> None:
        self.entries, self.files, self.crops = tuple(entries), tuple(files), crops
        self.n_frames = np.array([_read(f, "n_frames") for f in self.files], dtype=np.int64)
        rows = [SpeechStatistics(*(_read(f, f"sound_{k}") for k in range(6))) for f in self.files]
        self.statistics = SpeechStatistics.stack(rows)
        groups: dict[str, list[int]] = defaultdict(list)
        for index, entry in enumerate(self.entries):
            groups[entry.identity].append(index)
        self.by_identity = {identity: tuple(members) for identity, members in groups.items()}
        seconds = {identity: self.n_frames[list(m)].sum() for identity, m in self.by_identity.items()}
        weights = [self.n_frames[i] / seconds[e.identity] ** 0.5 for i, e in enumerate(self.entries)]
        self._cumulative = np.cumsum(weights)

    @classmethod
    def build(
        cls,
        manifests: Sequence[str | Path],
        *,
        use: str | Sequence[str],
        cache: str | Path,
        weights_only: bool = True,
        crops: tuple[str, ...] = MOUTH,
    ) -> "TalkingFaces":
        """Open the clips of ``use``; what the cache lacks is decoded and its face followed.

        Parameters
        ----------
        manifests : sequence of paths
            ``manifest.json`` files.
        use : str or sequence of str
            ``"train"``, ``"dev"`` or ``"test"``; several only for figures on recordings that train nothing.
        cache : str or Path
            Folder for one ``.npz`` a clip, named after the hash of its file.
        weights_only : bool
            Only entries whose licence allows shipped weights.
        crops : tuple of str
            Crops that are cut from the faces, of ``"mouth96_box"`` and ``"face112"``.

        Raises
        ------
        AnnotationError
            If a manifest is wrong or no clip with a face is left.
        """
        entries = read_manifests(manifests)
        uses = (use,) if isinstance(use, str) else tuple(use)
        kinds = ("genuine_talking_face",)
        chosen = [
            entry
            for one in uses
            for entry in select_entries(entries, use=one, kinds=kinds, weights_only=weights_only)
        ]
        folder = Path(cache) / "faces"
        folder.mkdir(parents=True, exist_ok=True)
        kept, files = [], []
        for entry in chosen:
            file = cache_file(cache, entry, crops)
            if not file.exists():
                _decode(entry, file, crops)
            if _read(file, "n_frames") > 0:
                kept.append(entry)
                files.append(file)
        if not kept:
            raise AnnotationError(f"no talking face with use={uses}, {weights_only=} in the manifests")
        return cls(kept, files, crops=crops)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> FaceClip:
        with np.load(self.files[index]) as stored:
            return FaceClip(
                entry=self.entries[index],
                samples=stored["samples"].astype(np.float32) / 32768,
                crops={name: stored[STORED[name]] for name in self.crops},
                present=stored["present"],
                boxes=stored["boxes"],
            )

    def draw(self, rng: np.random.Generator) -> int:
        """Draw an index; a face counts with the square root of its seconds."""
        place = np.searchsorted(self._cumulative, rng.random() * self._cumulative[-1])
        return int(min(place, len(self) - 1))


def cache_file(cache: str | Path, entry: Entry, crops: tuple[str, ...]) -> Path:
    """Where the cache keeps a clip with its crops."""
    kind = "" if crops == MOUTH else "-" + "-".join(crops)
    return Path(cache) / "faces" / f"{entry.sha256[:24]}-v{VERSION}{kind}.npz"


def store_clip(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the cache file of a clip in one step."""
    part = file.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.replace(file)


def _read(file: Path, name: str) -> np.ndarray:
    with np.load(file) as stored:
        return stored[name]


def _decode(entry: Entry, file: Path, crops: tuple[str, ...]) -> None:
    """Write the cache file of one clip; a clip without a usable face gets one with ``n_frames`` 0."""
    from avloc.media.probe import open_recording

    sound, pictures = [], []
    try:
        with Decoder(open_recording(entry.path), crops=crops) as decoder:
            for block in decoder:
                (sound if isinstance(block, AudioBlock) else pictures).append(block)
    except MediaError as error:
        logger.warning("left out: %s", error)
    samples = np.concatenate([b.samples for b in sound], axis=1) if sound else np.zeros((1, 0), np.float32)
    samples = np.nan_to_num(samples[np.argmax((samples**2).sum(axis=1))])
    shown, present, boxes = join_faces(pictures, crops)
    total = len(present)
    n_frames = min(total, len(samples) // SAMPLES_PER_FRAME)
    if n_frames < 25 or present[:n_frames].mean() < LEAST_PRESENT:
        n_frames = 0
    cut = np.clip(np.round(samples[: n_frames * SAMPLES_PER_FRAME] * 32768), -32768, 32767).astype(np.int16)
    averages = measure_speech(cut.astype(np.float32) / 32768)
    rows = (averages.level, averages.threshold, averages.speech)
    rows += (averages.floor, averages.bandwidth_hz, averages.offset)
    arrays = {"n_frames": n_frames, "samples": cut, "present": present[:n_frames], "boxes": boxes[:n_frames]}
    arrays |= {STORED[name]: crop[:n_frames] for name, crop in shown.items()}
    store_clip(file, arrays | {f"sound_{k}": row for k, row in enumerate(rows)})


def join_faces(
    blocks: Sequence[VideoBlock], crops: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Put the faces of all blocks of a clip into one picture, the largest where there are several.

    Returns
    -------
    dict of np.ndarray [shape=(T, H, W), uint8]
        Each of ``crops``; zeros without a face.
    np.ndarray [shape=(T,), bool]
        Whether a face is there.
    np.ndarray [shape=(T, 4), float32, px]
        Its box, NaN without one.
    """
    total = sum(len(block.source_index) for block in blocks)
    shown = {name: np.zeros((total, *CROP_SHAPES[name]), np.uint8) for name in crops}
    boxes, present = np.full((total, 4), np.nan, np.float32), np.zeros(total, dtype=bool)
    for block in blocks:
        place = slice(block.start_frame, block.start_frame + len(block.source_index))
        # the largest comes last and stays where there are several
        for face in sorted(block.faces, key=lambda face: np.nanmedian(face.boxes[:, 2:].prod(axis=1))):
            for name, crop in shown.items():
                crop[place][face.present] = face.crops[name][face.present]
            boxes[place][face.present] = face.boxes[face.present]
            present[place] |= face.present
    return shown, present, boxes
