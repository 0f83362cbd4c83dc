"""DiMoDif and AuViRe with the losses of their public code, in the shape that every loop trains."""

import torch
from torch import Tensor

from avloc.models.auvire import AuViRe, AuViReOutputs
from avloc.models.dimodif import DiMoDif
from avloc.models.published_losses import auvire_loss, dimodif_loss
from avloc.training.objective import RunnerModel, map_tensors
from avloc.training.published_features import FeatureBatch


class PublishedObjective(RunnerModel):
    """A published network and its loss.

    Parameters
    ----------
    network : DiMoDif or AuViRe
        Reads embeddings.
    alpha : float [0, 1]
        Weight of positives in the focal loss.
    bfloat16 : bool
        Run the network in mixed precision; its outputs and losses are float32 all the same.
    """

    def __init__(self, network: DiMoDif | AuViRe, *, alpha: float, bfloat16: bool = False) -> None:
        super().__init__()
        self.network, self.alpha, self.bfloat16 = network, alpha, bfloat16

    def forward(self, batch: FeatureBatch) -> dict[str, Tensor]:
        """Give the loss under its name, weighted by what the batch counts among those of all processes."""
        with torch.autocast(batch.visual.device.type, torch.bfloat16, enabled=self.bfloat16):
            outputs = self.network(batch.visual, batch.audio, n_valid=batch.n_valid)
        if self.bfloat16:
            outputs = map_tensors(outputs, Tensor.float)
        if isinstance(outputs, AuViReOutputs):
            loss = auvire_loss(
                outputs.logits,
                outputs.offsets,
                outputs.dissimilarity,
                batch.targets,
                factors=self.network.level_factors,
                alpha=self.alpha,
            )
        else:
            loss = dimodif_loss(outputs.logits, outputs.offsets, batch.targets, alpha=self.alpha)
        return {"loss_published": loss * batch.share}
