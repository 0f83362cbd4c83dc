"""What DiMoDif and AuViRe learn from: embeddings of one length, and the targets of every frame."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from avloc.datasets.feature_set import FeatureItem, FeatureSet
from avloc.models.auvire import FEATURE_CHANNELS
from avloc.structures import Reference
from avloc.training.published_targets import assign_published, assign_tiles


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
    channels : int
        Of the embeddings.
    """

    def __init__(
        self, features: FeatureSet, *, n_frames: int, tiles: bool, channels: int = FEATURE_CHANNELS
    ) -> None:
        self.features, self.n_frames, self.tiles, self.channels = features, n_frames, tiles, channels

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
            "visual": self._filled(item.visual, item),
            "audio": self._filled(item.audio, item),
            "n_valid": torch.tensor(self._n_valid(item)),
            "targets": self._targets(item.reference),
        }

    def _n_valid(self, item: FeatureItem) -> int:
        there = [rows.shape[1] for rows in (item.visual, item.audio) if rows is not None]
        return min(self.n_frames, max(there, default=0))

    def _filled(self, rows: np.ndarray | None, item: FeatureItem) -> Tensor:
        filled = torch.zeros(self.channels, self.n_frames)
        if rows is None:
            return filled
        if len(rows) != self.channels:
            name = item.reference.recording_id
            raise ValueError(f"{name!r}: expected features of {self.channels} channels, got {len(rows)}")
        n = min(rows.shape[1], self.n_frames)
        filled[:, :n] = torch.from_numpy(rows[:, :n])
        return filled

    def _targets(self, reference: Reference) -> Tensor:
        whole = [(segment.start, segment.end) for segment in reference.segments]
        if not self.tiles:
            return assign_published(whole, self.n_frames)
        visual, audio = (
            whole if stream is None else [(segment.start, segment.end) for segment in stream.segments]
            for stream in (reference.visual, reference.audio)
        )
        return assign_tiles(visual, audio, self.n_frames)
