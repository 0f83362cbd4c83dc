"""Figures on development identities while training: the same items, windows and corruptions every time."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from avloc.datasets.speech_pool import SpeechPool
from avloc.decoding.proposals import Proposals
from avloc.decoding.select import Selection, select
from avloc.media.decode import MOUTH
from avloc.metrics.average_precision import average_precision
from avloc.metrics.matching import match
from avloc.metrics.recording import auc
from avloc.metrics.table import SegmentTable
from avloc.models.hierarchical import LocalizerOutputs
from avloc.training.assignment import assign_frames
from avloc.training.batches import RATE, BatchSource
from avloc.training.objective import TrainingBatch, map_tensors
from avloc.training.sources import corrupt, picture_items, sound_items

DEVELOPMENT_SEED = 1_000_003


@dataclass(frozen=True, slots=True)
class DevelopmentSet:
    """Batches by condition: ``wide`` and ``telephone`` sound, and ``picture`` where that is trained."""

    conditions: Mapping[str, tuple[TrainingBatch, ...]]
    selection: Selection

    @classmethod
    def build(
        cls, settings: Mapping, decoding: Mapping, inputs: Mapping, *, media: tuple[str, ...], cache: Path
    ) -> "DevelopmentSet":
        """Make batches of each condition from identities with ``use: dev``.

        There are as many batches as ``development_items`` windows of the shortest length need.
        """
        pool = SpeechPool.build(media, use="dev", cache=cache)
        crops = inputs.get("visual", MOUTH)
        draw_picture = picture_items(settings, media, use="dev", cache=cache, crops=crops)
        n_batches = -(-settings["development_items"] // settings["batch_size"])
        conditions = {}
        for name, telephone_share in (("wide", 0.0), ("telephone", 1.0), ("picture", 0.0)):
            if name == "picture" and draw_picture is None:
                continue
            source = BatchSource(
                draw_sound=sound_items(settings, pool),
                draw_picture=draw_picture,
                corrupt=partial(corrupt, telephone_share=telephone_share, pool=pool),
                inputs=inputs,
                picture_share=1.0 if name == "picture" else 0.0,
                drop_sound=0.0,
                batch_size=settings["batch_size"],
                picture_batch_size=settings["picture_batch_size"],
                window_frames=settings["window_frames"],
                n_batches=n_batches,
                seed=DEVELOPMENT_SEED,
            )
            conditions[name] = tuple(DataLoader(source, batch_size=None, num_workers=settings["workers"]))
        return cls(conditions, Selection.from_mapping(decoding))

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Give AP@0.5, AP@0.75, recording AUC and frame AUC of each condition, one window an item."""
        return {
            f"{name} {key}": round(value, 4)
            for name, batches in self.conditions.items()
            for key, value in self._condition(network, batches).items()
        }

    def _condition(self, network: nn.Module, batches: tuple[TrainingBatch, ...]) -> dict[str, float]:
        proposals, references, scores, forged, frames, truth = {}, {}, [], [], [], []
        device = next((p.device for p in network.parameters()), torch.device("cpu"))
        for batch in batches:
            given = batch.to(device)
            outputs = network(
                audio=given.audio,
                audio_mask=given.audio_mask,
                visual=given.visual,
                visual_mask=given.visual_mask,
            )
            outputs = map_tensors(outputs, Tensor.cpu)
            either = outputs.inside_logits.amax(1).sigmoid()  # (B, T)
            for row, found in enumerate(network.proposals(outputs)):
                name = str(len(references))
                # Recording time is float64.
                found = Proposals(found.segments.double(), found.scores, found.modality)
                kept = select(found, either[row], selection=self.selection)
                proposals[name] = [
                    [float(score), float(start), float(end)]
                    for score, (start, end) in zip(kept.scores, kept.segments, strict=True)
                ]
                references[name] = (batch.segments[row][batch.valid[row]] / RATE).tolist()
            scores.append(outputs.recording_logit)
            forged.append(batch.forged)
            frames.append(either[outputs.point_masks[0]])
            truth.append(_inside(batch, outputs)[outputs.point_masks[0]])
        matches = match(
            SegmentTable.from_rows(proposals), SegmentTable.from_spans(references), iou_thresholds=(0.5, 0.75)
        )
        precision = average_precision(matches)
        return {
            "AP@0.5": float(precision[0]),
            "AP@0.75": float(precision[1]),
            "AUC": auc(torch.cat(scores).double().numpy(), torch.cat(forged).numpy()),
            "frame AUC": auc(
                torch.cat(frames).double().numpy(), np.asarray(torch.cat(truth).numpy(), dtype=bool)
            ),
        }


def _inside(batch: TrainingBatch, outputs: LocalizerOutputs) -> Tensor:
    inside, _ = assign_frames(batch.segments, batch.modality, batch.valid, outputs.inside_logits.shape[2])
    return inside.amax(1) > 0
