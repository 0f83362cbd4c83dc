"""Multi-scale temporal features: strides 1, 2, 4, …, each with the context of all coarser ones."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from avloc.models.temporal import AttentionBlock, ConvBlock, masked


def halve_mask(mask: Tensor) -> Tensor:
    """Halve a mask, (B, T) to (B, ceil(T/2)): a coarse frame is real where any of its two is."""
    return functional.max_pool1d(mask[:, None].float(), 2, ceil_mode=True)[:, 0] > 0


class FeaturePyramid(nn.Module):
    """Bottom-up levels of stride 2**l and a top-down path that hands context to the fine ones.

    Parameters
    ----------
    channels : int
        Width of all levels.
    n_levels : int
        Levels, strides 1, 2, …, 2**(n_levels - 1).
    n_stem_blocks : int
        Convolution blocks at stride 1 before the first level.
    attention_from : int
        First level with self-attention over the whole window.
    n_heads : int
        Heads of that attention.
    dropout : float
        Dropout of the convolution blocks.
    expansion : float
        Hidden width of the convolution blocks, as a multiple of ``channels``.

    References
    ----------
    .. [1] Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017.
    """

    def __init__(
        self,
        *,
        channels: int,
        n_levels: int = 6,
        n_stem_blocks: int = 2,
        attention_from: int = 2,
        n_heads: int = 4,
        dropout: float = 0.0,
        expansion: float = 2,
    ) -> None:
        super().__init__()
        block = {"dropout": dropout, "expansion": expansion}
        self.channels, self.n_levels = channels, n_levels
        self.stem = nn.ModuleList(ConvBlock(channels, kernel=9, **block) for _ in range(n_stem_blocks))
        self.down = nn.ModuleList(
            nn.Conv1d(channels, channels, 4, stride=2, padding=1, groups=channels)
            for _ in range(n_levels - 1)
        )
        self.blocks = nn.ModuleList(ConvBlock(channels, kernel=5, **block) for _ in range(n_levels))
        self.attention = nn.ModuleDict(
            {
                str(level): AttentionBlock(channels, n_heads=n_heads)
                for level in range(attention_from, n_levels)
            }
        )
        self.lateral = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in range(n_levels - 1))
        self.merge = nn.ModuleList(ConvBlock(channels, kernel=5, **block) for _ in range(n_levels - 1))

    def forward(self, x: Tensor, mask: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Give the levels of (B, C, T): features (B, C, ceil(T / 2**l)) and masks, finest first."""
        for block in self.stem:
            x = block(x, mask)
        levels, masks = [], []
        for level in range(self.n_levels):
            if level:
                # An odd length gets one masked frame, so that stride 2 covers every frame.
                x = masked(self.down[level - 1](functional.pad(x, (0, x.shape[2] % 2))), halve_mask(mask))
                mask = halve_mask(mask)
            x = self.blocks[level](x, mask)
            if str(level) in self.attention:
                x = self.attention[str(level)](x, mask)
            levels.append(x)
            masks.append(mask)
        for level in range(self.n_levels - 2, -1, -1):
            fine, n_frames = levels[level], levels[level].shape[2]
            context = torch.repeat_interleave(levels[level + 1], 2, dim=2)[:, :, :n_frames]
            levels[level] = self.merge[level](
                masked(fine + self.lateral[level](context), masks[level]), masks[level]
            )
        return tuple(levels), tuple(masks)
