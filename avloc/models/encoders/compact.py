"""A compact visual speech encoder, small enough to be trained here and to run on a CPU."""

from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional

from avloc.models.temporal import ConvBlock
from avloc.registry import ENCODERS


class _Separable(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inside, inside, 3, stride=2, padding=1, groups=inside, bias=False)
        self.norm = nn.BatchNorm2d(inside)
        self.pointwise = nn.Conv2d(inside, outside, 1, bias=False)
        self.out_norm = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        return functional.gelu(self.out_norm(self.pointwise(functional.gelu(self.norm(self.depthwise(x))))))


@ENCODERS.register_module()
class CompactVisualEncoder(nn.Module):
    """Mouth crops to an embedding: five frames at once, separable convolutions, then time.

    Parameters
    ----------
    width : int
        Channels of the first convolution; the deeper ones have 2, 4 and 6 times as many.
    out_channels : int
        Channels of the embedding, all of which are compared with the sound.
    n_blocks : int
        Convolution blocks over time.

    Attributes
    ----------
    inputs : tuple of str
        ``("mouth96_box",)``: (B, T, 96, 96), normalised.
    """

    inputs = ("mouth96_box",)
    frame_rate = Fraction(25)
    reach = 2  # frames to each side that the first convolution sees

    def __init__(self, *, width: int = 32, out_channels: int = 128, n_blocks: int = 3) -> None:
        super().__init__()
        self.out_channels = self.sync_channels = out_channels
        # Five neighbouring frames as channels are the same sum as a 3-D convolution, and several times
        # faster on a CPU.
        self.first = nn.Conv2d(2 * self.reach + 1, width, 5, stride=2, padding=2, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.deeper = nn.ModuleList(
            _Separable(inside * width, outside * width) for inside, outside in ((1, 2), (2, 4), (4, 6))
        )
        # The place inside the crop matters (lips against chin), so the 3 x 3 grid is kept until the
        # projection.
        self.project = nn.Linear(6 * width * 9, out_channels)
        self.dropout = nn.Dropout(0.2)
        self.blocks = nn.ModuleList(ConvBlock(out_channels, kernel=5) for _ in range(n_blocks))

    def forward(self, inputs: tuple[Tensor], mask: Tensor) -> tuple[Tensor, Tensor]:
        """Give the embedding (B, C, T) and its mask (B, T) of mouth crops (B, T, 96, 96)."""
        (mouth,) = inputs
        n_rows, n_frames = mouth.shape[:2]
        mouth = mouth * mask[:, :, None, None].to(mouth.dtype)
        padded = functional.pad(mouth, (0, 0, 0, 0, self.reach, self.reach))
        stacked = torch.stack([padded[:, k : k + n_frames] for k in range(2 * self.reach + 1)], dim=2)
        real = mask.flatten()
        # Only frames with a face are convolved: (n, C, 48, 48), n of the B T frames.
        crops = stacked.flatten(0, 1)[real].contiguous(memory_format=torch.channels_last)  # a quarter faster
        x = functional.gelu(self.first_norm(self.first(crops)))
        x = functional.max_pool2d(x, 2)  # 24 x 24
        for layer in self.deeper:
            x = layer(x)
        embedded = self.dropout(self.project(x.flatten(1)))
        x = embedded.new_zeros(n_rows * n_frames, self.out_channels)
        x[real] = embedded
        x = x.unflatten(0, (n_rows, n_frames)).transpose(1, 2)  # (B, C, T), zero where there is no face
        for block in self.blocks:
            x = block(x, mask)
        return x, mask
