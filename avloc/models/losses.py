"""Losses of points, frames, recordings and synchrony."""

import torch
from torch import Tensor
from torch.nn import functional

from avloc.ops import band_correlation

EPSILON = 1e-6


def distance_iou(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Compute IoU and distance-IoU loss of segments that share a point.

    Parameters
    ----------
    predicted, target : Tensor [shape=(N, 2), frames, >= 0]
        Distances from the point to the left and the right end.

    Returns
    -------
    tuple of Tensor [shape=(N,)]
        IoU in [0, 1], and 1 - IoU + (centre distance / enclosing length)².

    References
    ----------
    .. [1] Zheng et al., "Distance-IoU Loss", AAAI 2020.
    """
    shared = torch.minimum(predicted, target).sum(1)
    union = predicted.sum(1) + target.sum(1) - shared
    iou = shared / union.clamp_min(EPSILON)
    enclosing = torch.maximum(predicted, target).sum(1).clamp_min(EPSILON)
    centre = 0.5 * ((predicted[:, 1] - predicted[:, 0]) - (target[:, 1] - target[:, 0]))
    return iou, 1 - iou + (centre / enclosing) ** 2


def quality_focal(logits: Tensor, quality: Tensor) -> Tensor:
    """Compute focal loss against a quality in [0, 1]: a score learns how well its segment fits.

    Parameters
    ----------
    logits, quality : Tensor [same shape]
        Logit of each point and its target: 0 for negatives, the IoU of its own segment for positives.

    References
    ----------
    .. [1] Li et al., "Generalized Focal Loss", NeurIPS 2020, equation 3 with beta 2.
    """
    plain = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return (quality - logits.sigmoid()).abs() ** 2 * plain


def masked_bce(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Average binary cross-entropy over entries, each counted ``weight`` times; zero if nothing counts."""
    plain = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (plain * weight).sum() / weight.sum().clamp_min(1.0)


def roughness(logits: Tensor, weight: Tensor) -> Tensor:
    """Average the squared second difference over time of scores, a penalty of what is high in frequency.

    Parameters
    ----------
    logits : Tensor [shape=(B, C, T)]
        Of scores in [0, 1].
    weight : Tensor [shape=(B, C, T)]
        1 for frames that count, else 0; a difference counts where all three of its frames do.
    """
    bend = logits.sigmoid().diff(dim=2).diff(dim=2)
    counts = weight[..., 2:] * weight[..., 1:-1] * weight[..., :-2]
    return (bend**2 * counts).sum() / counts.sum().clamp_min(1.0)


def synchrony_contrast(
    audio: Tensor,
    visual: Tensor,
    usable: Tensor,
    lag: Tensor,
    *,
    max_lag: int,
    span: int = 25,
    sharpness: Tensor,
) -> Tensor:
    """Compute cross-entropy over lags of the correlation in stretches of frames, against the true lag.

    Parameters
    ----------
    audio, visual : Tensor [shape=(B, S, T)]
        Unit vectors.
    usable : Tensor [shape=(B, T), bool]
        Frames where both streams are real and genuine.
    lag : Tensor [shape=(B,), frames]
        How late the sound is.
    max_lag : int [frames]
        Lags to either side that compete; more than the network's own, so that far lags are negatives too.
    span : int [frames]
        Length of a judged stretch: 25 is one second.
    sharpness : Tensor []
        Inverse temperature.

    References
    ----------
    .. [1] Chung and Zisserman, "Out of Time: Automated Lip Sync in the Wild", ACCV Workshops 2016 (the task).
    """
    correlation = band_correlation(audio, visual, max_lag) * audio.shape[1]
    pooled = functional.avg_pool1d(correlation, span, stride=5)  # (B, 2 max_lag + 1, T')
    whole = functional.avg_pool1d(usable.to(audio.dtype)[:, None], span, stride=5)[:, 0] > 0.98
    if not bool(whole.any()):
        return audio.sum() * 0.0
    lags = torch.arange(-max_lag, max_lag + 1, device=audio.device, dtype=audio.dtype)
    # A neighbouring frame is hardly wrong: the target is a narrow bell around the true lag.
    target = torch.softmax(-((lags[None] - lag[:, None]) ** 2) / (2 * 0.7**2), dim=1)
    loss = -(target[:, :, None] * (pooled * sharpness).log_softmax(1)).sum(1)
    return loss[whole].mean()
