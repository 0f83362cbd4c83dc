"""How long each operation takes, the compiled kernel beside its reference, over N segments or T frames.

python benchmarks/bench_ops.py --out benchmarks/results/bench_ops.json

Every pair is first compared: a benchmark of two that disagree stops. Times are medians with their
interquartile range. A reference that would run for longer than about two seconds is left out, with null in
its place.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

sys.path.insert(0, str(Path(__file__).resolve().parent))
from environment import environment

from avloc import ops
from avloc.ops import reference

SIZES = (100, 1_000, 10_000)
SOFT = {"method": "gaussian", "sigma": 0.5, "iou_threshold": 0.3, "min_score": 0.01, "max_segments": 100}
UNUSED = {"iou_at_0s": 0.0, "iou_at_1s": 0.0, "splits": None}  # the reference has no defaults
MAX_LAG_FRAMES = 15
CHANNELS = 64
OTHERS = 100  # segments that every one is compared with
# Rows of the table: name, the compiled call, the reference, and up to which size the reference runs.
Case = tuple[str, Callable[[], object], Callable[[], object], int]


def random_segments(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Proposals as a network makes them: about 40 a second, lengths around half a second."""
    starts = torch.rand(n, generator=generator) * n / 40
    lengths = torch.exp(torch.randn(n, generator=generator) * 0.8 - 0.7)
    return torch.stack([starts, starts + lengths], dim=1), torch.rand(n, generator=generator)


def suppression_cases(segments: Tensor, scores: Tensor) -> list[Case]:
    """Suppress hard and soft, and vote for what a soft suppression kept."""
    kept, _ = ops.soft_segment_nms(segments, scores, **SOFT)
    return [
        (
            "segment_nms",
            lambda: ops.segment_nms(segments, scores, 0.5),
            lambda: reference.segment_nms(segments, scores, 0.5, splits=None),
            1_000,
        ),
        (
            "soft_segment_nms, 100 picks",
            lambda: ops.soft_segment_nms(segments, scores, **SOFT),
            lambda: reference.soft_segment_nms(segments, scores, **SOFT, **UNUSED),
            10_000,
        ),
        (
            "soft_segment_nms, all picks",
            lambda: ops.soft_segment_nms(segments, scores, **SOFT | {"max_segments": None}),
            lambda: reference.soft_segment_nms(segments, scores, **SOFT | {"max_segments": None}, **UNUSED),
            1_000,
        ),
        (
            "vote_segments, 100 kept",
            lambda: ops.vote_segments(kept, segments, scores, iou_threshold=0.5),
            lambda: reference.vote_segments(kept, segments, scores, iou_threshold=0.5, splits=None),
            10_000,
        ),
    ]


def scoring_cases(segments: Tensor, n: int, generator: torch.Generator) -> list[Case]:
    """Rescore over n frames, and compare with the first segments, forward and backward."""
    frame_scores = torch.rand(1, max(1, n), generator=generator)
    spans = torch.cat([torch.zeros(n, 1), segments * 25], dim=1).clamp(max=n)
    others = segments[:OTHERS]
    grad = torch.randn(n, len(others), generator=generator)
    backward = torch.ops.avloc.segment_iou_backward
    return [
        (
            "score_segments",
            lambda: ops.score_segments(frame_scores, spans),
            lambda: reference.score_segments(frame_scores, spans),
            1_000,
        ),
        (
            f"segment_iou, {OTHERS} others",
            lambda: ops.segment_iou(segments, others),
            lambda: reference.segment_iou(segments, others),
            10_000,
        ),
        (
            f"segment_iou_backward, {OTHERS} others",
            lambda: backward(grad, segments, others),
            lambda: reference.segment_iou_backward(grad, segments, others),
            10_000,
        ),
    ]


def correlation_cases(n: int, generator: torch.Generator) -> list[Case]:
    """Correlate n frames, and take the gradients of that."""
    audio, visual = torch.randn(2, 1, CHANNELS, n, generator=generator).unbind()
    grad = torch.randn(1, 2 * MAX_LAG_FRAMES + 1, n, generator=generator)
    backward = torch.ops.avloc.band_correlation_backward
    return [
        (
            "band_correlation",
            lambda: ops.band_correlation(audio, visual, MAX_LAG_FRAMES),
            lambda: reference.band_correlation(audio, visual, MAX_LAG_FRAMES),
            10_000,
        ),
        (
            "band_correlation_backward",
            lambda: backward(grad, audio, visual, MAX_LAG_FRAMES),
            lambda: reference.band_correlation_backward(grad, audio, visual, MAX_LAG_FRAMES),
            10_000,
        ),
    ]


def cases(n: int, generator: torch.Generator) -> list[Case]:
    """Return every operation at size n: n segments, or n frames."""
    segments, scores = random_segments(n, generator)
    return [
        *suppression_cases(segments, scores),
        *scoring_cases(segments, n, generator),
        *correlation_cases(n, generator),
    ]


def measure(call: Callable[[], object]) -> dict[str, float]:
    """Median and interquartile range of one call in microseconds."""
    timing = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
    found = timing.blocked_autorange(min_run_time=0.2)
    return {"median_us": round(found.median * 1e6, 1), "iqr_us": round(found.iqr * 1e6, 1)}


def agree(one: object, other: object) -> None:
    """Stop when a kernel and its reference differ by more than float32 sums of 64 products do."""
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file; without it the result goes to stdout")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(arguments.seed)
    results = []
    for n in SIZES:
        for name, kernel, slow, reference_up_to in cases(n, generator):
            row = {"op": name, "n": n, "kernel": measure(kernel), "reference": None}
            if n <= reference_up_to:
                agree(kernel(), slow())
                row["reference"] = measure(slow)
                row["speedup"] = round(row["reference"]["median_us"] / row["kernel"]["median_us"], 1)
            results.append(row)
    text = json.dumps({"environment": environment(), "seed": arguments.seed, "results": results}, indent=1)
    if arguments.out is None:
        sys.stdout.write(text + "\n")
    else:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
