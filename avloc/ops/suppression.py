"""Suppression of overlapping segments, hard, soft and by votes, over one or many recordings."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from avloc.ops._extension import NAMESPACE
from avloc.ops.arguments import check_segments

METHODS = ("gaussian", "linear", "adaptive")


def _check_proposals(segments: Tensor, scores: Tensor) -> None:
    check_segments("segments", segments)
    if scores.ndim != 1 or scores.shape[0] != segments.shape[0]:
        raise ValueError(f"scores must have shape ({segments.shape[0]},), got {tuple(scores.shape)}")
    if scores.dtype != segments.dtype:
        raise ValueError(f"scores must have the dtype of segments, {segments.dtype}, got {scores.dtype}")


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value!r}")


def _splits_tensor(splits: Tensor | Sequence[int] | None) -> Tensor | None:
    if splits is None:
        return None
    rows = splits if isinstance(splits, Tensor) else torch.tensor(list(splits), dtype=torch.int64)
    if rows.ndim != 1 or rows.shape[0] < 1 or rows.dtype != torch.int64:
        raise ValueError(
            f"splits must be int64 of shape (R + 1,), got {rows.dtype} of shape {tuple(rows.shape)}"
        )
    # They steer loops of the host, so they stay there even where the segments do not.
    return rows.cpu()


def segment_nms(
    segments: Tensor, scores: Tensor, iou_threshold: float, *, splits: Tensor | Sequence[int] | None = None
) -> Tensor:
    """Keep the best segments and drop those that overlap a better one too much.

    A segment is dropped when its IoU with a kept segment of a higher score is at least ``iou_threshold``.
    Equal scores: the lower index goes first. Intersection over union is computed in float64; segments of zero
    length overlap nothing.

    Parameters
    ----------
    segments : Tensor [shape=(N, 2), s, float32 or float64]
        Start and end, ``start <= end``.
    scores : Tensor [shape=(N,), dtype of ``segments``]
        Anything but NaN.
    iou_threshold : float [0..1]
        IoU from which on a segment is dropped. Zero keeps one segment per recording.
    splits : Tensor or sequence of int [shape=(R + 1,), int64], optional
        Recording r owns rows ``splits[r]:splits[r + 1]``. All rows belong to one recording without it.

    Returns
    -------
    Tensor [shape=(n,), int64]
        Kept rows of ``segments``, grouped by recording, in score order inside. No gradient.

    Raises
    ------
    ValueError
        If a shape, a dtype or a value is not as described.

    Examples
    --------
    >>> segments = torch.tensor([[0.0, 1.0], [0.1, 1.1], [2.0, 3.0]])
    >>> segment_nms(segments, torch.tensor([0.8, 0.9, 0.7]), 0.5)
    tensor([1, 2])
    """
    _check_proposals(segments, scores)
    _check_fraction("iou_threshold", iou_threshold)
    return torch.ops.avloc.segment_nms(segments, scores, iou_threshold, splits=_splits_tensor(splits))


def soft_segment_nms(
    segments: Tensor,
    scores: Tensor,
    *,
    method: str = "gaussian",
    sigma: float = 0.5,
    iou_threshold: float = 0.3,
    adaptive_thresholds: tuple[float, float] = (0.1968, 0.4123),
    min_score: float = 0.001,
    max_segments: int | None = None,
    splits: Tensor | Sequence[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Rank segments while lowering the scores of those that overlap a better one [1]_.

    The best segment is picked, the scores of the others decay with their IoU with it, and so on, until the
    best that is left lies below ``min_score`` (the first pick is tested too) or ``max_segments`` are picked.
    Equal scores: the lower index goes first. The arithmetic is float64.

    Parameters
    ----------
    segments : Tensor [shape=(N, 2), s, float32 or float64]
        Start and end, ``start <= end``.
    scores : Tensor [shape=(N,), 0.., dtype of ``segments``]
        Finite scores.
    method : {"gaussian", "linear", "adaptive"}
        ``score * exp(-IoU^2 / sigma)`` always; ``score * (1 - IoU)`` where IoU is at least ``iou_threshold``;
        or the Gaussian decay where IoU exceeds a threshold that rises with the length of the picked segment
        [2]_.
    sigma : float [> 0]
        Width of the Gaussian decay; not read by the linear one. ``IoU^2`` (and ``-log(1 - IoU)`` of the
        linear decay) is rounded to multiples of 2^-36, 1.5e-11, so a width near that means little.
    iou_threshold : float [0..1]
        From which IoU on the linear decay applies; not read by the others.
    adaptive_thresholds : tuple of two floats (t1, t2)
        The adaptive decay applies where IoU exceeds ``t1 + (t2 - t1) * length`` of the picked segment in
        seconds: t1 for one of 0 s, t2 for one of 1 s. Not read by the others. With the defaults, which are
        those of [2]_ (its sigma is 0.7234), a segment longer than 3.7 s decays nothing.
    min_score : float [0..]
        Lowest decayed score that is still picked.
    max_segments : int [0..], optional
        Most picks per recording; no limit without it.
    splits : Tensor or sequence of int [shape=(R + 1,), int64], optional
        Recording r owns rows ``splits[r]:splits[r + 1]``. All rows belong to one recording without it.

    Returns
    -------
    indices : Tensor [shape=(n,), int64]
        Picked rows of ``segments``, grouped by recording, in the order of the picks inside.
    decayed : Tensor [shape=(n,), dtype of ``scores``]
        Their scores at the time of the pick; they never rise inside a recording. No gradient.

    Raises
    ------
    ValueError
        If a shape, a dtype or a value is not as described.

    References
    ----------
    .. [1] Bodla et al., "Soft-NMS: improving object detection with one line of code", ICCV 2017, equations 2
       and 3.
    .. [2] Cai et al., "Do You Really Mean That? Content Driven Audio-Visual Deepfake Dataset and Multimodal
       Method for Temporal Forgery Localization", DICTA 2022; its published code.

    Examples
    --------
    >>> segments = torch.tensor([[0.0, 2.0], [0.0, 1.0], [5.0, 6.0]])
    >>> indices, decayed = soft_segment_nms(segments, torch.tensor([0.9, 0.8, 0.7]), sigma=0.5)
    >>> indices.tolist(), [round(x, 3) for x in decayed.tolist()]
    ([0, 2, 1], [0.9, 0.7, 0.485])
    """
    _check_proposals(segments, scores)
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    if not 0 < sigma < float("inf"):
        raise ValueError(f"sigma must be positive and finite, got {sigma!r}")
    _check_fraction("iou_threshold", iou_threshold)
    if len(adaptive_thresholds) != 2 or not all(map(math.isfinite, adaptive_thresholds)):
        raise ValueError(f"adaptive_thresholds must be two finite numbers, got {adaptive_thresholds!r}")
    if not min_score >= 0:
        raise ValueError(f"min_score must be at least 0, got {min_score!r}")
    if max_segments is not None and max_segments < 0:
        raise ValueError(f"max_segments must be at least 0, or None for no limit, got {max_segments!r}")
    return torch.ops.avloc.soft_segment_nms(
        segments,
        scores,
        method=method,
        sigma=sigma,
        iou_threshold=iou_threshold,
        iou_at_0s=adaptive_thresholds[0],
        iou_at_1s=adaptive_thresholds[1],
        min_score=min_score,
        max_segments=max_segments,
        splits=_splits_tensor(splits),
    )


def vote_segments(
    kept: Tensor,
    segments: Tensor,
    scores: Tensor,
    *,
    iou_threshold: float,
    splits: Tensor | Sequence[int] | None = None,
) -> Tensor:
    """Move the boundaries of kept segments to the mean of all that overlap them [1]_.

    The new start is the mean of the starts of the segments whose IoU with the kept one is at least
    ``iou_threshold``, weighted by ``score * IoU``; the new end likewise. The kept segment votes too. One that
    has no vote of a weight above zero (its own score or length is zero) stays as it is. The arithmetic is
    float64.

    Parameters
    ----------
    kept : Tensor [shape=(n,), int64]
        Rows of ``segments``, as a suppression returned them; any order.
    segments : Tensor [shape=(N, 2), s, float32 or float64]
        Start and end, ``start <= end``; what the suppression saw.
    scores : Tensor [shape=(N,), 0.., dtype of ``segments``]
        Finite scores before any decay.
    iou_threshold : float [0..1]
        IoU from which on a segment votes.
    splits : Tensor or sequence of int [shape=(R + 1,), int64], optional
        Recording r owns rows ``splits[r]:splits[r + 1]``, and they vote for it alone. All rows belong to one
        recording without it.

    Returns
    -------
    Tensor [shape=(n, 2), s, dtype of ``segments``]
        In the order of ``kept``. No gradient.

    Raises
    ------
    ValueError
        If a shape, a dtype or a value is not as described.

    References
    ----------
    .. [1] Zhang et al., "ActionFormer: Localizing Moments of Actions with Transformers", ECCV 2022; its
       published code.

    Examples
    --------
    >>> segments = torch.tensor([[0.0, 4.0], [0.0, 2.0], [9.0, 10.0]])
    >>> scores = torch.tensor([0.6, 0.4, 0.3])
    >>> vote_segments(segment_nms(segments, scores, 0.5), segments, scores, iou_threshold=0.5)
    tensor([[ 0.0000,  3.5000],
            [ 9.0000, 10.0000]])
    """
    _check_proposals(segments, scores)
    if kept.ndim != 1 or kept.dtype != torch.int64:
        raise ValueError(f"kept must be int64 of shape (n,), got {kept.dtype} of shape {tuple(kept.shape)}")
    _check_fraction("iou_threshold", iou_threshold)
    return torch.ops.avloc.vote_segments(
        kept, segments, scores, iou_threshold=iou_threshold, splits=_splits_tensor(splits)
    )


@torch.library.register_fake(f"{NAMESPACE}::segment_nms")
def _(segments: Tensor, scores: Tensor, iou_threshold: float, *, splits: Tensor | None) -> Tensor:
    n_kept = torch.library.get_ctx().new_dynamic_size()
    return segments.new_empty(n_kept, dtype=torch.int64)


@torch.library.register_fake(f"{NAMESPACE}::soft_segment_nms")
def _(
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
    n_kept = torch.library.get_ctx().new_dynamic_size()
    return segments.new_empty(n_kept, dtype=torch.int64), scores.new_empty(n_kept)


@torch.library.register_fake(f"{NAMESPACE}::vote_segments")
def _(
    kept: Tensor, segments: Tensor, scores: Tensor, *, iou_threshold: float, splits: Tensor | None
) -> Tensor:
    return segments.new_empty(kept.shape[0], 2)
