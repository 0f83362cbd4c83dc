"""avloc's own network on stored embeddings: segments of every recording, and its losses of them."""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor

from avloc.datasets.feature_set import FeatureSet
from avloc.models.hierarchical import HierarchicalLocalizer
from avloc.structures import Reference, Timeline
from avloc.training.batches import segments_in_frames
from avloc.training.objective import LossWeights, Objective, TrainingBatch
from avloc.training.published_features import FeatureBatch, PublishedExamples


def present_frames(embedding: Tensor) -> Tensor:
    """Say which frames of (B, C, T) hold anything: avloc's encoders leave zeros where nothing is.

    Examples
    --------
    >>> present_frames(torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])).tolist()
    [[False, True]]
    """
    return (embedding != 0).any(dim=1)


class OwnExamples(PublishedExamples):
    """A ``FeatureSet`` as rows of a batch for avloc's own network.

    ``targets`` of a recording are float32 (K, 5), K the most segments that one of the set has: start and end
    in frames, whether sound and picture were forged, and 1, or zeros where there is no further segment.

    Parameters
    ----------
    features : FeatureSet
        The recordings.
    n_frames : int
        What is longer is cut.
    channels : mapping of str to int
        Of the embeddings of each stream.
    """

    def __init__(self, features: FeatureSet, *, n_frames: int, channels: Mapping[str, int]) -> None:
        super().__init__(features, n_frames=n_frames, tiles=False, channels=channels)
        self._rows = [_segments(reference, n_frames) for reference in features.references]
        self._most = max((len(rows) for rows in self._rows), default=0) or 1

    def _targets(self, index: int) -> Tensor:
        targets = torch.zeros(self._most, 5)
        for k, row in enumerate(self._rows[index]):
            targets[k] = torch.tensor((*row, 1.0))
        return targets


def _segments(reference: Reference, n_frames: int) -> list[tuple[float, float, bool, bool]]:
    """Give (start, end, audio, visual) in frames; where nobody says which stream was forged, both were."""
    whole = Timeline(tuple(reference.segments))
    audio, visual = (whole if line is None else line for line in (reference.audio, reference.visual))
    return segments_in_frames(audio, visual, n_frames=n_frames)


class OwnObjective(Objective):
    """avloc's network and its losses, of embeddings.

    Sound and picture count as not belonging together where one of them alone was forged, and as without a
    constant lag, because annotations do not tell it.
    """

    @classmethod
    def from_settings(
        cls, network: HierarchicalLocalizer, settings: Mapping, *, bfloat16: bool = False
    ) -> Self:
        """Make it with the weights in ``settings``, the ``train`` key of a configuration."""
        return cls(network, LossWeights(**settings["losses"]), bfloat16=bfloat16)

    def forward(self, batch: FeatureBatch) -> dict[str, Tensor]:
        """Give losses by name."""
        return super().forward(training_batch(batch))


def training_batch(batch: FeatureBatch) -> TrainingBatch:
    """Bring embeddings and segments into the form of every batch of avloc's network.

    A segment of a stream that is not there, such as one that was dropped, is none.
    """
    masks = {"audio": present_frames(batch.audio), "visual": present_frames(batch.visual)}
    there = torch.stack([mask.any(dim=1) for mask in masks.values()], dim=1)  # (B, 2)
    segments, modality = batch.targets[..., :2], batch.targets[..., 2:4] > 0
    modality = modality & there[:, None]
    valid = (batch.targets[..., 4] > 0) & modality.any(dim=2)
    centre = torch.arange(batch.audio.shape[2], device=segments.device) + 0.5
    inside = (centre >= segments[..., 0:1]) & (centre < segments[..., 1:2])  # (B, K, T)
    one_alone = valid & (modality.sum(dim=2) == 1)
    return TrainingBatch(
        audio=(batch.audio,),
        audio_mask=masks["audio"],
        visual=(batch.visual,),
        visual_mask=masks["visual"],
        segments=segments,
        modality=modality,
        valid=valid,
        mismatch=(inside & one_alone[..., None]).any(dim=1).float(),
        lag=torch.zeros(len(segments), device=segments.device),
        forged=valid.any(dim=1),
        families=batch.families,
    )
