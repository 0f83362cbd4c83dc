"""Scores of segments: what frame scores say about them, and how far they overlap."""

from typing import Any

import torch
from torch import Tensor

from avloc.ops._extension import NAMESPACE
from avloc.ops.arguments import REAL, check_segments


def score_segments(frame_scores: Tensor, segments: Tensor) -> Tensor:
    """Score each segment by its inside, its contrast to the surround and the sharpness of its boundaries.

    Frame scores are a piecewise constant function of time, fractions of frames count, and a segment [s, e) is
    first cut to the recording:

    - inside: mean over [s, e);
    - contrast: inside minus the mean over [s - w, s) and [e, e + w) together, w = max(1, (e - s) / 4) frames;
    - sharpness: half of abs(mean [s, s + 2) - mean [s - 2, s)) + abs(mean [e - 2, e) - mean [e, e + 2)).

    Means are over what lies in the recording and a mean over nothing is 0: at the very start of a recording
    the onset step is the mean over its first two frames, and a segment that fills the recording has contrast
    = inside. A segment of which nothing lies in the recording scores 0, 0, 0. Sums are float64.

    Parameters
    ----------
    frame_scores : Tensor [shape=(B, T), float32 or float64]
        Finite scores per frame.
    segments : Tensor [shape=(N, 3), frames, dtype of ``frame_scores``]
        Row of the batch, start and end, ``start <= end``.

    Returns
    -------
    Tensor [shape=(N, 3), dtype of ``frame_scores``]
        Inside, contrast, sharpness. Gradients flow to ``frame_scores`` (once; none to ``segments``).

    Raises
    ------
    ValueError
        If a shape, a dtype or a value is not as described. On CUDA the host does not wait to see values:
        what a wrong one belongs to is NaN, and a wrong segment gives no gradient.

    Examples
    --------
    >>> frame_scores = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]])
    >>> score_segments(frame_scores, torch.tensor([[0.0, 2.0, 4.0]]))
    tensor([[1., 1., 1.]])
    """
    if frame_scores.ndim != 2:
        raise ValueError(f"frame_scores must have shape (B, T), got {tuple(frame_scores.shape)}")
    if frame_scores.dtype not in REAL:
        raise ValueError(f"frame_scores must be float32 or float64, got {frame_scores.dtype}")
    if segments.ndim != 2 or segments.shape[1] != 3:
        expected = "segments must have shape (N, 3): batch row, start and end in frames"
        raise ValueError(f"{expected}, got {tuple(segments.shape)}")
    if segments.dtype != frame_scores.dtype:
        raise ValueError(
            f"segments must have the dtype of frame_scores, {frame_scores.dtype}, got {segments.dtype}"
        )
    return torch.ops.avloc.score_segments(frame_scores, segments)


def segment_iou(a: Tensor, b: Tensor) -> Tensor:
    """Compare every segment of one list with every segment of another by intersection over union.

    The arithmetic is float64. A union of zero (both of zero length, at one time) gives 0.

    Parameters
    ----------
    a : Tensor [shape=(N, 2), s, float32 or float64]
        Start and end, ``start <= end``, finite.
    b : Tensor [shape=(M, 2), s, dtype of ``a``]
        As ``a``.

    Returns
    -------
    Tensor [shape=(N, M), 0..1, dtype of ``a``]
        Gradients flow to both lists (once). Where boundaries coincide, as those of segments that touch, the
        gradient is the mean of those on either side; segments that are apart have none.

    Raises
    ------
    ValueError
        If a shape, a dtype or a value is not as described. On CUDA the host does not wait to see values:
        the row or column of a wrong segment is NaN.

    Examples
    --------
    >>> segment_iou(torch.tensor([[0.0, 2.0]]), torch.tensor([[0.0, 2.0], [1.0, 2.0], [2.0, 3.0]]))
    tensor([[1.0000, 0.5000, 0.0000]])
    """
    check_segments("a", a)
    check_segments("b", b)
    if b.dtype != a.dtype:
        raise ValueError(f"b must have the dtype of a, {a.dtype}, got {b.dtype}")
    return torch.ops.avloc.segment_iou(a, b)


@torch.library.register_fake(f"{NAMESPACE}::score_segments")
def _(frame_scores: Tensor, segments: Tensor) -> Tensor:
    return frame_scores.new_empty(segments.shape[0], 3)


@torch.library.register_fake(f"{NAMESPACE}::score_segments_backward")
def _(grad: Tensor, frame_scores: Tensor, segments: Tensor) -> Tensor:
    return frame_scores.new_empty(frame_scores.shape)


@torch.library.register_fake(f"{NAMESPACE}::segment_iou")
def _(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.shape[0], b.shape[0])


@torch.library.register_fake(f"{NAMESPACE}::segment_iou_backward")
def _(grad: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.shape)


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _score_segments_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:
    frame_scores, segments = ctx.saved_tensors
    needed = ctx.needs_input_grad[0]
    return (torch.ops.avloc.score_segments_backward(grad, frame_scores, segments) if needed else None), None


def _segment_iou_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
    a, b = ctx.saved_tensors
    to_a, to_b = ctx.needs_input_grad
    backward = torch.ops.avloc.segment_iou_backward
    return (backward(grad, a, b) if to_a else None), (backward(grad.T, b, a) if to_b else None)


def _no_second_gradient(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError("score_segments and segment_iou have a first gradient only")


torch.library.register_autograd(
    f"{NAMESPACE}::score_segments", _score_segments_backward, setup_context=_setup
)
torch.library.register_autograd(f"{NAMESPACE}::score_segments_backward", _no_second_gradient)
torch.library.register_autograd(f"{NAMESPACE}::segment_iou", _segment_iou_backward, setup_context=_setup)
torch.library.register_autograd(f"{NAMESPACE}::segment_iou_backward", _no_second_gradient)
