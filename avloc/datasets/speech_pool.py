"""SpeechPool: decoded speech of one use in one memory-mapped file that all workers share."""

import hashlib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from avloc.datasets.corpus import Entry, read_manifests, select_entries
from avloc.datasets.speech_statistics import SpeechStatistics, measure_speech
from avloc.errors import AnnotationError
from avloc.features.audio import SAMPLE_RATE

VERSION = "4"  # part of the cache key: raise it when decoding or statistics change
SPEECH_KINDS = ("speech", "telephony_speech")
FACE_KIND = "genuine_talking_face"
SILENT = 1e-4  # RMS amplitude: -80 dB of full scale
LATEST_S = 0.02  # by so much may an alignment, in frames of 0.01 s, end after its recording

logger = logging.getLogger(__name__)

Reader = Callable[[Path], np.ndarray]


class SpeechPool:
    """Natural and generated speech of one use, decoded once to 16 kHz int16.

    Index ``i`` names an entry everywhere: ``pool.entries[i]``, ``pool.read(i)``, ``pool.statistics[i]``.
    ``natural`` are recordings of speech, ``generated`` speech of a synthesizer. ``timed`` are natural
    recordings whose words have times; talking faces are there for their times, and only in ``timed``.
    ``spoken_again`` gives, for a recording, the generated files that say words of it again; these are
    not in ``generated``, because they hold a few words and not a phrase. Silent recordings are in none
    of these.

    Parameters
    ----------
    folder : Path
        Cache folder that :meth:`build` filled.
    entries : sequence of Entry
        What the cache holds, in its order.
    """

    def __init__(self, folder: Path, entries: Sequence[Entry]) -> None:
        self.folder = Path(folder)
        self.entries = tuple(entries)
        self.offsets = np.load(self.folder / "offsets.npy")
        self.statistics = SpeechStatistics.load(self.folder / "statistics.npz")
        self._samples = np.load(self.folder / "samples.npy", mmap_mode="r")
        heard = [(i, self.entries[i]) for i in np.flatnonzero(self.statistics.level >= SILENT)]
        self.natural = np.array(
            [i for i, e in heard if e.generator is None and e.kind != FACE_KIND], dtype=np.int64
        )
        self.timed = np.array([i for i, e in heard if e.generator is None and e.words], dtype=np.int64)
        self.generated = np.array([i for i, e in heard if e.generator and e.replaces is None], dtype=np.int64)
        self.by_identity: dict[str, tuple[int, ...]] = _group_by_identity(self.entries, self.natural)
        index = {entry.id: int(i) for i, entry in heard}
        self.pairs = tuple(
            (index[self.entries[i].natural_pair], int(i))
            for i in self.generated
            if self.entries[i].natural_pair in index
        )
        self.spoken_again = self._group_spoken_again(index)
        self._weights = self._draw_weights()

    def __getstate__(self) -> dict:
        # A memory map pickles as a copy of the whole file; a spawned worker opens it again instead.
        return {"folder": self.folder, "entries": self.entries}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state["folder"], state["entries"])

    @classmethod
    def build(
        cls,
        manifests: Sequence[str | Path],
        *,
        use: str,
        cache: str | Path,
        weights_only: bool = True,
        reader: Reader | None = None,
    ) -> "SpeechPool":
        """Open the pool of ``use``, decoding its recordings into ``cache`` if that has not been done.

        Parameters
        ----------
        manifests : sequence of paths
            ``manifest.json`` files.
        use : str
            ``"train"``, ``"dev"`` or ``"test"``; nothing of another use is ever read.
        cache : str or Path
            Folder for decoded samples; the content is keyed by the entries' hashes.
        weights_only : bool
            Only entries whose licence allows shipped weights.
        reader : callable or None
            ``path -> (C, n) float32`` at 16 kHz; None decodes in the media worker.

        Raises
        ------
        AnnotationError
            If a manifest is wrong, nothing in it fits, or all that fits is silent.
        UnreadableMediaError
            If a recording cannot be decoded.
        """
        kinds = (*SPEECH_KINDS, "generated_speech", FACE_KIND)
        entries = select_entries(read_manifests(manifests), use=use, kinds=kinds, weights_only=weights_only)
        entries = [entry for entry in entries if entry.kind != FACE_KIND or entry.words]
        if not any(entry.kind != FACE_KIND for entry in entries):
            raise AnnotationError(
                f"no recording with use={use!r}, weights_only={weights_only}, kinds={SPEECH_KINDS}"
            )
        key = hashlib.sha256(
            "\n".join([VERSION, *(f"{e.id} {e.sha256}" for e in entries)]).encode()
        ).hexdigest()
        folder = Path(cache) / f"speech-{use}-{key[:16]}"
        if not (folder / "complete.json").exists():
            _fill(folder, entries, reader or _read_through_worker)
        pool = cls(folder, entries)
        for i in np.flatnonzero(pool.statistics.level < SILENT):
            logger.warning("left out: %r is silent", str(entries[i].path))
        if not len(pool.natural) and not len(pool.generated):
            raise AnnotationError(f"every recording with use={use!r} is silent; give recordings of speech")
        return pool

    def __len__(self) -> int:
        return len(self.entries)

    def n_samples(self, index: int) -> int:
        """Length of entry ``index`` in samples."""
        return int(self.offsets[index + 1] - self.offsets[index])

    def read(self, index: int, start: int = 0, end: int | None = None) -> np.ndarray:
        """Read samples ``[start, end)`` of an entry; outside the recording they are zero.

        Returns
        -------
        np.ndarray [shape=(end - start,), float32, range [-1, 1]]
        """
        n = self.n_samples(index)
        end = n if end is None else end
        first, last = min(max(start, 0), n), min(max(end, 0), n)
        base = int(self.offsets[index])
        inside = self._samples[base + first : base + last].astype(np.float32) / 32768
        if first == start and last == end:
            return inside
        out = np.zeros(max(end - start, 0), dtype=np.float32)
        out[first - start : first - start + len(inside)] = inside
        return out

    def draw(self, rng: np.random.Generator, candidates: np.ndarray | None = None) -> int:
        """Draw a random entry; an identity counts with the square root of its seconds.

        So a reader of hours does not drown a hundred speakers of a minute each.
        """
        candidates = self.natural if candidates is None else candidates
        total = np.cumsum(self._weights[candidates])
        place = np.searchsorted(total, rng.random() * total[-1])
        return int(candidates[min(place, len(candidates) - 1)])

    def _group_spoken_again(self, index: Mapping[str, int]) -> dict[int, tuple[int, ...]]:
        """Files by the natural recording that they say words of; times must lie inside both."""
        groups: dict[int, list[int]] = defaultdict(list)
        for i, entry in enumerate(self.entries):
            host = index.get(entry.replaces.entry) if entry.replaces is not None else None
            if host is None or entry.id not in index or self.entries[host].generator is not None:
                continue
            ends = entry.replaces.words[-1]
            for name, end, k in (("end_s", ends[1], host), ("own_end_s", ends[3], i)):
                seconds = self.n_samples(k) / SAMPLE_RATE
                if end > seconds + LATEST_S:
                    raise AnnotationError(
                        f"{str(entry.path)!r}, entry {entry.id!r}: expected {name} in replaces to "
                        f"lie inside {self.entries[k].id!r}, {seconds:.2f} s, got {end}"
                    )
            groups[host].append(i)
        return {host: tuple(files) for host, files in groups.items()}

    def _draw_weights(self) -> np.ndarray:
        """Seconds over the root of all seconds of the identity, natural and generated speech apart."""
        seconds = np.diff(self.offsets) / SAMPLE_RATE
        voices = [(entry.identity, entry.generator is None) for entry in self.entries]
        total: dict[tuple[str, bool], float] = defaultdict(float)
        for voice, length in zip(voices, seconds, strict=True):
            total[voice] += length
        return seconds / np.sqrt([max(total[voice], 1e-6) for voice in voices])


def _group_by_identity(entries: Sequence[Entry], natural: np.ndarray) -> dict[str, tuple[int, ...]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for i in natural:
        if entries[i].one_speaker:
            groups[entries[i].identity].append(int(i))
    return {identity: tuple(members) for identity, members in groups.items()}


def _read_through_worker(path: Path) -> np.ndarray:
    from avloc.media.whole import read_audio

    return read_audio(path, sample_rate=SAMPLE_RATE)


def _fill(folder: Path, entries: Sequence[Entry], reader: Reader) -> None:
    """Decode all entries; the folder counts only once ``complete.json`` is there."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / f"samples.{os.getpid()}.raw"
    offsets, statistics = [0], []
    with raw.open("wb") as stream:
        for entry in entries:
            channels = np.nan_to_num(np.asarray(reader(entry.path), dtype=np.float32))
            loudest = channels[np.argmax((channels**2).mean(axis=1))]
            samples = np.clip(np.round(loudest * 32768), -32768, 32767).astype(np.int16)
            samples.tofile(stream)
            offsets.append(offsets[-1] + len(samples))
            statistics.append(measure_speech(samples.astype(np.float32) / 32768))
    _raw_to_npy(raw, folder / "samples.npy", offsets[-1])
    np.save(folder / "offsets.npy", np.array(offsets, dtype=np.int64))
    SpeechStatistics.stack(statistics).save(folder / "statistics.npz")
    (folder / "complete.json").write_text(json.dumps({"n": len(entries), "samples": offsets[-1]}) + "\n")


def _raw_to_npy(raw: Path, target: Path, n_samples: int) -> None:
    part = target.with_name(f"{raw.stem}.part.npy")
    out = np.lib.format.open_memmap(part, mode="w+", dtype=np.int16, shape=(n_samples,))
    out[:] = np.memmap(raw, dtype=np.int16, mode="r", shape=(n_samples,))
    out.flush()
    del out
    os.replace(part, target)
    raw.unlink()
