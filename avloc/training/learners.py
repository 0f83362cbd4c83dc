"""What learns from stored embeddings: examples and losses of each network, and how its answers are read."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from avloc.datasets.feature_set import FeatureSet
from avloc.decoding.published import PublishedQuirks
from avloc.decoding.select import Selection, select
from avloc.errors import ConfigError
from avloc.models.auvire import AuViRe
from avloc.models.dimodif import DiMoDif
from avloc.models.encoded import EncodedNetwork
from avloc.models.hierarchical import HierarchicalLocalizer
from avloc.models.weights.importing import STREAMS
from avloc.training.objective import RunnerModel, map_tensors
from avloc.training.own_features import OwnExamples, OwnObjective, present_frames
from avloc.training.published_features import PublishedExamples
from avloc.training.published_objective import PublishedObjective

RATE_HZ = 25


class Learner(Protocol):
    """A network that learns from stored embeddings, in the terms that all such trainings share.

    ``known_config`` names the configuration whose ``train`` keys are known; ``n_frames`` is the length of a
    sequence, ``channels`` what is read of each stream, ``fills_up`` whether zeros may stand for channels that
    one of the streams lacks, ``channels_key`` the key of the configuration for each stream's channels.
    ``in_several`` says whether several processes may train it.
    """

    network: nn.Module
    known_config: str
    n_frames: int
    channels: Mapping[str, int]
    fills_up: bool
    channels_key: Mapping[str, str]
    in_several: bool

    def examples(self, features: FeatureSet, stored: Mapping[str, int]) -> PublishedExamples:
        """Make rows of batches of recordings whose embeddings have ``stored`` channels by stream."""

    def objective(self, *, bfloat16: bool) -> RunnerModel:
        """Give the network with its losses."""

    def predict(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, float]]:
        """Give of each row what ``network`` finds, (N, 3) score, start and end in seconds, and its score."""


def learner_of(network: nn.Module, cfg: Mapping) -> Learner:
    """Give the learner of a network that ``cfg`` describes; ConfigError if it learns from no features."""
    if isinstance(network, DiMoDif | AuViRe):
        return PublishedLearner(network, cfg)
    if isinstance(network, HierarchicalLocalizer) and network.stored_streams == STREAMS:
        return OwnLearner(network, cfg)
    name = type(network).__name__
    raise ConfigError(f"{name} does not learn from features; give --media or --pack, or another config")


class PublishedLearner:
    """DiMoDif or AuViRe, with the targets and losses of their public code."""

    known_config = "dimodif_lavdf"
    fills_up = True
    in_several = True
    channels_key = dict.fromkeys(STREAMS, "model.feature_channels")

    def __init__(self, network: DiMoDif | AuViRe, cfg: Mapping) -> None:
        if getattr(network, "task", "tfl") != "tfl":
            raise ConfigError(f"model.task must be 'tfl' to be trained, got {network.task!r}")
        self.network, self.n_frames, self._cfg = network, network.max_length, cfg
        self.channels = dict.fromkeys(STREAMS, network.feature_channels)
        self._quirks = PublishedQuirks.from_mapping(cfg["decoding"].get("published", {}))

    def examples(self, features: FeatureSet, stored: Mapping[str, int]) -> PublishedExamples:
        """Make rows of batches."""
        return PublishedExamples(
            features,
            n_frames=self.n_frames,
            tiles=isinstance(self.network, DiMoDif),
            channels=self.network.feature_channels,
            stored=stored,
        )

    def objective(self, *, bfloat16: bool) -> PublishedObjective:
        """Give the network with its losses."""
        return PublishedObjective(self.network, alpha=self._cfg["train"]["alpha"], bfloat16=bfloat16)

    def predict(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, float]]:
        """Give what is found of each row, and its score."""
        decoder = EncodedNetwork(network, quirks=self._quirks)
        given = {name: batch[name] for name in ("visual", "audio", "n_valid")}
        outputs = decoder.decode(_without_features(network(**given)), batch["n_valid"].cpu())
        for found, logit in zip(outputs.proposals, outputs.recording_logit, strict=True):
            yield torch.cat((found.scores[:, None], found.segments), dim=1), float(logit.sigmoid())


class OwnLearner:
    """avloc's own network where encoders were, with its own targets and losses."""

    known_config = "avloc_lavdf"
    fills_up = False
    in_several = False
    channels_key = {stream: f"model.{stream}_encoder.out_channels" for stream in STREAMS}

    def __init__(self, network: HierarchicalLocalizer, cfg: Mapping) -> None:
        self.network, self._cfg = network, cfg
        self.channels = {stream: getattr(network, f"{stream}_encoder").out_channels for stream in STREAMS}
        self._selection = Selection.from_mapping(cfg["decoding"])

    @property
    def n_frames(self) -> int:
        """Length of a sequence; the keys of ``train`` are checked when it is asked for."""
        return self._cfg["train"]["n_frames"]

    def examples(self, features: FeatureSet, stored: Mapping[str, int]) -> OwnExamples:
        """Make rows of batches."""
        return OwnExamples(features, n_frames=self.n_frames, channels=self.channels)

    def objective(self, *, bfloat16: bool) -> OwnObjective:
        """Give the network with its losses."""
        return OwnObjective.from_settings(self.network, self._cfg["train"], bfloat16=bfloat16)

    def predict(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, float]]:
        """Give what is found of each row, and its score."""
        given = {stream: batch[stream] for stream in STREAMS}
        masks = {f"{stream}_mask": present_frames(x) for stream, x in given.items()}
        outputs = network(**{stream: (x,) for stream, x in given.items()}, **masks)
        outputs = map_tensors(outputs, Tensor.cpu)
        either = outputs.inside_logits.amax(1).sigmoid()  # (B, T)
        for row, found in enumerate(network.proposals(outputs)):
            n_frames = int(batch["n_valid"][row])
            # Recording time is float64, and ends with the recording.
            found = replace(found, segments=found.segments.double().clamp(0.0, n_frames / RATE_HZ))
            found = found[found.segments[:, 1] > found.segments[:, 0]]
            kept = select(found, either[row, :n_frames], selection=self._selection)
            rows = torch.cat((kept.scores[:, None].double(), kept.segments), dim=1)
            yield rows, float(outputs.recording_logit[row].sigmoid())


def _without_features(outputs: object) -> object:
    """Move to the CPU, where suppression is quicker, what decoding reads."""
    large = {name: () for name in ("tokens", "features") if hasattr(outputs, name)}
    return map_tensors(replace(outputs, **large), Tensor.cpu)
