"""The residual front-ends of the public speech encoders: ResNet-18 over pictures or over samples.

Module names are those of the published state dicts, so that checkpoints load without renaming inside.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEM_WIDTH = 64  # of every published encoder
STAGES = (1, 1, 2, 4, 8)  # widths of the stem and of the four stages of two blocks, in stem widths
SAMPLES_PER_STEP = 640  # of the front-end for samples: stride 4, three times 2, and an average over 20

Activation = Callable[[int], nn.Module]  # from a number of channels


def swish(channels: int) -> nn.Module:
    """Make the activation of Auto-AVSR, which has no parameters."""
    return nn.SiLU()


def prelu(channels: int) -> nn.Module:
    """Make the activation of AV-HuBERT, with a slope a channel."""
    return nn.PReLU(channels)


class _Dimensions:
    """The convolution and the norm of signals with one or two axes."""

    def __init__(self, n_axes: int) -> None:
        self.conv = {1: nn.Conv1d, 2: nn.Conv2d}[n_axes]
        self.norm = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[n_axes]


class _Block(nn.Module):
    """Two convolutions of width 3 and a way around them (He et al., CVPR 2016)."""

    def __init__(
        self, inside: int, outside: int, *, stride: int, axes: _Dimensions, activation: Activation
    ) -> None:
        super().__init__()
        self.conv1 = axes.conv(inside, outside, 3, stride=stride, padding=1, bias=False)
        self.bn1 = axes.norm(outside)
        self.relu1 = activation(outside)
        self.conv2 = axes.conv(outside, outside, 3, padding=1, bias=False)
        self.bn2 = axes.norm(outside)
        self.relu2 = activation(outside)
        self.downsample = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(
                axes.conv(inside, outside, 1, stride=stride, bias=False), axes.norm(outside)
            )

    def forward(self, x: Tensor) -> Tensor:
        way_around = x if self.downsample is None else self.downsample(x)
        x = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(x + way_around)


class _Stages(nn.Module):
    """The four stages of ResNet-18; the first keeps the length, each other one halves it."""

    def __init__(self, *, n_axes: int, stem_width: int, activation: Activation) -> None:
        super().__init__()
        axes = _Dimensions(n_axes)
        widths = [stem_width * stage for stage in STAGES]
        for number, (inside, outside) in enumerate(pairwise(widths), start=1):
            stride = 1 if number == 1 else 2
            blocks = [_Block(inside, outside, stride=stride, axes=axes, activation=activation)]
            blocks.append(_Block(outside, outside, stride=1, axes=axes, activation=activation))
            setattr(self, f"layer{number}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> Tensor:
        for number in range(1, len(STAGES)):
            x = getattr(self, f"layer{number}")(x)
        return x


class PictureFrontend(nn.Module):
    """Mouth crops to a vector a frame: one convolution over time and space, then ResNet-18 over space.

    Parameters
    ----------
    activation : callable
        ``swish`` (Auto-AVSR) or ``prelu`` (AV-HuBERT).
    stem_width : int
        Channels of the first convolution; the output has eight times as many.
    """

    def __init__(self, *, activation: Activation, stem_width: int = STEM_WIDTH) -> None:
        super().__init__()
        self.out_channels = STAGES[-1] * stem_width
        self.frontend3D = nn.Sequential(
            nn.Conv3d(1, stem_width, (5, 7, 7), stride=(1, 2, 2), padding=(2, 3, 3), bias=False),
            nn.BatchNorm3d(stem_width),
            activation(stem_width),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
        )
        self.trunk = _Stages(n_axes=2, stem_width=stem_width, activation=activation)

    def forward(self, crops: Tensor) -> Tensor:
        """Give (B, T, out_channels) of standardised gray crops (B, T, 88, 88)."""
        n_rows, n_frames = crops.shape[:2]
        x = self.frontend3D(crops[:, None])  # (B, 64, T, 22, 22)
        x = x.transpose(1, 2).flatten(0, 1)  # (B T, 64, 22, 22)
        x = self.trunk(x).mean(dim=(2, 3))
        return x.unflatten(0, (n_rows, n_frames))


class _SampleTrunk(_Stages):
    """A wide convolution over samples in front of the stages."""

    def __init__(self, stem_width: int) -> None:
        super().__init__(n_axes=1, stem_width=stem_width, activation=swish)
        self.conv1 = nn.Conv1d(1, stem_width, 80, stride=4, padding=38, bias=False)
        self.bn1 = nn.BatchNorm1d(stem_width)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool1d(super().forward(F.silu(self.bn1(self.conv1(x)))), 20, stride=20)


class SampleFrontend(nn.Module):
    """Samples to a vector every 40 ms: ResNet-18 over time (Auto-AVSR).

    Parameters
    ----------
    stem_width : int
        As of ``PictureFrontend``.
    """

    def __init__(self, *, stem_width: int = STEM_WIDTH) -> None:
        super().__init__()
        self.out_channels = STAGES[-1] * stem_width
        self.trunk = _SampleTrunk(stem_width)

    def forward(self, waveform: Tensor) -> Tensor:
        """Give (B, N // 640, out_channels) of samples (B, N) at 16 kHz; the rest is not read."""
        n_steps = waveform.shape[1] // SAMPLES_PER_STEP
        x = self.trunk(waveform[:, None, : n_steps * SAMPLES_PER_STEP])  # (B, 512, T)
        return x.transpose(1, 2)


def zero_masked_samples(waveform: Tensor, mask: Tensor) -> Tensor:
    """Set to zero the samples (B, 640 T) of frames that are not real, mask bool (B, T)."""
    real = mask.repeat_interleave(SAMPLES_PER_STEP, dim=1)
    return torch.where(real, waveform[:, : real.shape[1]], 0.0)
