"""Figures of DiMoDif and AuViRe while they learn: predictions on a split, scored under a protocol."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from avloc.decoding.published import PublishedQuirks
from avloc.metrics.evaluate import evaluate
from avloc.metrics.table import SegmentTable
from avloc.models.encoded import EncodedNetwork
from avloc.training.objective import map_tensors
from avloc.training.parallel import gathered, n_processes, rank
from avloc.training.published_features import PublishedExamples

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
    quirks : PublishedQuirks
        Of the decoding.
    batch_size, workers : int
        How it is read.
    """

    examples: PublishedExamples
    protocol: str
    quirks: PublishedQuirks
    batch_size: int
    workers: int

    def measure(self, network: nn.Module) -> dict[str, float | None]:
        """Give the figures of the protocol; several processes share the work and get the same."""
        parts = gathered(self._predict(network))
        scores = {name: score for _, own in parts for name, score in own.items()}
        return self._figures(SegmentTable.joined([table for table, _ in parts]), scores)

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
        decoder = EncodedNetwork(network, quirks=self.quirks)
        own = range(rank(), len(self.examples), n_processes())
        loader = DataLoader(Subset(self.examples, own), batch_size=self.batch_size, num_workers=self.workers)
        ids = iter(self.examples.features.references[i].recording_id for i in own)
        tables, scores = [SegmentTable.from_rows({})], {}
        for batch in loader:
            proposals = {}
            given = {name: batch[name].to(device) for name in ("visual", "audio", "n_valid")}
            outputs = decoder.decode(_without_features(network(**given)), batch["n_valid"])
            for found, logit in zip(outputs.proposals, outputs.recording_logit, strict=True):
                name = next(ids)
                times = torch.cat((found.scores[:, None], found.segments), dim=1)
                proposals[name], scores[name] = times.double().tolist(), float(logit.sigmoid())
            tables.append(SegmentTable.from_rows(proposals))  # of all recordings the lists would be gigabytes
        return SegmentTable.joined(tables), scores


def _without_features(outputs: object) -> object:
    """Move to the CPU, where suppression is quicker, what decoding reads."""
    large = {name: () for name in ("tokens", "features") if hasattr(outputs, name)}
    return map_tensors(replace(outputs, **large), Tensor.cpu)
