"""Cross-modal alignment: where in the sound a picture belongs, within a bounded lag."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avloc.models.temporal import masked
from avloc.ops import band_correlation


@dataclass(frozen=True, slots=True)
class Aligned:
    """Two streams in one space, compared lag by lag.

    ``audio``, ``visual`` (B, S, T) unit vectors as embedded; ``matched`` (B, S, T) the sound brought to each
    picture frame; ``band`` (B, 2L+1, T) cosine at lag l - L (positive: the sound is late), and
    ``correlation`` the same with the constant offset at its middle; ``lag_weights`` (B, 2L+1) distribution
    of that offset; ``lag`` (B,) its mean in frames; ``mask`` (B, T) frames where both streams are real.
    """

    audio: Tensor
    visual: Tensor
    matched: Tensor
    band: Tensor
    correlation: Tensor
    lag_weights: Tensor
    lag: Tensor
    mask: Tensor


class CrossModalAlignment(nn.Module):
    """Embed both streams in one space, find the constant lag, attend locally around it.

    The band correlation is the evidence: its mean over time says which constant offset a recorder left,
    which is absorbed by a soft shift; what then still disagrees from one moment to the next is a change of
    lag.

    Parameters
    ----------
    audio_channels, visual_channels : int
        Leading channels of the two embeddings that are compared.
    channels : int
        Size S of the common space.
    max_lag : int [frames]
        Largest lag to either side.
    reach : int [frames]
        The local attention reads this many frames to each side.
    """

    def __init__(
        self,
        *,
        audio_channels: int,
        visual_channels: int,
        channels: int = 64,
        max_lag: int = 15,
        reach: int = 3,
    ) -> None:
        super().__init__()
        self.audio_channels, self.visual_channels = audio_channels, visual_channels
        self.channels, self.max_lag, self.reach = channels, max_lag, reach
        self.embed_audio = nn.Sequential(
            nn.Conv1d(audio_channels, channels, 5, padding=2), nn.GELU(), nn.Conv1d(channels, channels, 1)
        )
        self.embed_visual = nn.Sequential(
            nn.Conv1d(visual_channels, channels, 5, padding=2), nn.GELU(), nn.Conv1d(channels, channels, 1)
        )
        self.sharpness = nn.Parameter(torch.tensor(3.0))  # log of the inverse temperature over lags
        self.local_sharpness = nn.Parameter(torch.tensor(2.0))
        self.local_bias = nn.Parameter(torch.zeros(2 * reach + 1))

    def forward(self, audio: Tensor, audio_mask: Tensor, visual: Tensor, visual_mask: Tensor) -> Aligned:
        """Compare (B, C_a, T) with (B, C_v, T); masks are (B, T)."""
        a, v = self.embed(audio, audio_mask, visual, visual_mask)
        # The op divides by the number of channels; unit vectors need the plain sum to make a cosine.
        correlation = band_correlation(a, v, self.max_lag) * self.channels  # (B, 2L+1, T)
        lag_weights = self._lag_weights(correlation, audio_mask, visual_mask)
        lags = torch.arange(-self.max_lag, self.max_lag + 1, device=a.device, dtype=a.dtype)
        shifted = self._shift(a, lag_weights)
        return Aligned(
            audio=a,
            visual=v,
            matched=self._attend(shifted, v),
            band=correlation,
            correlation=self._recentre(correlation, lag_weights),
            lag_weights=lag_weights,
            lag=lag_weights @ lags,
            mask=audio_mask & visual_mask,
        )

    def embed(
        self, audio: Tensor, audio_mask: Tensor, visual: Tensor, visual_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Bring (B, C_a, T) and (B, C_v, T) into the common space: unit vectors (B, S, T), zero if masked."""
        exact = self.sharpness.dtype  # what is compared is not rounded, in mixed precision either
        a = functional.normalize(self.embed_audio(audio[:, : self.audio_channels]).to(exact), dim=1)
        v = functional.normalize(self.embed_visual(visual[:, : self.visual_channels]).to(exact), dim=1)
        return masked(a, audio_mask), masked(v, visual_mask)

    def _lag_weights(self, correlation: Tensor, audio_mask: Tensor, visual_mask: Tensor) -> Tensor:
        real = audio_mask.to(correlation.dtype)[:, None]
        overlap = band_correlation(real, visual_mask.to(correlation.dtype)[:, None], self.max_lag)
        mean = correlation.sum(2) / overlap.sum(2).clamp_min(1.0)  # (B, 2L+1)
        return torch.softmax(mean * self.sharpness.exp(), dim=1)

    def _shift(self, audio: Tensor, lag_weights: Tensor) -> Tensor:
        windows = functional.pad(audio, (self.max_lag, self.max_lag)).unfold(2, audio.shape[2], 1)
        return torch.einsum("bclt,bl->bct", windows, lag_weights)  # (B, S, T): audio at t + lag

    def _recentre(self, correlation: Tensor, lag_weights: Tensor) -> Tensor:
        padded = functional.pad(correlation, (0, 0, self.max_lag, self.max_lag))
        windows = padded.unfold(1, correlation.shape[1], 1)  # (B, 2L+1, T, 2L+1): lag l + m
        return torch.einsum("bmtl,bm->blt", windows, lag_weights)

    def _attend(self, audio: Tensor, visual: Tensor) -> Tensor:
        n_frames = audio.shape[2]
        near = functional.pad(audio, (self.reach, self.reach)).unfold(2, n_frames, 1)  # (B, S, 2R+1, T)
        agreement = torch.einsum("bskt,bst->bkt", near, visual) * self.local_sharpness.exp()
        weights = torch.softmax(agreement + self.local_bias[None, :, None], dim=1)
        return torch.einsum("bskt,bkt->bst", near, weights)
