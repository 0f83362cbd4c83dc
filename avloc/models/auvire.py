"""AuViRe: one modality's speech reconstructed from the other, and from itself (arXiv 2511.18993, WACV 2026).

Module names are those of the published checkpoints. What was reconstructed is compared with what is there,
and a pyramid over time scores the difference. Norms have one scale for every channel and frame, so the length
of the window is a part of the weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avloc.models.temporal import FloatConv1d, fit_length
from avloc.registry import NETWORKS

FEATURE_CHANNELS = 768  # of AV-HuBERT Base
PAIRS = ("av", "va", "aa", "vv")  # what is read, what is reconstructed
OPERATIONS = ("subtraction", "multiplication")


@dataclass(frozen=True, slots=True)
class AuViReOutputs:
    """What AuViRe says of a batch.

    ``logits`` (B, T_l), ``offsets`` (B, T_l, 2) frames of 25 Hz to the left and the right end, and
    ``features`` (B, d, T_l) hold an entry a level; point i of a level lies at frame i times its factor.
    ``reconstructions`` (B, C, T) by the modality that was read, ``"a"`` and ``"v"``; ``dissimilarity``
    (B, T).
    """

    logits: tuple[Tensor, ...]
    offsets: tuple[Tensor, ...]
    features: tuple[Tensor, ...]
    reconstructions: dict[str, Tensor]
    dissimilarity: Tensor


@NETWORKS.register_module()
class AuViRe(nn.Module):
    """AuViRe over embeddings; the encoder that makes them is not part of it.

    Parameters
    ----------
    max_length : int [frames]
        Length of the window; 512 (20.48 s) in every published checkpoint.
    width : int
        Channels inside.
    kernel : int [odd]
        Of the blocks of reconstruction and encoder.
    n_outer : int [>= 1]
        Blocks before and behind the reconstruction's own.
    n_halvings : int
        Blocks of the reconstruction that halve the length, and that double it again: 3 (LAV-DF) or 1
        (AV-Deepfake1M).
    n_retain, n_downsample : int
        Levels of the full length, and levels that halve it: 2 and 2, or 1 and 1.
    pyramid : bool
        Join the levels from the coarse to the fine (Lin et al., CVPR 2017). Without it no block halves the
        length and the last level alone is scored.
    pairs : sequence of str
        Of ``PAIRS``: what is reconstructed from what.
    operation : {"subtraction", "multiplication"}
        How a reconstruction is compared with what is there.
    feature_channels : int
        Channels of the embeddings, those of both streams.
    """

    def __init__(
        self,
        *,
        max_length: int = 512,
        width: int = 128,
        kernel: int = 15,
        n_outer: int = 2,
        n_halvings: int = 3,
        n_retain: int = 2,
        n_downsample: int = 2,
        pyramid: bool = True,
        pairs: Sequence[str] = ("av", "aa", "vv"),
        operation: str = "subtraction",
        feature_channels: int = FEATURE_CHANNELS,
    ) -> None:
        super().__init__()
        unknown = [pair for pair in pairs if pair not in PAIRS]
        if unknown or operation not in OPERATIONS or not pairs:
            raise ValueError(
                f"pairs are of {PAIRS} and operation of {OPERATIONS}, got {pairs}, {operation!r}"
            )
        self.max_length, self.pairs, self.operation = max_length, tuple(pairs), operation
        self.feature_channels = feature_channels
        strides = [1] * n_retain + [2 if pyramid else 1] * n_downsample
        factors = list(accumulate(strides, mul))
        self.level_factors = tuple(factors if pyramid else factors[-1:])
        reconstruction = _Reconstruction(
            channels=feature_channels,
            length=max_length,
            width=width,
            kernel=kernel,
            n_outer=n_outer,
            n_halvings=n_halvings,
        )
        encoder = _Encoder(
            in_channels=len(pairs) * feature_channels,
            length=max_length,
            width=width,
            kernel=kernel,
            strides=strides,
            pyramid=pyramid,
        )
        self.reconstruction_model = nn.ModuleDict({"model": reconstruction})
        self.encoder_model = nn.ModuleDict({"model": encoder})
        lengths = [max_length // factor for factor in self.level_factors]
        self.classification = _heads(width, lengths, n_outputs=1)
        self.regression = _heads(width, lengths, n_outputs=2)

    @classmethod
    def from_config(cls, cfg: Mapping) -> "AuViRe":
        """Build from the ``model`` key of a configuration."""
        return cls(**{key: value for key, value in cfg.items() if key != "type"})

    def forward(self, visual: Tensor, audio: Tensor, *, n_valid: Tensor | None = None) -> AuViReOutputs:
        """Score a batch of windows.

        Parameters
        ----------
        visual, audio : Tensor [shape=(B, feature_channels, T), 25 Hz]
            Embeddings; what is longer than ``max_length`` is cut, what is shorter filled up with zeros.
        n_valid : Tensor [shape=(B,), frames], optional
            As of ``DiMoDif``, and not read: here padding always counts.
        """
        there = {"v": fit_length(visual, self.max_length), "a": fit_length(audio, self.max_length)}
        reconstruct = self.reconstruction_model["model"]
        read = {name: reconstruct(there[name]) for name in sorted({pair[0] for pair in self.pairs})}
        compared = [(read[source], there[target]) for source, target in self.pairs]
        if self.operation == "subtraction":
            joined = torch.cat([made - real for made, real in compared], dim=1)
            dissimilarity = sum((real - made).abs().mean(1) for made, real in compared)
        else:
            joined = torch.cat([made * real for made, real in compared], dim=1)
            dissimilarity = sum(1 - F.cosine_similarity(made, real, dim=1) for made, real in compared)
        features = self.encoder_model["model"](joined)
        return AuViReOutputs(
            logits=tuple(
                head(x)[:, 0] for head, x in zip(self.classification["model"], features, strict=True)
            ),
            offsets=tuple(
                head(x).relu().transpose(1, 2)
                for head, x in zip(self.regression["model"], features, strict=True)
            ),
            features=features,
            reconstructions=read,
            dissimilarity=dissimilarity,
        )


class _ConvBlock(nn.Module):
    """A convolution, a norm over channels and frames, a rectifier."""

    def __init__(self, inside: int, outside: int, kernel: int, *, length: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inside, outside, kernel, stride=stride, padding=kernel // 2)
        self.norm = nn.LayerNorm((outside, length))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu()


class _DoublingBlock(nn.Module):
    """A transposed convolution to twice the length, a norm, a rectifier."""

    def __init__(self, width: int, kernel: int, *, length: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose1d(
            width, width, kernel, stride=2, padding=kernel // 2, output_padding=1
        )
        self.norm = nn.LayerNorm((width, length))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.deconv(x)).relu()


class _Reconstruction(nn.Module):
    """Embeddings of one modality to those of a modality; its last rectifier makes them 0 or more."""

    def __init__(
        self, *, channels: int, length: int, width: int, kernel: int, n_outer: int, n_halvings: int
    ) -> None:
        super().__init__()
        pre, post = [channels] + [width] * n_outer, [width] * n_outer + [channels]
        self.projection_pre = _projection(pre, length)
        lengths = [length >> i for i in range(n_halvings + 1)]
        self.encoder = nn.Sequential(
            *(_ConvBlock(width, width, kernel, length=shorter, stride=2) for shorter in lengths[1:])
        )
        self.decoder = nn.Sequential(
            *(_DoublingBlock(width, kernel, length=longer) for longer in lengths[-2::-1])
        )
        self.projection_post = _projection(post, length)

    def forward(self, x: Tensor) -> Tensor:
        x = self.projection_pre["projection"](x)
        return self.projection_post["projection"](self.decoder(self.encoder(x)))


class _Pyramid(nn.Module):
    """Joins levels from the coarse to the fine; the published convolutions are those of pictures one wide."""

    def __init__(self, width: int, n_levels: int) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList(
            nn.ModuleList([nn.Conv2d(width, width, 1)]) for _ in range(n_levels)
        )
        self.layer_blocks = nn.ModuleList(
            nn.ModuleList([nn.Conv2d(width, width, 3, padding=1)]) for _ in range(n_levels)
        )

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        joined = [_over_time(block[0], x) for block, x in zip(self.inner_blocks, levels, strict=True)]
        for fine in range(len(joined) - 2, -1, -1):
            coarse = F.interpolate(joined[fine + 1], size=joined[fine].shape[2], mode="nearest")
            joined[fine] = joined[fine] + coarse
        return tuple(_over_time(block[0], x) for block, x in zip(self.layer_blocks, joined, strict=True))


def _over_time(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a convolution of pictures to a picture one wide (B, C, T): only its middle column matters."""
    middle = convolution.weight.shape[3] // 2
    return F.conv1d(
        x, convolution.weight[..., middle], convolution.bias, padding=convolution.weight.shape[2] // 2
    )


class _Encoder(nn.Module):
    def __init__(
        self,
        *,
        in_channels: int,
        length: int,
        width: int,
        kernel: int,
        strides: Sequence[int],
        pyramid: bool,
    ) -> None:
        super().__init__()
        blocks = []
        for number, stride in enumerate(strides):
            length //= stride
            inside = width if number else in_channels
            blocks.append(_ConvBlock(inside, width, kernel, length=length, stride=stride))
        self.model = nn.ModuleList(blocks)
        self.pyramid = _Pyramid(width, len(strides)) if pyramid else None

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        levels = []
        for block in self.model:
            x = block(x)
            levels.append(x)
        return tuple(levels[-1:]) if self.pyramid is None else self.pyramid(levels)


def _projection(channels: Sequence[int], length: int) -> nn.ModuleDict:
    blocks = [
        _ConvBlock(inside, outside, 3, length=length)
        for inside, outside in zip(channels[:-1], channels[1:], strict=True)
    ]
    return nn.ModuleDict({"projection": nn.Sequential(*blocks)})


class _Head(nn.Module):
    def __init__(self, width: int, length: int, n_outputs: int) -> None:
        super().__init__()
        self.module = nn.Sequential(
            _ConvBlock(width, width, 3, length=length),
            _ConvBlock(width, width, 3, length=length),
            FloatConv1d(width, n_outputs, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)


def _heads(width: int, lengths: Sequence[int], *, n_outputs: int) -> nn.ModuleDict:
    """Make a head a level; they share nothing."""
    return nn.ModuleDict({"model": nn.ModuleList(_Head(width, length, n_outputs) for length in lengths)})
