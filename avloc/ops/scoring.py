"""Scores of segments from frame scores."""

from typing import Any

import torch
from torch import Tensor

from avloc.ops._extension import NAMESPACE


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
        If a shape, a dtype or a value is not as described.

    Examples
    --------
    >>> frame_scores = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]])
    >>> score_segments(frame_scores, torch.tensor([[0.0, 2.0, 4.0]]))
    tensor([[1., 1., 1.]])
    """
    if frame_scores.ndim != 2:
        raise ValueError(f"frame_scores must have shape (B, T), got {tuple(frame_scores.shape)}")
    if frame_scores.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"frame_scores must be float32 or float64, got {frame_scores.dtype}")
    if segments.ndim != 2 or segments.shape[1] != 3:
        expected = "segments must have shape (N, 3): batch row, start and end in frames"
        raise ValueError(f"{expected}, got {tuple(segments.shape)}")
    if segments.dtype != frame_scores.dtype:
        raise ValueError(
            f"segments must have the dtype of frame_scores, {frame_scores.dtype}, got {segments.dtype}"
        )
    return torch.ops.avloc.score_segments(frame_scores, segments)


@torch.library.register_fake(f"{NAMESPACE}::score_segments")
def _(frame_scores: Tensor, segments: Tensor) -> Tensor:
    return frame_scores.new_empty(segments.shape[0], 3)


@torch.library.register_fake(f"{NAMESPACE}::score_segments_backward")
def _(grad: Tensor, frame_scores: Tensor, segments: Tensor) -> Tensor:
    return frame_scores.new_empty(frame_scores.shape)


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:
    frame_scores, segments = ctx.saved_tensors
    needed = ctx.needs_input_grad[0]
    return (torch.ops.avloc.score_segments_backward(grad, frame_scores, segments) if needed else None), None


def _no_second_gradient(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError("score_segments has a first gradient only")


torch.library.register_autograd(f"{NAMESPACE}::score_segments", _backward, setup_context=_setup)
torch.library.register_autograd(f"{NAMESPACE}::score_segments_backward", _no_second_gradient)
