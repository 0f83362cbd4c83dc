"""What DiMoDif and AuViRe learn from: embeddings of one length, and the targets of every frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from avloc.datasets.feature_set import FeatureItem, FeatureSet
from avloc.models.auvire import FEATURE_CHANNELS
from avloc.models.weights.importing import STREAMS
from avloc.structures import Reference
from avloc.training.objective import Batch
from avloc.training.published_targets import RATE_HZ, assign_published, assign_tiles


class PublishedExamples(Dataset):
    """A ``FeatureSet`` as rows of a batch, for a ``DataLoader`` with its own collation.

    A stream that is absent counts as zeros, and so does the end of what is shorter, as in the public code.

    Parameters
    ----------
    features : FeatureSet
        The recordings.
    n_frames : int
        Length of the network, ``max_length``; what is longer is cut.
    tiles : bool
        Targets of picture and sound apart, as DiMoDif has them; else of both together, as AuViRe has them.
        Where a set does not say which stream was forged, both were.
    channels : int or mapping of str to int
        That the network reads, of both streams or by stream.
    stored : mapping of str to int, optional
        Channels of the embeddings by stream, where there are fewer: zeros stand for the rest.
    """

    def __init__(
        self,
        features: FeatureSet,
        *,
        n_frames: int,
        tiles: bool,
        channels: int | Mapping[str, int] = FEATURE_CHANNELS,
        stored: Mapping[str, int] | None = None,
    ) -> None:
        self.features, self.n_frames, self.tiles = features, n_frames, tiles
        self.channels = dict.fromkeys(STREAMS, channels) if isinstance(channels, int) else dict(channels)
        self.stored = self.channels | dict(stored or {})

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Give one recording.

        Returns
        -------
        dict
            ``visual`` and ``audio`` float32 (C, n_frames); ``n_valid`` int64 (), frames that are real;
            ``targets`` float32 (2 n_frames, 3) or (n_frames, 3), as of ``published_targets``.

        Raises
        ------
        AnnotationError
            If the features cannot be read.
        ValueError
            If they have another number of channels.
        """
        item = self.features[index]
        return {
            "visual": self._filled("visual", item.visual, item),
            "audio": self._filled("audio", item.audio, item),
            "n_valid": torch.tensor(self._n_valid(item)),
            "targets": self._targets(index),
        }

    def _n_valid(self, item: FeatureItem) -> int:
        there = [rows.shape[1] for rows in (item.visual, item.audio) if rows is not None]
        return min(self.n_frames, max(there, default=0))

    def _filled(self, stream: str, rows: np.ndarray | None, item: FeatureItem) -> Tensor:
        filled = torch.zeros(self.channels[stream], self.n_frames)
        if rows is None:
            return filled
        if len(rows) != self.stored[stream]:
            name, expected = item.reference.recording_id, self.stored[stream]
            raise ValueError(f"{name!r}: expected features of {expected} channels, got {len(rows)}")
        n = min(rows.shape[1], self.n_frames)
        filled[: len(rows), :n] = torch.from_numpy(rows[:, :n])
        return filled

    def _targets(self, index: int) -> Tensor:
        reference = self.features.references[index]
        whole = [(segment.start, segment.end) for segment in reference.segments]
        if not self.tiles:
            return assign_published(whole, self.n_frames)
        visual, audio = (
            whole if stream is None else [(segment.start, segment.end) for segment in stream.segments]
            for stream in (reference.visual, reference.audio)
        )
        return assign_tiles(visual, audio, self.n_frames)


@dataclass(slots=True)
class FeatureBatch(Batch):
    """Recordings of one update, or the part of them that one of several processes takes.

    ``visual`` and ``audio`` (B, C, T), ``n_valid`` (B,) and ``targets`` (B, T or 2 T, 3) as of
    ``PublishedExamples``. ``share`` is what a row of this process weighs, for the mean over all processes to
    be that over all rows; ``families`` says of each row of the whole update what was forged.
    """

    visual: Tensor
    audio: Tensor
    n_valid: Tensor
    targets: Tensor
    share: float
    families: tuple[str, ...]


class FeatureBatches(Dataset):
    """Batches of epochs one after the other, each in an order of its own; none is dropped.

    They depend on the seed and their number alone, so that a run resumes anywhere.

    Parameters
    ----------
    examples : PublishedExamples
        The recordings.
    indices : sequence of int
        Those that are trained on.
    batch_size : int
        Recordings an update, those of all processes together.
    epochs : int
        That there are.
    seed : int
        Of the orders.
    first : int
        Batches before it are None: they were trained on before the run was resumed.
    rank, n_ranks : int
        Which of several processes asks.
    modality_dropout : float [0, 1]
        Share of the rows that lose sound or picture, where they have both: it counts as absent.
    """

    def __init__(
        self,
        examples: PublishedExamples,
        *,
        indices: Sequence[int],
        batch_size: int,
        epochs: int,
        seed: int,
        first: int = 0,
        rank: int = 0,
        n_ranks: int = 1,
        modality_dropout: float = 0.0,
    ) -> None:
        self.examples, self.indices, self.batch_size = examples, np.asarray(indices), batch_size
        self.epochs, self.seed, self.first = epochs, seed, first
        self.rank, self.n_ranks, self.modality_dropout = rank, n_ranks, modality_dropout
        self._order = (-1, self.indices)  # of the epoch that was asked for last

    @property
    def per_epoch(self) -> int:
        """Count the batches of an epoch."""
        return -(-len(self.indices) // self.batch_size)

    def __len__(self) -> int:
        return self.epochs * self.per_epoch

    def __getitem__(self, index: int) -> FeatureBatch | None:
        if index < self.first:
            return None
        epoch, place = divmod(index, self.per_epoch)
        if self._order[0] != epoch:  # of a million recordings it takes longer than to read a batch
            order = np.random.default_rng([self.seed, epoch]).permutation(self.indices)
            self._order = (epoch, order)
        rows = self._order[1][place * self.batch_size : (place + 1) * self.batch_size]
        own = rows[self.rank :: self.n_ranks]
        share = len(own) * self.n_ranks / len(rows)
        # The last batch may have fewer rows than there are processes: who has none repeats one that weighs 0.
        given = default_collate([self.examples[int(i)] for i in (own if len(own) else rows[:1])])
        references = self.examples.features.references
        if self.modality_dropout:
            rng = np.random.default_rng([self.seed, epoch, place])
            dropped, stream = rng.random(len(rows)) < self.modality_dropout, rng.integers(2, size=len(rows))
            _drop(given, dropped[self.rank :: self.n_ranks], stream[self.rank :: self.n_ranks])
        return FeatureBatch(**given, share=share, families=tuple(family_of(references[int(i)]) for i in rows))


def _drop(given: dict[str, Tensor], dropped: np.ndarray, stream: np.ndarray) -> None:
    """Take a stream out of the rows that ``dropped`` (B,) names; none that is the only one."""
    both = (given["audio"].flatten(1).any(1) & given["visual"].flatten(1).any(1)).numpy()
    for number, name in enumerate(STREAMS):
        given[name][torch.from_numpy(dropped & (stream == number) & both)] = 0.0


def family_of(reference: Reference) -> str:
    """Say what of a recording was forged: genuine, audio, visual, both, or forged where nobody says."""
    if not reference.segments:
        return "genuine"
    streams = {"audio": reference.audio, "visual": reference.visual}
    forged = [name for name, timeline in streams.items() if timeline is not None and timeline.segments]
    if None in streams.values() or not forged:
        return "forged"
    return forged[0] if len(forged) == 1 else "both"


def reaches_beyond(reference: Reference, n_frames: int) -> bool:
    """Whether the public code loses a recording: a segment reaches behind its window of ``n_frames``."""
    return any(int(segment.end * RATE_HZ) >= n_frames for segment in reference.segments)
