"""Whether the whole face beside the mouth helps to find forged mouths, on faces that were never trained on.

MEDIA="--media media/manifest.json --media corpus/manifest.json"
KIND="--families mouth_blend,mouth_freeze,mouth_reverse,mouth_self_blend --duration 3.2 --edit-share 0"
avloc synth train --use train --video $KIND --n 600 --seed 11 $MEDIA
avloc synth held_out --use held_out --any-licence --video $KIND --n 300 --seed 13 $MEDIA
python benchmarks/face_crop.py --train train --held-out held_out --out benchmarks/results/face_crop.json

Both sets are H.264 files whose mouths were edited in full frames; faces are followed and both crops cut from
the decoded files, so no crop shows an edge that the others do not. Two small networks without sound, whose
visual encoder reads the mouth, or the mouth and the face, are trained with the project's objective on the
same items, only mirrored, and as many steps. Frame AUC and AP@0.5 of each family against all genuine items;
95 % intervals by bootstrap over identities and seeds together, of the paired difference too. The committed
figures are of manifests without the entries of more than 750 000 pixels a frame, which take too long to edit.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from environment import environment

from avloc.datasets.manifest import ManifestDataset
from avloc.datasets.talking_faces import join_faces
from avloc.decoding.proposals import Proposals
from avloc.decoding.select import Selection, select
from avloc.features.prepare import prepare
from avloc.media.decode import Decoder, VideoBlock
from avloc.metrics import average_precision, match
from avloc.metrics.bootstrap import bootstrap_intervals
from avloc.metrics.frames import FrameScores, frame_auc, pool_frames
from avloc.metrics.table import SegmentTable
from avloc.models.encoders.compact import CompactVisualEncoder
from avloc.models.hierarchical import HierarchicalLocalizer
from avloc.models.pyramid import FeaturePyramid
from avloc.structures import Reference
from avloc.training.assignment import collate_segments
from avloc.training.batches import segments_in_frames, stack_crops
from avloc.training.objective import LossWeights, Objective, TrainingBatch

CROPS = ("mouth96_box", "face112")
N_FRAMES = 80  # a window: 3.2 s
ARMS: dict[str, dict[str, int]] = {
    "mouth": {"width": 8, "out_channels": 64, "n_blocks": 2},
    "mouth_and_face": {"width": 8, "out_channels": 96, "n_blocks": 2, "face_channels": 32},
}
PYRAMID = {
    "channels": 64,
    "n_levels": 5,
    "n_stem_blocks": 2,
    "attention_from": 2,
    "n_heads": 4,
    "dropout": 0.1,
}
LEARNING_RATE, WARMUP, BATCH = 3e-3, 40, 8
N_REPLICATES = 500
DECIDING = ("mouth_blend", "mouth_freeze")


@dataclass(frozen=True, slots=True)
class Example:
    """One recording: truth, ``crops`` (T, H, W) by name and ``present`` (T,), at most a window of them."""

    reference: Reference
    crops: dict[str, np.ndarray]
    present: np.ndarray

    @property
    def family(self) -> str:
        """How its mouth was forged, or ``genuine``."""
        return self.reference.attributes["family"]


@dataclass(frozen=True, slots=True)
class Scored:
    """Frame scores and ranked segments by recording id."""

    frames: dict[str, FrameScores]
    proposals: SegmentTable


def read_examples(folders: Sequence[Path]) -> list[Example]:
    """Decode recordings and cut both crops of the largest face; those without a face are left out."""
    examples = []
    for dataset in (ManifestDataset(root=folder) for folder in folders):
        for recording, reference in map(dataset.__getitem__, range(len(dataset))):
            with Decoder(recording, crops=CROPS) as decoder:
                blocks = [block for block in decoder if isinstance(block, VideoBlock)]
            crops, present, _ = join_faces(blocks, CROPS)
            if present[:N_FRAMES].any():
                kept = {name: crop[:N_FRAMES] for name, crop in crops.items()}
                examples.append(Example(reference, kept, present[:N_FRAMES]))
    return examples


def make_batch(examples: Sequence[Example], clips: Sequence[Mapping], inputs: tuple) -> TrainingBatch:
    """Put examples, shown by the crops of ``clips``, into a batch without sound."""
    seen = torch.zeros(len(examples), N_FRAMES, dtype=torch.bool)
    for row, example in enumerate(examples):
        seen[row, : len(example.present)] = torch.from_numpy(example.present)
    truth = [e.reference for e in examples]
    rows = [segments_in_frames(t.audio, t.visual, n_frames=N_FRAMES) for t in truth]
    segments, modality, valid = collate_segments(rows)
    wanted = [{name: clip[name] for name in inputs} for clip in clips]
    return TrainingBatch(
        audio=None,
        audio_mask=None,
        visual=prepare(inputs, crops=stack_crops(wanted, N_FRAMES)),
        visual_mask=seen,
        segments=segments,
        modality=modality,
        valid=valid,
        mismatch=torch.zeros(len(examples), N_FRAMES),
        lag=torch.zeros(len(examples)),
        forged=valid.any(1),
        families=tuple(example.family for example in examples),
    )


def build(arm: str, seed: int) -> HierarchicalLocalizer:
    """Make an untrained network."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return HierarchicalLocalizer(
            audio_encoder=None,
            visual_encoder=CompactVisualEncoder(**ARMS[arm]),
            alignment=None,
            discrepancy=None,
            pyramid=FeaturePyramid(**PYRAMID),
        )


def train(arm: str, examples: Sequence[Example], *, seed: int, n_steps: int) -> HierarchicalLocalizer:
    """Train one network; what a step shows, mirrored or not, depends on the seed and the step alone."""
    network = build(arm, seed)
    inputs = network.inputs["visual"]
    objective = Objective(network, LossWeights()).train()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=LEARNING_RATE, total_steps=n_steps, pct_start=WARMUP / n_steps, cycle_momentum=False
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # of dropout
        for step in range(n_steps):
            rng = np.random.default_rng([seed, step])
            chosen = [examples[k] for k in rng.integers(len(examples), size=BATCH)]
            turns = rng.choice([-1, 1], size=BATCH)  # mirrored or not
            varied = [
                {name: np.ascontiguousarray(e.crops[name][:, :, ::turn]) for name in inputs}
                for e, turn in zip(chosen, turns.tolist(), strict=True)
            ]
            losses = objective(make_batch(chosen, varied, inputs))
            optimizer.zero_grad()
            total = sum(losses.values())
            total.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if step % 50 == 49:
                print(f"{arm}, seed {seed}, step {step + 1}: loss {total.item():.3f}", flush=True)
    return network.eval()


@torch.inference_mode()
def score(network: HierarchicalLocalizer, examples: Sequence[Example]) -> Scored:
    """Run a network over the held-out set."""
    frames, proposals, selection = {}, {}, Selection()
    for start in range(0, len(examples), BATCH):
        part = examples[start : start + BATCH]
        batch = make_batch(part, [e.crops for e in part], network.inputs["visual"])
        outputs = network(visual=batch.visual, visual_mask=batch.visual_mask)
        inside = outputs.inside_logits[:, 1].sigmoid()  # (B, T) of the picture
        for row, (example, found) in enumerate(zip(part, network.proposals(outputs), strict=True)):
            name, n = example.reference.recording_id, len(example.present)
            values = inside[row, :n].double().numpy()
            frames[name] = FrameScores(np.where(example.present, values, np.nan))
            found = Proposals(found.segments.double(), found.scores, found.modality)
            kept = select(found, inside[row], selection=selection)
            pairs = zip(kept.scores.tolist(), kept.segments.tolist(), strict=True)
            proposals[name] = [[value, *segment] for value, segment in pairs]
    return Scored(frames, SegmentTable.from_rows(proposals))


class Comparison:
    """Figures of both arms on one family and all genuine items, and their intervals."""

    def __init__(self, examples: Sequence[Example], scored: Mapping[str, Sequence[Scored]]) -> None:
        self.identities = [e.reference.attributes["identity"] for e in examples]
        ids = [e.reference.recording_id for e in examples]
        truth = SegmentTable.from_references([e.reference for e in examples])
        self.n_seeds = len(next(iter(scored.values())))
        self._frames = {
            arm: [pool_frames({k: s.frames[k] for k in ids}, truth) for s in runs]
            for arm, runs in scored.items()
        }
        self._matches = {
            arm: [match(s.proposals.select(ids), truth, iou_thresholds=(0.5,)) for s in runs]
            for arm, runs in scored.items()
        }

    def figures(self, weights: np.ndarray, seeds: Sequence[int]) -> dict[str, float]:
        """Give the mean over seeds of every figure and of its difference between the arms."""
        found: dict[str, float] = {}
        for arm in ARMS:
            told = [frame_auc(self._frames[arm][k], weights=weights) for k in seeds]
            for name in ("frame_AUC", "frame_AUC_inside"):
                found[f"{arm} {name}"] = float(np.mean([one[name] for one in told]))
            precision = [average_precision(self._matches[arm][k], weights=weights)[0] for k in seeds]
            found[f"{arm} AP@0.5"] = float(np.mean(precision))
        first, second = ARMS
        for name in ("frame_AUC", "frame_AUC_inside", "AP@0.5"):
            found[f"gain {name}"] = found[f"{second} {name}"] - found[f"{first} {name}"]
        return found

    def summary(self) -> dict[str, object]:
        """Give figures, intervals and the figures of each seed."""
        everything, seeds = np.ones(len(self.identities)), range(self.n_seeds)
        rng = np.random.default_rng(1)
        intervals = bootstrap_intervals(
            lambda weights: self.figures(weights, rng.integers(self.n_seeds, size=self.n_seeds)),
            self.identities,
            n_replicates=N_REPLICATES,
        )
        by_seed = [self.figures(everything, [seed]) for seed in seeds]
        return {
            name: {
                "value": round(value, 4),
                "interval_95": None if intervals[name] is None else [round(v, 4) for v in intervals[name]],
                "by_seed": [round(one[name], 4) for one in by_seed],
            }
            for name, value in self.figures(everything, seeds).items()
        }


def compare(examples: Sequence[Example], scored: Mapping[str, Sequence[Scored]]) -> dict[str, dict]:
    """Compare the arms on each family, on what the decision rests on, and on all families."""
    families = sorted({e.family for e in examples} - {"genuine"})
    groups = {family: (family,) for family in families} | {"replaced_or_frozen": DECIDING, "all": families}
    found = {}
    for name, members in groups.items():
        chosen = [e for e in examples if e.family in (*members, "genuine")]
        found[name] = describe(chosen) | Comparison(chosen, scored).summary()
    return found


def describe(examples: Sequence[Example]) -> dict[str, object]:
    """Count what a set holds."""
    return {
        "n": len(examples),
        "families": dict(sorted(Counter(e.family for e in examples).items())),
        "n_identities": len({e.reference.attributes["identity"] for e in examples}),
    }


def _check_apart(training: Sequence[Example], held_out: Sequence[Example]) -> None:
    known, asked = ({e.reference.attributes["identity"] for e in part} for part in (training, held_out))
    if known & asked:
        raise SystemExit(f"the sets must share no identity, got {sorted(known & asked)} in both")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", action="append", type=Path, required=True)
    parser.add_argument("--held-out", action="append", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    result = {"environment": environment(), "arms": ARMS, "n_steps": options.steps, "n_seeds": options.seeds}
    result["n_parameters"] = {arm: sum(p.numel() for p in build(arm, 0).parameters()) for arm in ARMS}
    torch.set_num_threads(1)
    training, held_out = read_examples(options.train), read_examples(options.held_out)
    _check_apart(training, held_out)
    began = time.perf_counter()
    networks = {
        (arm, seed): train(arm, training, seed=seed, n_steps=options.steps)
        for seed in range(options.seeds)
        for arm in ARMS
    }
    result["training_s"] = round(time.perf_counter() - began)
    scored = {arm: [score(networks[arm, k], held_out) for k in range(options.seeds)] for arm in ARMS}
    result |= {"training": describe(training), "held_out": describe(held_out)}
    result["families"] = compare(held_out, scored)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    for name, figures in result["families"].items():
        print(name, {key: value for key, value in figures.items() if key == "n" or key.startswith("gain")})


if __name__ == "__main__":
    main()
