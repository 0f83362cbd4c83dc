"""What each loss of the eye's pretraining is worth, on faces that were never trained on.

MEDIA="--media media/manifest.json --media corpus/manifest.json"
python tools/train_eye.py $MEDIA --cache CACHE --out eye.safetensors
python benchmarks/eye.py $MEDIA --cache CACHE --work WORK --out benchmarks/results/eye.json

Arms of ``tools/train_eye.py``: the contrast between lags alone; with the contours of the lips, which are
learnt and let mouths be painted; with what the recogniser makes of the sound too. The last for an eye that
takes the mean of the whole window off a crop, not of the second around, and for one that reads the crop; the
contrast alone for one that reads the crop.

With mouths that are drawn for recordings of speech (``phone_segments`` must be in the media): the contrast on
these alone; on batches that are half drawn; and on real mouths after ``FIRST`` steps of drawn ones. As many
steps of batches that are half drawn, or not at all, tell what more steps are worth.

Every arm starts from the same ear and an eye of nothing; arms of one training make as many steps and see the
same clips in the same order, but for those that drawn mouths take the place of. Figures are those of
``benchmarks/sync.py``, on the same clips: shift AUC over 1 s and 2 s, mean over seeds, with 95 % intervals by
bootstrap over identities and seeds together; ``gain`` is the paired difference to the contrast alone.
``init`` is what the weights of ``--init`` reach as they are. The first command finds the lips; arms may be
trained at the same time, each with ``--arm``. With ``--sum-up`` nothing is trained: the arms of the work
folder are summed up, at least the contrast alone.
"""

import argparse
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from environment import environment, parameters_sha256
from sync import shift_scores

from avloc.config import load_config
from avloc.datasets.talking_faces import FaceClip, TalkingFaces
from avloc.metrics import auc
from avloc.metrics.bootstrap import bootstrap_intervals
from avloc.models.weights.card import unmeasured_card
from avloc.models.weights.store import load_weights, save_weights
from avloc.training.eye import EyeSettings, train_eye
from avloc.training.eye_clips import EyeClips
from avloc.training.runner import build_checked, start_from

BASE = "contrast"
FIRST = 240  # steps
EYE = {"halved": True, "motion": 12}  # how the eye of all arms reads crops, where they do not say otherwise
ALONE = {"lips": 0.0, "ear": 0.0}
HALF = ALONE | {"rendered": 0.5}
# Settings of the trainings, one after the other, and of the eye; the last makes as many steps as asked for.
ARMS: dict[str, tuple[tuple[dict[str, float], ...], dict[str, int]]] = {
    "contrast": ((ALONE,), {}),
    "contrast_lips": (({"ear": 0.0},), {}),
    "all": (({},), {}),
    "all_whole_mean": (({},), {"motion": 640}),
    "all_without_motion": (({},), {"motion": 0}),
    "contrast_motion0": ((ALONE,), {"motion": 0}),
    "rendered_alone": ((ALONE | {"rendered": 1.0},), {}),
    "contrast_rendered": ((HALF,), {}),
    "contrast_longer": ((ALONE | {"steps": FIRST}, ALONE), {}),
    "contrast_rendered_longer": ((HALF | {"steps": FIRST}, HALF), {}),
    "rendered_first": ((ALONE | {"rendered": 1.0, "steps": FIRST}, ALONE), {}),
}
N_REPLICATES = 500

Scores = dict[str, dict[str, list]]


def train_arm(arm: str, seed: int, clips: EyeClips, options: argparse.Namespace) -> torch.nn.Module:
    """Train one network from the ear of ``--init``."""
    stages, eye = ARMS[arm]
    read = {f"model.visual_encoder.{k}": v for k, v in (EYE | eye).items()}
    cfg = load_config("default", overrides=read)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_checked(cfg["model"]).eval()
    start_from(network, recogniser=None, init=options.init)
    for settings in stages:
        train_eye(network, clips, EyeSettings(**{"steps": options.steps, "seed": seed, **settings}))
    save_weights(options.work / f"{arm}-{seed}.safetensors", network, config=cfg, card=unmeasured_card(arm))
    return network


class Comparison:
    """Figures of all arms on the same stretches."""

    def __init__(self, runs: Mapping[str, Sequence[Scores]]) -> None:
        self.runs = runs
        self.names = list(next(iter(runs.values()))[0])
        self.identities = sorted({k for run in runs.values() for k in run[0][self.names[0]]})

    def figures(self, weights: np.ndarray, rng: np.random.Generator | None) -> dict[str, float]:
        """Mean over seeds of each figure, and of its gain; seeds are drawn if there is an ``rng``."""
        found = {}
        counts = dict(zip(self.identities, weights, strict=True))
        for name in self.names:
            for arm, run in self.runs.items():
                seeds = range(len(run)) if rng is None else rng.integers(len(run), size=len(run)).tolist()
                found[f"{arm} {name}"] = float(np.mean([_auc(run[k][name], counts) for k in seeds]))
            for arm in self.runs:
                found[f"{arm} gain {name}"] = found[f"{arm} {name}"] - found[f"{BASE} {name}"]
        return found

    def summary(self) -> dict[str, dict]:
        """Values, intervals and the figures of each seed, by arm."""
        rng = np.random.default_rng(1)
        values = self.figures(np.ones(len(self.identities)), None)
        intervals = bootstrap_intervals(
            lambda weights: self.figures(weights, rng), self.identities, n_replicates=N_REPLICATES
        )
        everyone = dict.fromkeys(self.identities, 1.0)
        return {
            arm: {
                name: {
                    "value": round(values[f"{arm} {name}"], 3),
                    "interval_95": [round(v, 3) for v in intervals[f"{arm} {name}"]],
                    "gain": round(values[f"{arm} gain {name}"], 3),
                    "gain_interval_95": [round(v, 3) for v in intervals[f"{arm} gain {name}"]],
                    "by_seed": [round(_auc(one[name], everyone), 3) for one in run],
                }
                for name in self.names
            }
            for arm, run in self.runs.items()
        }


def _auc(by_identity: Mapping[str, list], counts: Mapping[str, float]) -> float:
    rows = [(score, truth, counts[name]) for name, told in by_identity.items() for score, truth in told]
    score, truth, weight = (np.array(column) for column in zip(*rows, strict=True))
    return auc(score, truth, weight)


def held_out_clips(options: argparse.Namespace) -> list[FaceClip]:
    """Read the faces that nothing is trained on."""
    faces = TalkingFaces.build(options.media, use="held_out", cache=options.cache, weights_only=False)
    return [faces[i] for i in range(len(faces))]


def run_arm(
    arm: str, seed: int, clips: EyeClips, held_out: list[FaceClip], options: argparse.Namespace
) -> None:
    """Train one network, measure it and keep that in the work folder; what is there is not done again."""
    file = options.work / f"{arm}-{seed}.json"
    if file.exists():
        return
    began = time.process_time()
    network = train_arm(arm, seed, clips, options)
    result = {"training_cpu_s": round(time.process_time() - began), "n_steps": options.steps}
    file.write_text(json.dumps(result | {"scores": shift_scores(network, held_out)}))
    logging.info("%s, seed %d is done", arm, seed)


def files_of(arm: str, options: argparse.Namespace) -> list[Path]:
    """Find the runs of an arm in the work folder; seeds of an earlier, longer run count too."""
    return sorted(options.work.glob(f"{arm}-[0-9]*.json"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--media", action="append", required=True)
    parser.add_argument("--init", default="default")
    parser.add_argument("--cache", required=True)
    parser.add_argument(
        "--work", type=Path, required=True, help="keeps each run, so that a stopped one goes on"
    )
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--arm", choices=ARMS, action="append", help="train these only, and write no result")
    parser.add_argument(
        "--sum-up", action="store_true", help="of what the work folder holds, without training"
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    wanted = options.arm or [arm for arm in ARMS if not options.sum_up or files_of(arm, options)]
    if options.sum_up and BASE not in wanted:
        parser.error(f"--sum-up: every gain is one over {BASE!r}, which {str(options.work)!r} does not hold")
    result = {"environment": environment(), "parameters_sha256": parameters_sha256(options.init)}
    result |= {"n_steps": options.steps}
    teacher, _, _ = load_weights(options.init)
    clips = EyeClips.build(
        teacher,
        options.media,
        cache=Path(options.cache),
        make_finder=None,
        with_rendered=any(one.get("rendered") for arm in wanted for one in ARMS[arm][0]),
    )
    held_out = held_out_clips(options)
    result["training"] = clips.describe()
    result["held_out"] = {
        "n_clips": len(held_out),
        "n_identities": len({clip.entry.identity for clip in held_out}),
    }
    for seed in range(0 if options.sum_up else options.seeds):
        for arm in wanted:
            run_arm(arm, seed, clips, held_out, options)
    if options.arm:
        return
    runs = {"init": [{"scores": shift_scores(teacher, held_out)}]}
    runs |= {arm: [json.loads(file.read_text()) for file in files_of(arm, options)] for arm in wanted}
    result["arms"] = {arm: ARMS[arm] for arm in wanted}
    result["n_seeds"] = {arm: len(runs[arm]) for arm in wanted}
    result["training_cpu_s"] = {arm: [one["training_cpu_s"] for one in runs[arm]] for arm in wanted}
    result["shift_auc"] = Comparison({k: [one["scores"] for one in run] for k, run in runs.items()}).summary()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    print(json.dumps(result["shift_auc"], indent=1))


if __name__ == "__main__":
    main()
