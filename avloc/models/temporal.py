"""Building blocks along time that keep masked frames at zero: convolution block and attention block."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional


def masked(x: Tensor, mask: Tensor) -> Tensor:
    """Zero the frames of ``x`` (B, C, T) that ``mask`` (B, T) does not name, so that padding never votes."""
    return x * mask[:, None].to(x.dtype)


class FloatConv1d(nn.Conv1d):
    """A convolution in float32 also where autocast makes others bfloat16, which has 256 steps a power of 2.

    Distances in frames come out of it: half a frame would be lost from 64 on.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, T)."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of (B, C, T); no statistics over time, so windows do not mix."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each frame by itself."""
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class ConvBlock(nn.Module):
    """Residual block: depthwise convolution over time, normalisation, two pointwise layers.

    Parameters
    ----------
    channels : int
        Width of input and output.
    kernel : int [odd]
        Frames seen by the depthwise convolution.
    expansion : float
        Hidden width of the pointwise pair, as a multiple of ``channels``.
    dropout : float [0, 1)
        Dropout of the branch while training.

    References
    ----------
    .. [1] Liu et al., "A ConvNet for the 2020s", CVPR 2022.
    """

    def __init__(self, channels: int, *, kernel: int = 7, expansion: float = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        hidden = round(expansion * channels)
        self.expand = nn.Linear(channels, hidden)
        self.reduce = nn.Linear(hidden, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Transform (B, C, T); frames outside ``mask`` (B, T) stay zero."""
        branch = self.norm(self.depthwise(x).transpose(1, 2))  # (B, T, C)
        branch = self.reduce(functional.gelu(self.expand(branch)))
        return masked(x + (self.dropout(branch) * self.scale).transpose(1, 2), mask)


class AttentionBlock(nn.Module):
    """Pre-norm self-attention over all frames of a level, with the relative distance as a learned bias.

    A span that differs from the rest of a recording can only be told by looking at the rest; on coarse levels
    that costs little.

    Parameters
    ----------
    channels : int
        Width of input and output.
    n_heads : int
        Attention heads; must divide ``channels``.
    max_distance : int [frames of the level]
        Distances beyond it share one bias.
    """

    def __init__(self, channels: int, *, n_heads: int = 4, max_distance: int = 32) -> None:
        super().__init__()
        if channels % n_heads:
            raise ValueError(f"n_heads must divide channels, got {n_heads} and {channels}")
        self.n_heads, self.max_distance = n_heads, max_distance
        self.norm = nn.LayerNorm(channels)
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.to_out = nn.Linear(channels, channels)
        self.distance_bias = nn.Parameter(torch.zeros(n_heads, 2 * max_distance + 1))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Transform (B, C, T); frames outside ``mask`` (B, T) are neither read nor written."""
        position = torch.arange(x.shape[2], device=x.device)
        distance = (position[:, None] - position[None]).clamp(-self.max_distance, self.max_distance)
        bias = self.distance_bias[:, distance + self.max_distance]  # (heads, T, T)
        # A finite floor: a row whose keys are all masked must stay finite, its output is zeroed below.
        bias = bias[None] + torch.where(mask, 0.0, -1e4)[:, None, None]  # (B, heads, T, T)
        qkv = rearrange(
            self.to_qkv(self.norm(x.transpose(1, 2))), "b t (k h d) -> k b h t d", k=3, h=self.n_heads
        )
        attended = functional.scaled_dot_product_attention(*qkv, attn_mask=bias.to(x.dtype))
        return masked(
            x + rearrange(self.to_out(rearrange(attended, "b h t d -> b t (h d)")), "b t c -> b c t"), mask
        )


def fit_length(x: Tensor, n_frames: int) -> Tensor:
    """Cut (B, C, T) behind ``n_frames`` frames, or fill it up with zeros."""
    return functional.pad(x[:, :, :n_frames], (0, max(0, n_frames - x.shape[2])))
