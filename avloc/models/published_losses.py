"""The losses of DiMoDif and AuViRe, as their public code computes them.

avloc's own network has other ones (``models/losses.py``): there a score learns how well its segment fits.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

ALPHA = 0.98  # weight of positives in the focal loss; AuViRe's, and avloc's choice for DiMoDif
GAMMA = 2.0
EPSILON = 1e-8
RATE_HZ = 25.0
POOLING_TEMPERATURE = 4.0
TERMS = ("diou", "smooth_l1")


def focal(logits: Tensor, positive: Tensor, *, alpha: float = ALPHA, gamma: float = GAMMA) -> Tensor:
    """Compute the focal loss of points, without a sum (Lin et al., ICCV 2017, equation 5).

    Parameters
    ----------
    logits : Tensor
        Any shape.
    positive : Tensor [same shape]
        1 where the point lies in a forged segment, else 0.
    """
    plain = F.binary_cross_entropy_with_logits(logits, positive, reduction="none")
    probability = logits.sigmoid()
    of_truth = probability * positive + (1 - probability) * (1 - positive)
    return (alpha * positive + (1 - alpha) * (1 - positive)) * (1 - of_truth) ** gamma * plain


def distance_iou(predicted: Tensor, target: Tensor) -> Tensor:
    """Compute the distance-IoU loss of segments that share a point, (…, 2) frames >= 0 to left and right.

    Zheng et al., AAAI 2020; where there is no union the IoU counts as 0.
    """
    shared = torch.minimum(predicted, target).sum(-1)
    iou = shared / (predicted.sum(-1) + target.sum(-1) - shared).clamp_min(EPSILON)
    enclosing = torch.maximum(predicted, target).sum(-1).clamp_min(EPSILON)
    shift = 0.5 * (predicted[..., 1] - predicted[..., 0] - target[..., 1] + target[..., 0])
    return 1 - iou + (shift / enclosing) ** 2


def smooth_l1(predicted: Tensor, target: Tensor) -> Tensor:
    """Compute the smooth L1 loss of (…, 2) frames in seconds, mean over left and right."""
    return F.smooth_l1_loss(predicted / RATE_HZ, target / RATE_HZ, reduction="none").mean(-1)


def localization_loss(
    logits: Tensor,
    offsets: Tensor,
    targets: Tensor,
    *,
    terms: Sequence[str] = TERMS,
    alpha: float = ALPHA,
    gamma: float = GAMMA,
) -> Tensor:
    """Compute the loss of one level for each row: the sum over points by the number of positives.

    Parameters
    ----------
    logits : Tensor [shape=(B, N)]
    offsets : Tensor [shape=(B, N, 2), frames, >= 0]
    targets : Tensor [shape=(B, N, 3)]
        1 or 0, and the true offsets in frames.
    terms : sequence of str
        Of ``TERMS``; DiMoDif has both, AuViRe's published training the first.
    alpha, gamma : float
        Of the focal loss.

    Returns
    -------
    Tensor [shape=(B,)]
    """
    positive = targets[..., 0]
    total = focal(logits, positive, alpha=alpha, gamma=gamma)
    if "diou" in terms:
        total = total + positive * distance_iou(offsets, targets[..., 1:])
    if "smooth_l1" in terms:
        total = total + positive * smooth_l1(offsets, targets[..., 1:])
    return total.sum(1) / positive.sum(1).clamp_min(1.0)


def detection_loss(logits: Tensor, is_forged: Tensor) -> Tensor:
    """Compute the loss of whole rows from the points of a level, weighted towards the highest.

    An ablation of AuViRe, whose loss is the mean over its levels.

    Parameters
    ----------
    logits : Tensor [shape=(B, N)]
    is_forged : Tensor [shape=(B,)]
        1 or 0.

    Returns
    -------
    Tensor [shape=(B,)]
    """
    weights = (POOLING_TEMPERATURE * logits).softmax(1)
    pooled = (weights * logits).sum(1)
    return F.binary_cross_entropy_with_logits(pooled, is_forged, reduction="none")


def reconstruction_loss(dissimilarity: Tensor, is_forged: Tensor) -> Tensor:
    """Compute the mean dissimilarity (B, T) of genuine rows; forged ones (B,) count 0."""
    return dissimilarity.mean(1) * (1 - is_forged)


def dimodif_loss(logits: Tensor, offsets: Tensor | None, targets: Tensor, *, alpha: float = ALPHA) -> Tensor:
    """Compute the loss of DiMoDif, the mean over levels and rows.

    Parameters
    ----------
    logits, offsets : Tensor
        Of ``DiMoDifOutputs``; without offsets the loss of the detection.
    targets : Tensor [shape=(B, 2 T, 3), or (B, 2) to detect]
        As of ``localization_loss``; or whether picture and sound were forged, 1 or 0.
    alpha : float
        Of the focal loss.
    """
    if offsets is None:
        return F.binary_cross_entropy_with_logits(logits, targets[:, None].expand_as(logits))
    levels = [
        localization_loss(logits[:, level], offsets[:, level], targets, alpha=alpha)
        for level in range(logits.shape[1])
    ]
    return torch.stack(levels).mean()


def auvire_loss(
    logits: Sequence[Tensor],
    offsets: Sequence[Tensor],
    dissimilarity: Tensor,
    targets: Tensor,
    *,
    factors: Sequence[int],
    terms: Sequence[str] = ("diou",),
    detects: bool = False,
    reconstructs: bool = True,
    alpha: float = ALPHA,
) -> Tensor:
    """Compute the loss of AuViRe: the mean of the parts that are asked for, over the batch.

    Parameters
    ----------
    logits, offsets, dissimilarity
        Of ``AuViReOutputs``.
    targets : Tensor [shape=(B, T, 3)]
        As of ``localization_loss``, at the full rate; a level reads every ``factors[l]``-th frame.
    factors : sequence of int
        Of the levels.
    terms : sequence of str
        As of ``localization_loss``.
    detects, reconstructs : bool
        Have ``detection_loss`` and ``reconstruction_loss``; the first is an ablation.
    alpha : float
        Of the focal loss.
    """
    is_forged = targets[..., 0].amax(1)
    levels = [
        localization_loss(z, o, targets[:, ::factor], terms=terms, alpha=alpha)
        for z, o, factor in zip(logits, offsets, factors, strict=True)
    ]
    parts = [torch.stack(levels).mean(0)]
    if detects:
        parts.append(torch.stack([detection_loss(z, is_forged) for z in logits]).mean(0))
    if reconstructs:
        parts.append(reconstruction_loss(dissimilarity, is_forged))
    return torch.stack(parts).mean()
