"""The network with its losses, in the shape that mmengine's Runner and the plain loop train."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from avloc.models.hierarchical import LocalizerOutputs
from avloc.models.losses import (
    distance_iou,
    masked_bce,
    quality_focal,
    roughness,
    synchrony_contrast,
)
from avloc.training.assignment import assign_frames, assign_points

CONTRAST_LAG = 25  # frames: lags to either side that compete in the synchrony contrast


class Batch:
    """A dataclass of tensors that loops move."""

    __slots__ = ()

    def to(self, device: torch.device) -> Self:
        """Move its tensors to ``device``; from pinned memory without waiting for them."""
        return map_tensors(self, lambda value: value.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """Pin its tensors; a data loader calls it."""
        return map_tensors(self, Tensor.pin_memory)


@dataclass(slots=True)
class TrainingBatch(Batch):
    """Windows of one kind: all with sound, all or none with a picture.

    ``audio`` and ``visual`` are what ``features.prepare`` makes, or None; masks (B, T) bool; ``segments``
    (B, K, 2) frames, ``modality`` (B, K, 2) and ``valid`` (B, K) as ``collate_segments`` makes them;
    ``mismatch`` (B, T) frames where sound and picture do not belong together; ``lag`` (B,) frames that the
    sound is late throughout; ``forged`` (B,) bool; ``families`` names of the manipulations.
    """

    audio: tuple[Tensor, ...] | None
    audio_mask: Tensor | None
    visual: tuple[Tensor, ...] | None
    visual_mask: Tensor | None
    segments: Tensor
    modality: Tensor
    valid: Tensor
    mismatch: Tensor
    lag: Tensor
    forged: Tensor
    families: tuple[str, ...]


def map_tensors(value: object, change: Callable[[Tensor], Tensor]) -> object:
    """Copy tuples and dataclasses with every tensor in them changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple):
        return tuple(map_tensors(inner, change) for inner in value)
    if is_dataclass(value):
        return type(value)(**{f.name: map_tensors(getattr(value, f.name), change) for f in fields(value)})
    return value


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weight of each term; a term whose inputs are absent from a batch is zero.

    ``low_pass`` is of a prior over time: the curve of inside scores changes slowly.
    """

    score: float = 1.0
    distance: float = 1.0
    modality: float = 0.2
    inside: float = 1.0
    boundary: float = 0.5
    recording: float = 0.3
    discrepancy: float = 0.5
    synchrony: float = 0.5
    residual: float = 0.2
    low_pass: float = 0.0


class RunnerModel(nn.Module):
    """What mmengine's Runner asks of a model: an update with the losses that a call gives by name."""

    def train_step(self, data: Batch, optim_wrapper: object) -> dict[str, Tensor]:
        """Update once; mmengine calls it."""
        with optim_wrapper.optim_context(self):
            losses = self(data.to(next(self.parameters()).device))
        total = sum(losses.values())
        optim_wrapper.update_params(total)
        return {"loss": total, **losses}


class Objective(RunnerModel):
    """A localization network and the sum of its losses.

    Parameters
    ----------
    network : nn.Module
        Gives ``LocalizerOutputs``.
    weights : LossWeights
        Weight of each term.
    bfloat16 : bool
        Run the network in mixed precision; losses are float32 all the same.
    """

    def __init__(self, network: nn.Module, weights: LossWeights, *, bfloat16: bool = False) -> None:
        super().__init__()
        self.network, self.weights, self.bfloat16 = network, weights, bfloat16
        self.contrast_sharpness = nn.Parameter(torch.tensor(2.0))

    def forward(self, batch: TrainingBatch, mode: str = "loss") -> dict[str, Tensor] | LocalizerOutputs:
        """Give losses by name (``mode="loss"``) or the network's outputs (``mode="tensor"``)."""
        with torch.autocast(batch.segments.device.type, torch.bfloat16, enabled=self.bfloat16):
            outputs = self.network(
                audio=batch.audio,
                audio_mask=batch.audio_mask,
                visual=batch.visual,
                visual_mask=batch.visual_mask,
            )
        if self.bfloat16:
            outputs = map_tensors(outputs, lambda v: v.float() if v.is_floating_point() else v)
        if mode == "tensor":
            return outputs
        terms = {
            **self._points(outputs, batch),
            **self._frames(outputs, batch),
            **self._synchrony(outputs, batch),
            "recording": functional.binary_cross_entropy_with_logits(
                outputs.recording_logit, batch.forged.float()
            ),
        }
        return {f"loss_{name}": value * getattr(self.weights, name) for name, value in terms.items()}

    def _points(self, outputs: LocalizerOutputs, batch: TrainingBatch) -> dict[str, Tensor]:
        score_sum, distance_sum, modality_sum, n_positive = 0.0, 0.0, 0.0, 0
        n_levels = len(outputs.score_logits)
        for level, logits in enumerate(outputs.score_logits):
            targets = assign_points(
                batch.segments,
                batch.modality,
                batch.valid,
                level=level,
                n_levels=n_levels,
                n_points=logits.shape[1],
            )
            real = outputs.point_masks[level]
            positive = targets.positive & real
            quality = torch.zeros_like(logits)
            if bool(positive.any()):
                predicted = outputs.distances[level].transpose(1, 2)[positive]
                iou, loss = distance_iou(predicted, targets.distances.transpose(1, 2)[positive])
                distance_sum = distance_sum + loss.sum()
                # A floor: at the start no segment fits, and a positive point must not be taught to be a
                # negative.
                quality[positive] = iou.detach().clamp_min(0.3)
                told = outputs.modality_logits[level].transpose(1, 2)[positive]
                wanted = targets.modality.transpose(1, 2)[positive]
                modality_sum = modality_sum + functional.binary_cross_entropy_with_logits(
                    told, wanted, reduction="sum"
                )
                n_positive += int(positive.sum())
            score_sum = score_sum + quality_focal(logits, quality)[real].sum()
        count = float(max(n_positive, batch.segments.shape[0]))
        zero = outputs.recording_logit.sum() * 0.0
        return {
            "score": score_sum / count,
            "distance": distance_sum / count + zero,
            "modality": modality_sum / count + zero,
        }

    def _frames(self, outputs: LocalizerOutputs, batch: TrainingBatch) -> dict[str, Tensor]:
        n_frames = outputs.inside_logits.shape[2]
        inside, zone = assign_frames(batch.segments, batch.modality, batch.valid, n_frames)
        absent = torch.zeros_like(batch.mismatch, dtype=torch.bool)
        real = torch.stack(
            (
                absent if batch.audio is None else batch.audio_mask,
                absent if batch.visual is None else batch.visual_mask,
            ),
            dim=1,
        ).float()
        # Forged frames are a sixth of all; edges a fortieth. The zone counts half for the inside, which is
        # to be learnt for itself.
        inside_weight = real * (1 + 2 * inside) * (1 - 0.5 * zone)
        boundary_weight = real * (1 + 5 * zone)
        terms = {
            "inside": masked_bce(outputs.inside_logits, inside, inside_weight),
            "boundary": masked_bce(outputs.boundary_logits, zone, boundary_weight),
        }
        return terms | ({"low_pass": roughness(outputs.inside_logits, real)} if self.weights.low_pass else {})

    def _synchrony(self, outputs: LocalizerOutputs, batch: TrainingBatch) -> dict[str, Tensor]:
        if outputs.aligned is None:
            return {}
        both = outputs.aligned.mask
        genuine = both & ~(batch.mismatch > 0)
        contrast = synchrony_contrast(
            outputs.aligned.audio,
            outputs.aligned.visual,
            genuine,
            batch.lag,
            max_lag=CONTRAST_LAG,
            sharpness=self.contrast_sharpness.exp(),
        )
        if outputs.discrepancy_logit is None:
            return {"synchrony": contrast}
        weight = both.float() * (1 + 2 * batch.mismatch)
        residual = (outputs.residual**2).sum(1) * genuine
        return {
            "discrepancy": masked_bce(outputs.discrepancy_logit, batch.mismatch, weight),
            "synchrony": contrast,
            "residual": residual.sum() / genuine.sum().clamp_min(1),
        }
