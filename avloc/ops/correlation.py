"""Similarity of sound and picture over a band of lags."""

from typing import Any

import torch
from torch import Tensor

from avloc.ops._extension import NAMESPACE
from avloc.ops.arguments import REAL


def band_correlation(audio: Tensor, visual: Tensor, max_lag: int) -> Tensor:
    """Correlate two streams of embeddings at every frame over lags of at most ``max_lag`` frames.

    ``out[b, l, t]`` is the mean over channels of ``audio[b, c, t + l - max_lag] * visual[b, c, t]``, zero
    where the sound has no such frame. Nothing is normalised inside: callers pass what shall be compared, such
    as vectors of equal length. A peak at ``l > max_lag`` means that the sound is late.

    Parameters
    ----------
    audio, visual : Tensor [shape=(B, C, T), float32 or float64]
        Embeddings on one frame grid, of the same shape and dtype.
    max_lag : int [frames, 0..]
        Half width of the band; it may exceed T.

    Returns
    -------
    Tensor [shape=(B, 2 * max_lag + 1, T), dtype of the input]
        Gradients flow to both streams (once).

    Raises
    ------
    ValueError
        If shapes or dtypes differ or are not as described, or ``max_lag`` is negative.

    Examples
    --------
    >>> visual = torch.tensor([[[0.0, 1.0, 0.0, 0.0]]])
    >>> late_by_one = torch.tensor([[[0.0, 0.0, 1.0, 0.0]]])
    >>> band_correlation(late_by_one, visual, 1)[0, :, 1]
    tensor([0., 0., 1.])
    """
    if audio.ndim != 3 or audio.shape != visual.shape or audio.shape[1] < 1:
        shapes = f"{tuple(audio.shape)} and {tuple(visual.shape)}"
        raise ValueError(f"audio and visual must have the same shape (B, C, T) with C > 0, got {shapes}")
    if audio.dtype not in REAL or audio.dtype != visual.dtype:
        dtypes = f"{audio.dtype} and {visual.dtype}"
        raise ValueError(f"audio and visual must both be float32 or both be float64, got {dtypes}")
    if max_lag < 0:
        raise ValueError(f"max_lag must be at least 0 frames, got {max_lag!r}")
    return torch.ops.avloc.band_correlation(audio, visual, max_lag)


@torch.library.register_fake(f"{NAMESPACE}::band_correlation")
def _(audio: Tensor, visual: Tensor, max_lag: int) -> Tensor:
    return audio.new_empty(audio.shape[0], 2 * max_lag + 1, audio.shape[2])


@torch.library.register_fake(f"{NAMESPACE}::band_correlation_backward")
def _(grad: Tensor, audio: Tensor, visual: Tensor, max_lag: int) -> tuple[Tensor, Tensor]:
    return audio.new_empty(audio.shape), visual.new_empty(visual.shape)


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    audio, visual, ctx.max_lag = inputs
    ctx.save_for_backward(audio, visual)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
    audio, visual = ctx.saved_tensors
    grad_audio, grad_visual = torch.ops.avloc.band_correlation_backward(grad, audio, visual, ctx.max_lag)
    return grad_audio, grad_visual, None


def _no_second_gradient(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError("band_correlation has a first gradient only")


torch.library.register_autograd(f"{NAMESPACE}::band_correlation", _backward, setup_context=_setup)
torch.library.register_autograd(f"{NAMESPACE}::band_correlation_backward", _no_second_gradient)
