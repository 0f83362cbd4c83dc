"""Heads: points with score, distances and modality; frame scores; the recording's score."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from avloc.models.temporal import ChannelNorm, masked

PRIOR = 0.02  # share of positive points at the start, so that the first steps are not all about negatives


class _Trunk(nn.Module):
    def __init__(self, channels: int, n_layers: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(channels, channels, 3, padding=1) for _ in range(n_layers))
        self.norms = nn.ModuleList(ChannelNorm(channels) for _ in range(n_layers))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = masked(functional.gelu(norm(conv(x))), mask)
        return x


class PointHead(nn.Module):
    """One segment a point: score, (left, right) distances and modality, shared by all levels.

    Parameters
    ----------
    channels : int
        Width of the pyramid.
    n_levels : int
        Levels; each has its own scale of distances.
    n_layers : int
        Convolutions before the outputs.
    """

    def __init__(self, *, channels: int, n_levels: int, n_layers: int = 2) -> None:
        super().__init__()
        self.score_trunk = _Trunk(channels, n_layers)
        self.distance_trunk = _Trunk(channels, n_layers)
        self.score = nn.Conv1d(channels, 1, 3, padding=1)
        self.modality = nn.Conv1d(channels, 2, 3, padding=1)
        self.distances = nn.Conv1d(channels, 2, 3, padding=1)
        self.level_scale = nn.Parameter(torch.zeros(n_levels))
        nn.init.constant_(self.score.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, x: Tensor, mask: Tensor, level: int) -> tuple[Tensor, Tensor, Tensor]:
        """Give score logits (B, T), distances (B, 2, T) in frames of 25 Hz, modality logits (B, 2, T)."""
        told = self.score_trunk(x, mask)
        raw = self.distances(self.distance_trunk(x, mask))
        distances = functional.softplus(raw + self.level_scale[level]) * float(2**level)
        return self.score(told)[:, 0], distances, self.modality(told)


class FrameHead(nn.Module):
    """Logits of each frame, for sound and picture apart: inside a forged span, and at an edge of one."""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.trunk = _Trunk(channels, 1)
        self.inside = nn.Conv1d(channels, 2, 1)
        self.boundary = nn.Conv1d(channels, 2, 3, padding=1)
        nn.init.constant_(self.inside.bias, -1.5)
        nn.init.constant_(self.boundary.bias, -3.0)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Give inside and boundary logits, both (B, 2, T) with rows audio and visual."""
        x = self.trunk(x, mask)
        return self.inside(x), self.boundary(x)


class RecordingHead(nn.Module):
    """One logit a window from attention over a coarse level and the strongest frame and point.

    Parameters
    ----------
    channels : int
        Width of the pyramid.
    """

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.attention = nn.Conv1d(channels, 1, 1)
        self.hidden = nn.Linear(channels + 3, channels // 2)
        self.out = nn.Linear(channels // 2, 1)

    def forward(self, x: Tensor, mask: Tensor, strongest: Tensor) -> Tensor:
        """Give a logit (B,) from a level (B, C, T) and three maxima (B, 3): inside audio, visual, point."""
        weights = self.attention(x)[:, 0].masked_fill(~mask, -1e4).softmax(dim=1)
        pooled = torch.einsum("bct,bt->bc", x, weights)
        return self.out(functional.gelu(self.hidden(torch.cat((pooled, strongest), dim=1))))[:, 0]
