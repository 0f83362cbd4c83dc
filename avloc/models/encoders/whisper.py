"""Whisper's encoder: the open recogniser whose middle layers tell what is said and by whom.

A plain re-implementation that reads the published weights through ``avloc.models.weights.whisper``. The
module names are those of the published state dict without its prefix ``encoder.``, so that a checkpoint loads
without renaming. It is a part of ``encoders/two_stem.py`` and gives a list of layers, so it stands among the
networks that a weights file may hold, and not among the encoders.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avloc.errors import CheckpointError
from avloc.registry import NETWORKS

N_POSITIONS = 1500  # rows of the position table of every published size: 30 s at 50 Hz


def sinusoid_positions(n_positions: int, width: int) -> Tensor:
    """Make Whisper's position table.

    Row t is ``[sin(t w), cos(t w)]`` with ``w_k = exp(-k ln(10000) / (width / 2 - 1))``: the sines come
    first, and the exponent reaches 1 at the last column, unlike in the interleaved table of the original
    transformer.

    Parameters
    ----------
    n_positions : int [> 0]
        Number of rows.
    width : int [even, >= 4]
        Number of columns.

    Returns
    -------
    Tensor [shape=(n_positions, width), float32]
        The table.
    """
    if width < 4 or width % 2:
        raise ValueError(f"width must be even and at least 4, got {width}")
    half = width // 2
    frequency = np.exp(-math.log(10000.0) / (half - 1) * np.arange(half))
    angle = np.arange(n_positions)[:, None] * frequency[None, :]
    return torch.from_numpy(np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32))


class _SelfAttention(nn.Module):
    def __init__(self, *, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (
            rearrange(project(x), "b t (h d) -> b h t d", h=self.n_heads)
            for project in (self.query, self.key, self.value)
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (B, heads, T, d)
        return self.out(rearrange(attended, "b h t d -> b t (h d)"))


class _Block(nn.Module):
    def __init__(self, *, width: int, n_heads: int, hidden: int) -> None:
        super().__init__()
        self.attn = _SelfAttention(width=width, n_heads=n_heads)
        self.attn_ln = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.mlp_ln = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.attn(self.attn_ln(x), mask)
        return x + self.mlp(self.mlp_ln(x))


@NETWORKS.register_module()
class WhisperEncoder(nn.Module):
    """Whisper's encoder, whole or cut after a middle block.

    Parameters
    ----------
    width : int
        Channels of every block: 384 (tiny), 512 (base), 768 (small).
    n_layers : int [>= 0]
        Blocks to keep. Fewer than the checkpoint has cut it after the last kept one.
    n_heads : int
        Attention heads; ``width / 64`` in every published size.
    n_mels : int
        Mel bands of the input.
    final_norm : bool
        Have ``ln_post`` and give its output too, which is what the recogniser's decoder reads. It is
        meaningful only if every block of the checkpoint is kept.
    pooling : int [1 or 2]
        Frames of 50 Hz that are averaged to one before the first block. With 2 the blocks cost half; they
        were not published for it, so they must be trained further.
    hidden : int or None
        Neurons of each block's feed-forward pair; None: ``4 * width``, as published.

    References
    ----------
    .. [1] Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", ICML 2023.
    """

    def __init__(
        self,
        *,
        width: int,
        n_layers: int,
        n_heads: int,
        n_mels: int = 80,
        final_norm: bool = False,
        pooling: int = 1,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        if width % n_heads:
            raise ValueError(f"width must be a multiple of n_heads, got {width} and {n_heads}")
        if pooling not in (1, 2):
            raise ValueError(f"pooling must be 1 or 2, got {pooling}")
        self.width, self.pooling = width, pooling
        self.conv1 = nn.Conv1d(n_mels, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        # Not trained and the same for every checkpoint of this width, so it is neither a parameter nor saved.
        positions = sinusoid_positions(N_POSITIONS, width)
        self.register_buffer("positional_embedding", positions, persistent=False)
        hidden = 4 * width if hidden is None else hidden
        self.blocks = nn.ModuleList(
            _Block(width=width, n_heads=n_heads, hidden=hidden) for _ in range(n_layers)
        )
        self.ln_post = nn.LayerNorm(width) if final_norm else None

    @classmethod
    def from_config(cls, cfg: Mapping) -> "WhisperEncoder":
        """Build from the ``model`` key of a configuration."""
        return cls(**{key: value for key, value in cfg.items() if key != "type"})

    def embed(self, mel: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the input of the first block, convolutions and positions applied.

        Parameters
        ----------
        mel : Tensor [shape=(B, n_mels, 2 T), T <= 1500]
            Log-mel spectrogram at 100 Hz, as ``avloc.features.audio.whisper_mel`` makes it.
        mask : Tensor [shape=(B, T), bool], optional
            Real frames at 50 Hz; what the others hold counts as the zeros that the convolutions pad with.

        Returns
        -------
        Tensor [shape=(B, T, width)]
            One vector per 20 ms.

        Raises
        ------
        ValueError
            If the input is longer than the 30 s of the position table.
        """
        if mel.shape[2] > 2 * N_POSITIONS:
            raise ValueError(f"mel must be at most {2 * N_POSITIONS} frames long, got {mel.shape[2]}")
        if mask is None:
            x = F.gelu(self.conv1(mel))
        else:
            # Masked before both convolutions: the bias of the first one makes something of nothing.
            real = mask.repeat_interleave(2, dim=1)[:, None]  # (B, 1, 2 T)
            x = F.gelu(self.conv1(mel.masked_fill(~real, 0.0))).masked_fill(~real, 0.0)
        x = F.gelu(self.conv2(x))  # (B, C, T)
        return x.transpose(1, 2) + self.positional_embedding[: x.shape[2]]

    def forward(self, mel: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """Return the residual stream after each kept block.

        Parameters
        ----------
        mel : Tensor [shape=(B, n_mels, 2 T), T <= 1500]
            Log-mel spectrogram at 100 Hz. A piece of 6.4 s is (B, 80, 640).
        mask : Tensor [shape=(B, T), bool], optional
            Real frames at 50 Hz. The others are set to what the convolutions pad with and are never attended
            to, so a masked tail gives the same as a shorter input.

        Returns
        -------
        list of Tensor [shape=(B, T / pooling, width) each, 50 Hz / pooling]
            One per block, then, with ``final_norm``, the normalised last one. Masked frames hold finite
            rubbish.

        Raises
        ------
        ValueError
            If the input is longer than the 30 s of the position table.
        """
        x = self.embed(mel, mask)
        if self.pooling == 2:
            x = (x[:, 0::2] + x[:, 1::2]) / 2
            mask = None if mask is None else mask[:, 0::2] | mask[:, 1::2]
        # A row without any real frame would be all minus infinity; it reads itself, and the caller masks it.
        attended = (
            None if mask is None else (mask | ~mask.any(1, keepdim=True))[:, None, None]
        )  # (B, 1, 1, T)
        hidden = []
        for block in self.blocks:
            x = block(x, attended)
            hidden.append(x)
        if self.ln_post is not None:
            hidden.append(self.ln_post(x))
        return hidden

    def load_published(self, state: dict[str, Tensor]) -> None:
        """Load the encoder's part of a published state dict; blocks that are cut off are left out.

        Parameters
        ----------
        state : dict of str to Tensor
            Names as published by OpenAI, with or without the prefix ``encoder.``, as the readers of
            ``avloc.models.weights`` give them.

        Raises
        ------
        CheckpointError
            If an entry is missing, has another shape, or fewer blocks are stored than kept.
        """
        plain = {key.removeprefix("encoder."): value for key, value in state.items()}
        own = self.state_dict()
        missing = sorted(own.keys() - plain.keys())
        if missing:
            raise CheckpointError(
                f"a Whisper encoder with {len(self.blocks)} blocks has {len(own)} entries, of which the "
                f"state dict lacks {len(missing)}, first {missing[0]!r}"
            )
        for key, value in own.items():
            got = tuple(plain[key].shape)
            if got != tuple(value.shape):
                expected = tuple(value.shape)
                raise CheckpointError(f"{key!r} must have shape {expected} for width {self.width}, got {got}")
        self.load_state_dict({key: plain[key].to(value.dtype) for key, value in own.items()})
