"""AV-HuBERT Base: self-supervised audio-visual speech units (Shi et al., ICLR 2022).

Module names are those of the ``model`` entry of the published fairseq checkpoint. The published weights are
for non-commercial research; avloc reads them from a user's disk. GELU is the exact one, every norm has
torch's default epsilon.
"""

import copy
from fractions import Fraction

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avloc.models.encoders.resnet import STEM_WIDTH, PictureFrontend, prelu
from avloc.registry import ENCODERS

FBANK_CHANNELS = 104  # 26 log filter-bank values, four steps of 10 ms stacked
POSITION_KERNEL = 128
POSITION_GROUPS = 16


class _Projection(nn.Module):
    """A linear layer under the name ``proj``, and for pictures the front-end before it."""

    def __init__(self, in_channels: int, width: int, *, resnet: nn.Module | None = None) -> None:
        super().__init__()
        if resnet is not None:
            self.resnet = resnet
        self.proj = nn.Linear(in_channels, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(self.resnet(x) if hasattr(self, "resnet") else x)


class _PositionConvolution(nn.Module):
    """A grouped convolution whose weight has a direction and, for each place of the kernel, a length."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(1, 1, POSITION_KERNEL))
        self.weight_v = nn.Parameter(torch.empty(width, width // POSITION_GROUPS, POSITION_KERNEL))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.weight_v, std=(4 / (POSITION_KERNEL * width)) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight_g * self.weight_v / self.weight_v.norm(dim=(0, 1), keepdim=True)
        # An even kernel with half of it as padding gives a step too many; the last one is dropped.
        x = F.conv1d(x, weight, self.bias, padding=POSITION_KERNEL // 2, groups=POSITION_GROUPS)[:, :, :-1]
        return F.gelu(x)


class _SelfAttention(nn.Module):
    def __init__(self, *, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self, name, nn.Linear(width, width))

    def forward(self, x: Tensor, attended: Tensor | None) -> Tensor:
        q, k, v = (
            rearrange(project(x), "b t (h d) -> b h t d", h=self.n_heads)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=attended)
        return self.out_proj(rearrange(x, "b h t d -> b t (h d)"))


class _Layer(nn.Module):
    def __init__(self, *, width: int, n_heads: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = _SelfAttention(width=width, n_heads=n_heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, attended: Tensor | None) -> Tensor:
        x = x + self.self_attn(self.self_attn_layer_norm(x), attended)
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


class _Transformer(nn.Module):
    def __init__(self, *, width: int, n_heads: int, n_layers: int, hidden: int) -> None:
        super().__init__()
        self.pos_conv = nn.ModuleList([_PositionConvolution(width)])
        self.layers = nn.ModuleList(
            _Layer(width=width, n_heads=n_heads, hidden=hidden) for _ in range(n_layers)
        )
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            x = x.masked_fill(~mask[:, :, None], 0.0)  # as fairseq does before the positions
        x = x + self.pos_conv[0](x.transpose(1, 2)).transpose(1, 2)
        attended = None if mask is None else (mask | ~mask.any(1, keepdim=True))[:, None, None]
        for layer in self.layers:
            x = layer(x, attended)
        return self.layer_norm(x)


@ENCODERS.register_module()
class AvHubertEncoder(nn.Module):
    """Lips, sound, or both to speech units; 102,620,288 parameters in the published size.

    A modality that is not given counts as zeros behind its projection, which is no zero input.

    Parameters
    ----------
    stream : {"audio", "visual", "both"}
        What ``forward`` reads. All weights are there in any case, because a checkpoint loads strictly.
    stem_width : int
        Channels of the first convolution over crops.
    width, n_heads, n_layers, hidden : int
        768, 12, 12 and 3072 in the published Base size.

    Attributes
    ----------
    inputs : tuple of str
        ``"fbank104"`` (B, T, 104) and ``"mouth88_landmarks"`` (B, T, 88, 88), as ``stream`` says.
    """

    frame_rate = Fraction(25)
    INPUTS = {
        "audio": ("fbank104",),
        "visual": ("mouth88_landmarks",),
        "both": ("fbank104", "mouth88_landmarks"),
    }

    def __init__(
        self,
        *,
        stream: str = "both",
        stem_width: int = STEM_WIDTH,
        width: int = 768,
        n_heads: int = 12,
        n_layers: int = 12,
        hidden: int = 3072,
    ) -> None:
        super().__init__()
        if stream not in self.INPUTS:
            raise ValueError(f"stream must be one of {tuple(self.INPUTS)}, got {stream!r}")
        self.stream, self.inputs = stream, self.INPUTS[stream]
        self.out_channels = self.sync_channels = width
        self.feature_extractor_audio = _Projection(FBANK_CHANNELS, width)
        resnet = PictureFrontend(activation=prelu, stem_width=stem_width)
        self.feature_extractor_video = _Projection(resnet.out_channels, width, resnet=resnet)
        self.layer_norm = nn.LayerNorm(2 * width)
        self.post_extract_proj = nn.Linear(2 * width, width)
        self.encoder = _Transformer(width=width, n_heads=n_heads, n_layers=n_layers, hidden=hidden)

    def forward(self, inputs: tuple[Tensor, ...], mask: Tensor) -> tuple[Tensor, Tensor]:
        """Give the embedding (B, C, T) behind the closing norm, and its mask (B, T)."""
        given = dict(zip(self.inputs, inputs, strict=True))
        partly = None if bool(mask.all()) else mask
        crops, banks = given.get("mouth88_landmarks"), given.get("fbank104")
        if partly is not None and crops is not None:
            crops = torch.where(mask[:, :, None, None], crops, 0.0)
        x = self.encode(banks, crops, partly)
        if partly is not None:
            x = x.masked_fill(~mask[:, :, None], 0.0)
        return x.transpose(1, 2), mask

    def of_stream(self, stream: str) -> "AvHubertEncoder":
        """Give an encoder of another stream that shares all weights."""
        other = copy.copy(self)
        other.stream, other.inputs = stream, self.INPUTS[stream]
        return other

    def encode(self, banks: Tensor | None, crops: Tensor | None, mask: Tensor | None = None) -> Tensor:
        """Give (B, T, width) of filter-banks (B, T, 104) and crops (B, T, 88, 88); one may be None."""
        if banks is None and crops is None:
            raise ValueError("at least one of banks and crops must be given")
        heard = None if banks is None else self.feature_extractor_audio(banks)
        seen = None if crops is None else self.feature_extractor_video(crops)
        heard = torch.zeros_like(seen) if heard is None else heard
        seen = torch.zeros_like(heard) if seen is None else seen
        fused = self.post_extract_proj(self.layer_norm(torch.cat((heard, seen), dim=2)))
        return self.encoder(fused, mask)
