"""Predictions of what learns from features on a split, and their figures while it learns."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from avloc.errors import ConfigError
from avloc.metrics.evaluate import evaluate
from avloc.metrics.table import SegmentTable
from avloc.models.weights.store import load_weights, read_header
from avloc.structures import Reference
from avloc.training.learners import Learner, learner_of
from avloc.training.parallel import gathered, n_processes, rank
from avloc.training.published_features import PublishedExamples
from avloc.training.published_source import FeatureFolder, channels_stored

NO_FIGURES = (
    "protocol",
    "n",
    "n_genuine",
    "n_references",
    "n_proposals",
    "coverage",
    "intervals",
    "warnings",
)


@dataclass(frozen=True, slots=True)
class FeatureDevelopment:
    """A split that is not trained on, one window a recording.

    Parameters
    ----------
    examples : PublishedExamples
        Its recordings.
    protocol : str
        As of ``metrics.evaluate``.
    learner : Learner
        Reads what the network answers.
    batch_size, workers : int
        How it is read.
    """

    examples: PublishedExamples
    protocol: str
    learner: Learner
    batch_size: int
    workers: int

    def measure(self, network: nn.Module) -> dict[str, float | None]:
        """Give the figures of the protocol; several processes share the work and get the same."""
        return self._figures(*self.predict(network))

    def predict(self, network: nn.Module) -> tuple[SegmentTable, dict[str, float]]:
        """Give segments in seconds and a score of every recording; several processes share the work."""
        parts = gathered(self._predict(network))
        scores = {name: score for _, own in parts for name, score in own.items()}
        return SegmentTable.joined([table for table, _ in parts]), scores

    def of_nothing(self) -> dict[str, float | None]:
        """Give the same figures of no proposals at all: which there are, and which the split leaves open."""
        ids = [reference.recording_id for reference in self.examples.features.references]
        return self._figures(SegmentTable.from_rows({id: [] for id in ids}), dict.fromkeys(ids, 0.0))

    def _figures(self, table: SegmentTable, scores: dict[str, float]) -> dict[str, float | None]:
        references = self.examples.features.references  # whoever predicted what, this is the order
        figures = evaluate(table, references, protocol=self.protocol, recording_scores=scores)
        return {name: value for name, value in figures.items() if name not in NO_FIGURES}

    def _predict(self, network: nn.Module) -> tuple[SegmentTable, dict[str, float]]:
        """Predict the recordings of this process: segments in seconds, and scores by id."""
        device = next(network.parameters()).device
        own = range(rank(), len(self.examples), n_processes())
        loader = DataLoader(Subset(self.examples, own), batch_size=self.batch_size, num_workers=self.workers)
        ids = iter(self.examples.features.references[i].recording_id for i in own)
        tables, scores = [SegmentTable.from_rows({})], {}
        for batch in loader:
            proposals = {}
            given = {name: batch[name].to(device) for name in ("visual", "audio", "n_valid")}
            for rows, score in self.learner.predict(network, given):
                name = next(ids)
                proposals[name], scores[name] = rows.double().tolist(), score
            tables.append(SegmentTable.from_rows(proposals))  # of all recordings the lists would be gigabytes
        return SegmentTable.joined(tables), scores


def predict_features(
    weights: str | Path, source: FeatureFolder, split: str
) -> tuple[dict[str, list], dict[str, float], tuple[Reference, ...]]:
    """Let weights that were trained on features predict a split from its features, one window a recording.

    Returns
    -------
    dict of str to list
        Rows (score, start, end in seconds) of each recording.
    dict of str to float
        Score of each recording.
    tuple of Reference
        The truth of the recordings that have features.

    Raises
    ------
    CheckpointError
        If the weights cannot be read.
    ConfigError
        If they do not learn from features, or the features are not those that they read.
    """
    network, card, _ = load_weights(weights)
    config, _ = read_header(weights)
    learner = learner_of(network, config)
    features = source.open(split)
    made = {stream: told["name"] for stream, told in features.made["encoders"].items()}
    if made != {stream: told["name"] for stream, told in card.encoders.items()}:
        raise ConfigError(f"{card.name!r} reads features of {dict(card.encoders)}, got those of {made}")
    settings = config["train"]
    examples = learner.examples(features, channels_stored(features))
    development = FeatureDevelopment(
        examples, settings["protocol"], learner, settings["batch_size"], settings["workers"]
    )
    with torch.inference_mode():
        table, scores = development.predict(network)
    rows = np.stack((table.scores, table.starts, table.ends), axis=1)
    ends = zip(table.ids, table.splits[:-1], table.splits[1:], strict=True)
    return {name: rows[first:last].tolist() for name, first, last in ends}, scores, features.references
