"""The conformer of the public speech encoders, with relative positions (Auto-AVSR, ESPnet's "latest" form).

Gulati et al., "Conformer: Convolution-augmented Transformer for Speech Recognition", Interspeech 2020;
relative attention after Dai et al., "Transformer-XL", ACL 2019. Module names are those of the published state
dicts.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

NORM_EPSILON = 1e-12  # of every layer norm; torch's default of 1e-5 moves the outputs by 2.5e-5
KERNEL = 31  # of the convolution module, in frames of 40 ms


class ConformerEncoder(nn.Module):
    """Vectors of a front-end to the embedding of a speech recogniser.

    Parameters
    ----------
    in_channels : int
        Of the front-end.
    width, n_heads, n_blocks, hidden : int
        768, 12, 12 and 3072 in every published encoder.
    padding_leaks : bool
        Frames that are masked reach real ones through the convolutions, as in the public code; without it
        they count as zeros.

    References
    ----------
    .. [1] Ma et al., "Auto-AVSR: Audio-Visual Speech Recognition with Automatic Labels", ICASSP 2023.
    """

    def __init__(
        self,
        *,
        in_channels: int = 512,
        width: int = 768,
        n_heads: int = 12,
        n_blocks: int = 12,
        hidden: int = 3072,
        padding_leaks: bool = False,
    ) -> None:
        super().__init__()
        self.width, self.padding_leaks = width, padding_leaks
        self.embed = nn.Sequential(nn.Linear(in_channels, width))
        self.encoders = nn.ModuleList(
            _Block(width=width, n_heads=n_heads, hidden=hidden) for _ in range(n_blocks)
        )
        self.after_norm = nn.LayerNorm(width, eps=NORM_EPSILON)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Give the embedding of a batch.

        Parameters
        ----------
        x : Tensor [shape=(B, T, in_channels)]
            One vector a frame.
        mask : Tensor [shape=(B, T), bool], optional
            Real frames; the others are never attended to.

        Returns
        -------
        Tensor [shape=(B, T, width)]
            Behind the closing norm. Masked frames hold finite rubbish.
        """
        if mask is not None and bool(mask.all()):
            mask = None
        x = self.embed(x) * math.sqrt(self.width)
        positions = relative_positions(x.shape[1], self.width).to(x)
        attended = None if mask is None else (mask | ~mask.any(1, keepdim=True))[:, None, None]
        convolved = None if mask is None or self.padding_leaks else mask
        for block in self.encoders:
            x = block(x, positions, attended, convolved)
        return self.after_norm(x)


class _Block(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward, norm."""

    def __init__(self, *, width: int, n_heads: int, hidden: int) -> None:
        super().__init__()
        self.feed_forward_macaron = _FeedForward(width, hidden)
        self.self_attn = _RelativeAttention(width=width, n_heads=n_heads)
        self.conv_module = _ConvolutionModule(width)
        self.feed_forward = _FeedForward(width, hidden)
        for name in ("norm_ff_macaron", "norm_mha", "norm_conv", "norm_ff", "norm_final"):
            setattr(self, name, nn.LayerNorm(width, eps=NORM_EPSILON))

    def forward(
        self, x: Tensor, positions: Tensor, attended: Tensor | None, convolved: Tensor | None
    ) -> Tensor:
        x = x + 0.5 * self.feed_forward_macaron(self.norm_ff_macaron(x))
        x = x + self.self_attn(self.norm_mha(x), positions, attended)
        x = x + self.conv_module(self.norm_conv(x), convolved)
        x = x + 0.5 * self.feed_forward(self.norm_ff(x))
        return self.norm_final(x)


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(width, hidden)
        self.w_2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(F.relu(self.w_1(x)))


class _RelativeAttention(nn.Module):
    """Attention with scores ((q + u) k + (q + v) p) / sqrt(d), p of the distance."""

    def __init__(self, *, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(n_heads, width // n_heads))
        self.pos_bias_v = nn.Parameter(torch.zeros(n_heads, width // n_heads))

    def forward(self, x: Tensor, positions: Tensor, attended: Tensor | None) -> Tensor:
        q, k, v = (self._split(linear(x)) for linear in (self.linear_q, self.linear_k, self.linear_v))
        p = self._split(self.linear_pos(positions)[None])  # (1, heads, 2 T - 1, d)
        by_distance = (q + self.pos_bias_v[:, None]) @ p.transpose(2, 3)  # (B, heads, T, 2 T - 1)
        bias = by_place(by_distance) / math.sqrt(q.shape[3])
        if attended is not None:
            bias = bias.masked_fill(~attended, -torch.inf)
        x = F.scaled_dot_product_attention(q + self.pos_bias_u[:, None], k, v, attn_mask=bias)
        return self.linear_out(rearrange(x, "b h t d -> b t (h d)"))

    def _split(self, x: Tensor) -> Tensor:
        return rearrange(x, "b t (h d) -> b h t d", h=self.n_heads)


class _ConvolutionModule(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.pointwise_cov1 = nn.Conv1d(width, 2 * width, 1)  # "cov" as published
        self.depthwise_conv = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.norm = nn.BatchNorm1d(width)
        self.pointwise_cov2 = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = F.glu(self.pointwise_cov1(x.transpose(1, 2)), dim=1)  # (B, C, T)
        if mask is not None:
            x = x.masked_fill(~mask[:, None], 0.0)
        x = self.pointwise_cov2(F.silu(self.norm(self.depthwise_conv(x))))
        return x.transpose(1, 2)


@lru_cache(maxsize=4)
def relative_positions(n_frames: int, width: int) -> Tensor:
    """Make the table of distances, from ``n_frames - 1`` back to as many ahead.

    Row k stands for the distance ``d = n_frames - 1 - k`` between the frame that attends and the one that is
    attended to: columns 2 m and 2 m + 1 are the sine and cosine of ``d * 10000 ** (-2 m / width)``.

    Returns
    -------
    Tensor [shape=(2 * n_frames - 1, width), float32]
    """
    with torch.inference_mode(False):  # a cached tensor must serve with and without gradients
        distance = torch.arange(n_frames - 1, -n_frames, -1, dtype=torch.float32)
        frequency = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * -(math.log(10000.0) / width))
        angle = distance[:, None] * frequency
        return torch.stack((angle.sin(), angle.cos()), dim=2).flatten(1)


def by_place(by_distance: Tensor) -> Tensor:
    """Turn scores by distance (…, T, 2 T - 1) into scores by place (…, T, T).

    Entry (i, j) of the result is entry (i, T - 1 - i + j): the row moves one to the left from frame to frame.

        T = 3, columns are the distances 2 1 0 -1 -2

            2  1 [0 -1 -2]       place 0 1 2
            2 [1  0 -1]-2   ->
           [2  1  0]-1 -2

    Examples
    --------
    >>> by_place(torch.tensor([[2, 1, 0, -1, -2]] * 3)).tolist()
    [[0, -1, -2], [1, 0, -1], [2, 1, 0]]
    """
    n_frames, n_distances = by_distance.shape[-2:]
    x = by_distance.contiguous()
    # Stepping by one column less than a row has moves along the diagonals; no entry is copied.
    strides = (*x.stride()[:-2], n_distances - 1, 1)
    size = (*x.shape[:-2], n_frames, n_frames)
    return x.as_strided(size, strides, x.storage_offset() + n_frames - 1)
