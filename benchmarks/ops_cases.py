"""What bench_ops.py measures: inputs, and how each implementation is called with them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from plain_loop import PlainLoop
from torch import Tensor

from avloc import ops
from avloc.ops import reference

SIZES = (100, 1_000, 10_000, 100_000)
BATCHES = ((1_000, 1_000), (100, 10_000))  # recordings, segments of each
SPAN_S = 20.0
SIGMA = 0.75
RULES = ("hard 0.5", "hard 0.9", "gaussian 0.001", "gaussian 0")
SLOWEST = 1_000  # segments up to which the reference of suppression runs
MAX_LAG_FRAMES = 15
CHANNELS = 64
OTHERS = 100  # segments that every one is compared with


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    op: str
    kind: str
    n: int  # segments, or frames
    kernel: Callable[..., Any]
    arguments: tuple
    slow: Callable[[], Any] | None = None
    plain: Callable[[], np.ndarray] | None = None
    keeps: bool = False  # indices come out, not sums
    scores: Tensor | None = None  # what a sort would order
    boxes: tuple | None = None  # arguments of torchvision's batched_nms
    n_bytes: int | None = None  # least bytes to move


def proposals(n: int, span_s: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw segments (n, 2) and scores (n,), float32."""
    starts = rng.uniform(0, span_s, n)
    lengths = np.maximum(np.exp(rng.normal(-0.7, 0.8, n)), 0.04)
    segments = np.stack([starts, np.minimum(starts + lengths, span_s)], axis=1).astype(np.float32)
    return np.ascontiguousarray(segments), rng.beta(0.6, 4, n).astype(np.float32)


def suppress(rule: str, segments: Tensor, scores: Tensor, splits: Tensor | None) -> Any:
    """Run the compiled kernel."""
    kind, value = rule.split()
    if kind == "hard":
        return ops.segment_nms(segments, scores, float(value), splits=splits)
    return ops.soft_segment_nms(segments, scores, sigma=SIGMA, min_score=float(value), splits=splits)


def suppress_slowly(rule: str, segments: Tensor, scores: Tensor, splits: Tensor | None) -> Any:
    """Run the definition."""
    kind, value = rule.split()
    if kind == "hard":
        return reference.segment_nms(segments, scores, float(value), splits=splits)
    unused = {
        "iou_threshold": 0.5,
        "iou_at_0s": 0.0,
        "iou_at_1s": 0.0,
        "max_segments": None,
        "splits": splits,
    }
    return reference.soft_segment_nms(
        segments, scores, method="gaussian", sigma=SIGMA, min_score=float(value), **unused
    )


def suppress_plainly(plain: PlainLoop, rule: str, drawn: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Run the plain loop over one recording after the other."""
    kind, value = rule.split()
    kept, before = [], 0
    for segments, scores in drawn:
        one = plain.hard(segments, scores, float(value)) if kind == "hard" else None
        kept.append(before + (plain.soft(segments, scores, SIGMA, float(value)) if one is None else one))
        before += len(scores)
    return np.concatenate(kept)


def suppression(
    plain: PlainLoop, rule: str, kind: str, n: int, drawn: list[tuple[np.ndarray, np.ndarray]]
) -> Case:
    """Suppress one recording, or several at once."""
    segments, scores = (torch.from_numpy(np.concatenate(part)) for part in zip(*drawn, strict=True))
    splits = torch.arange(len(drawn) + 1) * n if len(drawn) > 1 else None
    boxes = None
    if rule.startswith("hard"):
        columns = segments[:, 0], torch.zeros(len(scores)), segments[:, 1], torch.ones(len(scores))
        recording = torch.arange(len(scores)) // n
        boxes = (torch.stack(columns, dim=1), scores, recording, float(rule.split()[1]))
    return Case(
        op=rule,
        kind=kind,
        n=n,
        kernel=lambda some, values: suppress(rule, some, values, splits),
        arguments=(segments, scores),
        slow=(lambda: suppress_slowly(rule, segments, scores, splits)) if len(scores) <= SLOWEST else None,
        plain=lambda: suppress_plainly(plain, rule, drawn),
        keeps=True,
        scores=scores if rule.startswith("hard") and splits is None else None,
        boxes=boxes,
    )


def suppressions(plain: PlainLoop, rng: np.random.Generator, largest: int) -> Iterator[Case]:
    """Every rule at every size, dense and sparse, and many recordings at once."""
    for rule in RULES:
        for n in SIZES:
            for kind, span_s in (("dense", SPAN_S), ("sparse", SPAN_S * n / 100)):
                if n <= largest:
                    yield suppression(plain, rule, kind, n, [proposals(n, span_s, rng)])
        for n_recordings, n in BATCHES:
            if n_recordings * n <= 10 * largest:
                drawn = [proposals(n, SPAN_S, rng) for _ in range(n_recordings)]
                yield suppression(plain, rule, f"{n_recordings} recordings", n, drawn)


def scorings(n_rows: int, n: int, rng: np.random.Generator) -> Iterator[Case]:
    """Scores and votes of n segments of each of some recordings, and their overlaps with a hundred others."""
    kind = "one recording" if n_rows == 1 else f"{n_rows} recordings"
    segments, scores = (torch.from_numpy(part) for part in proposals(n_rows * n, SPAN_S * n / 100, rng))
    frames = torch.from_numpy(rng.random((n_rows, n), dtype=np.float32))
    row = torch.arange(n_rows).repeat_interleave(n).float()
    spans = torch.cat([row[:, None], (segments * 5).clamp(max=n)], dim=1)
    runs = n_rows * n <= SLOWEST
    grad = torch.from_numpy(rng.standard_normal(spans.shape, dtype=np.float32))
    backward, slow_backward = torch.ops.avloc.score_segments_backward, reference.score_segments_backward
    yield Case(
        "score_segments",
        kind,
        n,
        ops.score_segments,
        (frames, spans),
        slow=(lambda: reference.score_segments(frames, spans)) if runs else None,
        n_bytes=frames.nbytes + 2 * spans.nbytes,
    )
    yield Case(
        "score_segments_backward",
        kind,
        n,
        backward,
        (grad, frames, spans),
        slow=(lambda: slow_backward(grad, frames, spans)) if runs else None,
        n_bytes=2 * frames.nbytes + 2 * spans.nbytes,
    )
    if n_rows > 1:
        return
    others = segments[:OTHERS]
    yield Case(
        f"segment_iou, {OTHERS} others",
        kind,
        n,
        ops.segment_iou,
        (segments, others),
        slow=lambda: reference.segment_iou(segments, others),
        n_bytes=segments.nbytes + 4 * len(segments) * len(others),
    )
    kept = ops.soft_segment_nms(segments, scores, sigma=SIGMA, max_segments=100)[0]
    yield Case(
        "vote_segments, 100 kept",
        kind,
        n,
        lambda *given: ops.vote_segments(*given, iou_threshold=0.5),
        (kept, segments, scores),
        slow=lambda: reference.vote_segments(kept, segments, scores, iou_threshold=0.5, splits=None),
    )


def correlations(n_rows: int, n: int, rng: np.random.Generator) -> Iterator[Case]:
    """Correlate n frames of some recordings, and take the gradients of that."""
    kind = "one recording" if n_rows == 1 else f"{n_rows} recordings"
    audio, visual = torch.from_numpy(rng.standard_normal((2, n_rows, CHANNELS, n), dtype=np.float32))
    grad = torch.from_numpy(rng.standard_normal((n_rows, 2 * MAX_LAG_FRAMES + 1, n), dtype=np.float32))
    runs = n_rows * n <= 10_000
    slow, slow_backward = reference.band_correlation, reference.band_correlation_backward
    yield Case(
        "band_correlation",
        kind,
        n,
        ops.band_correlation,
        (audio, visual, MAX_LAG_FRAMES),
        slow=(lambda: slow(audio, visual, MAX_LAG_FRAMES)) if runs else None,
        n_bytes=2 * audio.nbytes + grad.nbytes,
    )
    yield Case(
        "band_correlation_backward",
        kind,
        n,
        torch.ops.avloc.band_correlation_backward,
        (grad, audio, visual, MAX_LAG_FRAMES),
        slow=(lambda: slow_backward(grad, audio, visual, MAX_LAG_FRAMES)) if runs else None,
        n_bytes=4 * audio.nbytes + grad.nbytes,
    )


def cases(plain: PlainLoop, seed: int, largest: int) -> Iterator[Case]:
    """All rows of the table up to ``largest`` segments a recording, ten times as many in all."""
    rng = np.random.default_rng(seed)
    yield from suppressions(plain, rng, largest)
    for measured in (scorings, correlations):
        for n in SIZES:
            if n <= largest:
                yield from measured(1, n, rng)
        if largest >= 1_000:
            yield from measured(100, 1_000, rng)
