"""The operations in plain torch: slow, obviously right, the definition that kernels are tested against.

Conventions
-----------
- Decisions are made in float64, whatever the dtype of the input is; results have the dtype of the input.
- A segment is ``[start, end)`` with ``start <= end``. IoU is intersection over union; a union of zero gives
  0, so that a segment of zero length overlaps nothing.
- Equal scores: the lower index goes first.
- Without ``splits`` all segments belong to one recording. With them recording r owns the rows
  ``splits[r]:splits[r + 1]``; recordings do not see each other, and indices are global, grouped by recording,
  in the order of the picks inside.
- No segment gives an empty result.

The functions take the arguments of ``torch.ops.avloc`` in its order and hold no defaults; defaults,
docstrings and the checks of shapes stand in `avloc.ops.suppression`, `avloc.ops.scoring` and
`avloc.ops.correlation`.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _check_times(starts: Tensor, ends: Tensor, name: str = "segments") -> None:
    ordered = starts.isfinite() & ends.isfinite() & (starts <= ends)
    for holds, what in (
        (ordered, "be finite with start <= end"),
        ((ends - starts).isfinite(), "have a finite length"),
    ):
        if not holds.all():
            row = int((~holds).nonzero()[0])
            span = f"[{float(starts[row]):g}, {float(ends[row]):g}]"
            raise ValueError(f"{name} must {what}, got {span} at row {row}")


def _check_scores(scores: list[float]) -> None:
    _check(all(math.isfinite(v) and v >= 0 for v in scores), "scores must be finite and at least 0")


def _recordings(n: int, splits: Tensor | None) -> Iterator[range]:
    rows = [0, n] if splits is None else splits.tolist()
    _check(
        rows[0] == 0 and rows[-1] == n and rows == sorted(rows), f"splits must rise from 0 to {n}, got {rows}"
    )
    return (range(rows[r], rows[r + 1]) for r in range(len(rows) - 1))


def _overlap_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Of each of (N, 2) with each of (M, 2), both float64: (N, M) s; the overlap is negative between two."""
    overlap = torch.minimum(a[:, None, 1], b[:, 1]) - torch.maximum(a[:, None, 0], b[:, 0])
    return overlap, (a[:, None, 1] - a[:, None, 0]) + (b[:, 1] - b[:, 0]) - overlap.clamp(min=0)


def _iou(a: Tensor, b: Tensor) -> Tensor:
    overlap, union = _overlap_and_union(a, b)
    return torch.where(union > 0, overlap.clamp(min=0) / union, 0.0)


def segment_nms(segments: Tensor, scores: Tensor, iou_threshold: float, *, splits: Tensor | None) -> Tensor:
    """Drop a segment whose IoU with a better kept one reaches the threshold; kept indices in score order."""
    times, values = segments.double(), scores.double().tolist()
    _check_times(times[:, 0], times[:, 1])
    _check(not any(map(math.isnan, values)), "scores must not be NaN")
    kept: list[int] = []
    for recording in _recordings(len(values), splits):
        left = sorted(recording, key=lambda i: (-values[i], i))
        while left:
            pick = left.pop(0)
            kept.append(pick)
            overlaps = _iou(times[[pick]], times[left])[0].tolist()
            left = [i for i, iou in zip(left, overlaps, strict=True) if not iou >= iou_threshold]
    return torch.tensor(kept, dtype=torch.int64, device=segments.device)


def _losses(overlaps: list[float], method: str, least: float) -> list[float]:
    """Give what a pick adds to the losses at some IoU; ``least`` is the IoU from which that is not 0.

    Rounded to multiples of 2^-36, so that sums are exact in whatever order they are made, and segments that
    lie alike keep tied scores.
    """
    if method == "linear":
        losses = [_log_lost(iou) if iou >= least else 0.0 for iou in overlaps]
    elif method == "gaussian":
        losses = [iou * iou for iou in overlaps]
    else:
        losses = [iou * iou if iou > least else 0.0 for iou in overlaps]
    return [loss if math.isinf(loss) else round(loss * 2**36) / 2**36 for loss in losses]


def _log_lost(iou: float) -> float:
    return -math.log1p(-iou) if iou < 1 else math.inf


def soft_segment_nms(
    segments: Tensor,
    scores: Tensor,
    *,
    method: str,
    sigma: float,
    iou_threshold: float,
    iou_at_0s: float,
    iou_at_1s: float,
    min_score: float,
    max_segments: int | None,
    splits: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Pick the best, decay the others by their overlap with it, repeat.

    A recording ends when ``max_segments`` are picked or the best that is left lies below ``min_score``; the
    first pick is tested as every other. Linear: ``score * (1 - IoU)`` where IoU >= threshold. Gaussian:
    always ``score * exp(-IoU^2 / sigma)``. Adaptive: as the Gaussian where IoU > ``iou_at_0s + (iou_at_1s -
    iou_at_0s) * length`` of the pick in seconds. The factors of all picks are multiplied as the exponential
    of a sum of losses.
    """
    times, values = segments.double(), scores.double().tolist()
    _check_times(times[:, 0], times[:, 1])
    _check_scores(values)
    kept: list[int] = []
    decayed: list[float] = []
    losses, first_values = [0.0] * len(values), tuple(values)
    spread = 1.0 if method == "linear" else sigma
    for recording in _recordings(len(values), splits):
        left = list(recording)
        n_picked = 0
        while left and (max_segments is None or n_picked < max_segments):
            pick = max(left, key=lambda i: (values[i], -i))
            if values[pick] < min_score:
                break
            kept.append(pick)
            decayed.append(values[pick])
            n_picked += 1
            left.remove(pick)
            least = iou_threshold
            if method == "adaptive":
                least = iou_at_0s + (iou_at_1s - iou_at_0s) * float(times[pick, 1] - times[pick, 0])
            overlaps = _iou(times[[pick]], times[left])[0].tolist()
            for i, loss in zip(left, _losses(overlaps, method, least), strict=True):
                losses[i] += loss
                values[i] = first_values[i] * math.exp(-losses[i] / spread)
    indices = torch.tensor(kept, dtype=torch.int64, device=segments.device)
    return indices, torch.tensor(decayed, dtype=torch.float64).to(scores)


def vote_segments(
    kept: Tensor, segments: Tensor, scores: Tensor, *, iou_threshold: float, splits: Tensor | None
) -> Tensor:
    """Mean of the segments of its recording whose IoU with the kept one is >= threshold, the kept one too.

    The weights are ``score * IoU``. A segment that no weight above zero votes for stays as it is: its own
    score is zero, or its length.
    """
    times, values = segments.double(), scores.double()
    _check_times(times[:, 0], times[:, 1])
    _check_scores(values.tolist())
    n = len(values)
    _check(bool(((kept >= 0) & (kept < n)).all()), f"kept must hold rows of segments in [0, {n})")
    voted = times[kept]  # (n, 2)
    for recording in _recordings(n, splits):
        mine = (kept >= recording.start) & (kept < recording.stop)
        own = times[recording.start : recording.stop]
        overlaps = _iou(voted[mine], own)
        votes = overlaps * values[recording.start : recording.stop]
        weights = torch.where(overlaps >= iou_threshold, votes, 0.0)
        total = weights.sum(1, keepdim=True)
        voted[mine] = torch.where(total > 0, (weights / total) @ own, voted[mine])
    return voted.to(segments.dtype)


def _coverage(starts: Tensor, ends: Tensor, n_frames: int) -> Tensor:
    """Part of each frame that [start, end) covers: (N,), (N,) frames -> (N, T) in [0, 1]."""
    frames = torch.arange(n_frames, dtype=torch.float64, device=starts.device)
    covered = torch.minimum(ends[:, None], frames + 1) - torch.maximum(starts[:, None], frames)
    return covered.clamp(min=0)


def _average(coverage: Tensor) -> Tensor:
    """Weights of the mean over what is covered; a mean over nothing has weights of zero, so it is 0."""
    total = coverage.sum(1, keepdim=True)
    return torch.where(total > 0, coverage / total, 0.0)


def _score_weights(frame_scores: Tensor, segments: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Batch rows, and the weights (N, T) of inside, contrast, onset step and offset step."""
    n_rows, n_frames = frame_scores.shape
    rows, starts, ends = segments.double().unbind(1)
    _check_times(starts, ends)
    named = (rows >= 0) & (rows < n_rows) & (rows == rows.floor())
    _check(bool(named.all()), f"segments must name a batch row in [0, {n_rows})")
    _check(bool(frame_scores.isfinite().all()), "frame_scores must be finite")
    starts, ends = starts.clamp(0, n_frames), ends.clamp(0, n_frames)
    width = ((ends - starts) / 4).clamp(min=1)

    def cover(start: Tensor, end: Tensor) -> Tensor:
        return _coverage(start, end, n_frames)

    inside = _average(cover(starts, ends))
    contrast = inside - _average(cover(starts - width, starts) + cover(ends, ends + width))
    onset = _average(cover(starts, starts + 2)) - _average(cover(starts - 2, starts))
    offset = _average(cover(ends - 2, ends)) - _average(cover(ends, ends + 2))
    exists = (ends > starts)[:, None]
    inside, contrast, onset, offset = (torch.where(exists, w, 0.0) for w in (inside, contrast, onset, offset))
    return rows.long(), inside, contrast, onset, offset


def score_segments(frame_scores: Tensor, segments: Tensor) -> Tensor:
    """Inside mean, contrast to the surround, boundary sharpness of rows (batch row, start, end in frames).

    Frame scores are a piecewise constant function, fractions of frames count, and a segment is first cut to
    the recording [0, T). Inside: mean over [s, e). Contrast: inside minus the mean over [s - w, s) and [e, e
    + w) together, w = max(1, (e - s) / 4). Sharpness: half of |mean [s, s + 2) - mean [s - 2, s)| + |mean [e
    - 2, e) - mean [e, e + 2)|. Means are over what lies in the recording, a mean over nothing is 0, and a
    segment of which nothing is left scores 0, 0, 0.
    """
    rows, inside, contrast, onset, offset = _score_weights(frame_scores, segments)
    own = frame_scores.double()[rows]  # (N, T)
    sharpness = ((onset * own).sum(1).abs() + (offset * own).sum(1).abs()) / 2
    scores = torch.stack([(inside * own).sum(1), (contrast * own).sum(1), sharpness], dim=1)  # (N, 3)
    return scores.to(frame_scores.dtype)


def score_segments_backward(grad: Tensor, frame_scores: Tensor, segments: Tensor) -> Tensor:
    """Gradient to the frame scores; where a boundary step is exactly zero its subgradient is zero."""
    rows, inside, contrast, onset, offset = _score_weights(frame_scores, segments)
    own = frame_scores.double()[rows]
    to_inside, to_contrast, to_sharpness = grad.double()[:, :, None].unbind(1)  # (N, 1) each
    steps = (onset * own).sum(1, keepdim=True).sign() * onset + (offset * own).sum(
        1, keepdim=True
    ).sign() * offset
    per_segment = to_inside * inside + to_contrast * contrast + to_sharpness / 2 * steps  # (N, T)
    total = torch.zeros_like(frame_scores, dtype=torch.float64)
    return total.index_add_(0, rows, per_segment).to(frame_scores.dtype)


def _pairs(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    for name, segments in (("a", a), ("b", b)):
        _check_times(segments[:, 0], segments[:, 1], name)
    return a.double(), b.double()


def segment_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of each of ``a`` with each of ``b``; a union of zero gives 0."""
    return _iou(*_pairs(a, b)).to(a.dtype)


def _slope(x: Tensor) -> Tensor:
    """Slope of ``max(x, 0)``; at the kink the mean of both sides."""
    return (x.sign() + 1) / 2


def segment_iou_backward(grad: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Gradient to ``a``; with the arguments exchanged and ``grad`` transposed it is that to ``b``.

    IoU = I / U with U = L - I, L the sum of both lengths, so dIoU = ((1 + IoU) dI - IoU dL) / U. Where
    boundaries coincide the gradient is the mean of those on either side, and where U is zero it is zero.
    """
    first, second = _pairs(a, b)
    overlap, union = _overlap_and_union(first, second)
    iou = _iou(first, second)
    weight = torch.where(union > 0, grad.double() / union, 0.0)
    to_intersection = (1 + iou) * _slope(overlap)
    to_start = -weight * (to_intersection * _slope(first[:, None, 0] - second[:, 0]) - iou)
    to_end = weight * (to_intersection * _slope(second[:, 1] - first[:, None, 1]) - iou)
    return torch.stack([to_start.sum(1), to_end.sum(1)], dim=1).to(a.dtype)


def _shifted(stream: Tensor, shift: int) -> Tensor:
    """Move frames: ``result[..., t] = stream[..., t + shift]``, zero where there is no such frame."""
    n_frames = stream.shape[-1]
    result = torch.zeros_like(stream)
    first, last = max(0, -shift), min(n_frames, n_frames - shift)
    if first < last:
        result[..., first:last] = stream[..., first + shift : last + shift]
    return result


def band_correlation(audio: Tensor, visual: Tensor, max_lag: int) -> Tensor:
    """``out[b, l, t]`` = mean over c of ``audio[b, c, t + l - max_lag] * visual[b, c, t]``, zero outside."""
    lags = range(-max_lag, max_lag + 1)
    return torch.stack([(_shifted(audio, shift) * visual).mean(1) for shift in lags], dim=1)


def band_correlation_backward(
    grad: Tensor, audio: Tensor, visual: Tensor, max_lag: int
) -> tuple[Tensor, Tensor]:
    """Gradients to the sound and to the picture."""
    grad_audio, grad_visual = torch.zeros_like(audio), torch.zeros_like(visual)
    for lag, shift in enumerate(range(-max_lag, max_lag + 1)):
        weight = grad[:, lag, None]  # (B, 1, T)
        grad_audio += _shifted(weight * visual, -shift)
        grad_visual += weight * _shifted(audio, shift)
    return grad_audio / audio.shape[1], grad_visual / audio.shape[1]
