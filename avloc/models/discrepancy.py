"""Discrepancy map: where sound and picture disagree once a constant offset is absorbed."""

import torch
from torch import Tensor, nn

from avloc.models.alignment import Aligned
from avloc.models.temporal import ConvBlock, masked


class DiscrepancyMap(nn.Module):
    """Learned map of disagreement from difference, product, correlation over lags and prediction residual.

    Parameters
    ----------
    embedding_channels : int
        Size S of the aligned space.
    max_lag : int [frames]
        Lags of the correlation band to either side.
    channels : int
        Width of the map.
    n_blocks : int
        Convolution blocks over time.

    References
    ----------
    .. [1] Koutlis and Papadopoulos, "DiMoDif", arXiv 2411.10193 (discrepancy of speech representations).
    .. [2] Koutlis and Papadopoulos, "AuViRe", arXiv 2511.18993 (residual of predicting one stream).
    """

    def __init__(
        self, *, embedding_channels: int, max_lag: int, channels: int = 64, n_blocks: int = 2
    ) -> None:
        super().__init__()
        self.channels = channels
        self.predict_visual = nn.Sequential(
            nn.Conv1d(embedding_channels, channels, 5, padding=2),
            nn.GELU(),
            nn.Conv1d(channels, embedding_channels, 1),
        )
        self.mix = nn.Conv1d(3 * embedding_channels + 2 * max_lag + 1, channels, 1)
        self.blocks = nn.ModuleList(ConvBlock(channels, kernel=9) for _ in range(n_blocks))
        self.curve = nn.Conv1d(channels, 1, 1)

    def forward(self, aligned: Aligned) -> tuple[Tensor, Tensor, Tensor]:
        """Give the map (B, C, T), the curve's logit (B, T) and the residual of the prediction (B, S, T)."""
        residual = masked(aligned.visual - self.predict_visual(aligned.matched), aligned.mask)
        terms = torch.cat(
            (
                (aligned.matched - aligned.visual).abs(),
                aligned.matched * aligned.visual,
                residual.abs(),
                aligned.correlation,
            ),
            dim=1,
        )
        x = masked(self.mix(terms), aligned.mask)
        for block in self.blocks:
            x = block(x, aligned.mask)
        return x, self.curve(x)[:, 0], residual
