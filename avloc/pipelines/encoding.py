"""Streams of recordings through their encoders, those of equal length together.

Nothing is padded to the length of another recording: the public encoders let padding through, and a padded
batch gives other numbers. Streams go together that have the same frames with sound, or with a face; whoever
finds no company goes alone.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from avloc.features.audio import SAMPLES_PER_FRAME
from avloc.features.prepare import prepare
from avloc.models.encoders.two_stem import PIECES
from avloc.models.weights.encoders import StreamEncoder
from avloc.pipelines.failures import is_out_of_memory
from avloc.pipelines.whole_streams import Stream
from avloc.pipelines.windows import fill_up, whole_pieces

BATCH_FRAMES = 2000  # one batch of lips takes about 1 GB in the public encoders
POOL_BATCHES = 16  # that may wait for company


@dataclass(frozen=True, slots=True)
class Job:
    """One stream of one recording that is to be encoded; ``key`` is what its features are stored under."""

    key: str
    stream: str
    data: Stream
    warnings: tuple[str, ...] = ()

    @property
    def n_frames(self) -> int:
        """Length on the grid of 25 Hz."""
        return len(self.data.present)


class Batcher:
    """Collects jobs and encodes those of equal length at once.

    Parameters
    ----------
    encoders : mapping of str to StreamEncoder
        By stream; they are moved to the device.
    device : str
        Where they run.
    dtype : {"float16", "float32"}
        Of the features; encoders run in float32.
    batch_frames : int [>= 1]
        Frames that are encoded at once, of one recording if it is longer.
    """

    def __init__(
        self,
        encoders: Mapping[str, StreamEncoder],
        *,
        device: str = "cpu",
        dtype: str = "float16",
        batch_frames: int = BATCH_FRAMES,
    ) -> None:
        self._networks = {stream: e.network.eval().to(device) for stream, e in encoders.items()}
        self._device, self._dtype = torch.device(device), np.dtype(dtype)
        self._batch_frames = batch_frames
        self._waiting: dict[tuple, deque[Job]] = {}  # in order of the first that waits
        self._n_waiting = 0

    def add(self, job: Job) -> Iterator[tuple[Job, np.ndarray | Exception]]:
        """Take a job; yields those that are done, each with its features (T, C) or with what went wrong."""
        group = (job.stream, job.data.present.tobytes())
        jobs = self._waiting.setdefault(group, deque())
        jobs.append(job)
        self._n_waiting += job.n_frames
        if (len(jobs) + 1) * job.n_frames > self._batch_frames:
            yield from self._take(group)
        while self._n_waiting > POOL_BATCHES * self._batch_frames:
            yield from self._take(next(iter(self._waiting)))  # who waits longest: nobody waits for ever

    def finish(self) -> Iterator[tuple[Job, np.ndarray | Exception]]:
        """Encode all that waits."""
        while self._waiting:
            yield from self._take(next(iter(self._waiting)))

    def _take(self, group: tuple) -> Iterator[tuple[Job, np.ndarray | Exception]]:
        jobs = list(self._waiting.pop(group))
        self._n_waiting -= sum(job.n_frames for job in jobs)
        yield from self._encode(jobs)

    def _encode(self, jobs: list[Job]) -> Iterator[tuple[Job, np.ndarray | Exception]]:
        try:
            features: Iterable[np.ndarray | Exception] = self._run(jobs)
        except Exception as error:  # the boundary of the recordings of a batch: it becomes their rows
            if len(jobs) > 1:  # one of them alone may be to blame, or memory that one alone does not need
                if is_out_of_memory(error) and self._device.type == "cuda":
                    torch.cuda.empty_cache()
                for part in (jobs[: len(jobs) // 2], jobs[len(jobs) // 2 :]):
                    yield from self._encode(part)
                return
            features = [error]
        yield from zip(jobs, features, strict=True)

    @torch.inference_mode()
    def _run(self, jobs: list[Job]) -> list[np.ndarray | Exception]:
        """Encode streams with the same present frames."""
        network, n_frames = self._networks[jobs[0].stream], jobs[0].n_frames
        n_total = whole_pieces(n_frames) if PIECES in network.inputs else n_frames
        mask = torch.zeros(len(jobs), n_total, dtype=torch.bool)
        mask[:, :n_frames] = torch.from_numpy(jobs[0].data.present)
        mask = mask.to(self._device)
        filled = {
            name: torch.from_numpy(
                np.stack([fill_up(job.data.arrays[name], n_total * per_frame) for job in jobs])
            ).to(self._device)
            for name in jobs[0].data.arrays
            for per_frame in [SAMPLES_PER_FRAME if name == "waveform" else 1]
        }
        waveform = filled.pop("waveform", None)
        inputs = prepare(network.inputs, waveform=waveform, audio_mask=mask, crops=filled)
        # Convolutions of a GPU would be TF32 otherwise, and features are found whatever device made them.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            embedding, _ = network(inputs, mask)
        rows = embedding[:, :, :n_frames].transpose(1, 2).float().cpu().numpy()  # (B, T, C)
        return [self._stored(row) for row in rows]

    def _stored(self, row: np.ndarray) -> np.ndarray | Exception:
        with np.errstate(over="ignore"):
            stored = row.astype(self._dtype)
        if np.isfinite(stored).all():
            return stored
        why = "float16 cannot hold them, store float32" if np.isfinite(row).all() else "the encoder gave them"
        return ValueError(f"features are not finite: {why}")
