"""Whisper's encoder on the grid of 25 Hz, for recordings of any length."""

from fractions import Fraction

import torch
from torch import Tensor, nn

from avloc.models.encoders.two_stem import PIECE_FRAMES, PIECE_HOP, join_pieces, states_at_25_hz
from avloc.models.encoders.whisper import WhisperEncoder


class WhisperPieces(nn.Module):
    """The last that a ``WhisperEncoder`` gives, over pieces of 6.4 s that overlap, averaged to 25 Hz.

    Parameters
    ----------
    recogniser : WhisperEncoder
        Reads 80 mel bands.

    Attributes
    ----------
    inputs : tuple of str
        ``("whisper_mel",)``: (B, P, 80, 640), as of ``TwoStemEncoder``.
    """

    inputs = ("whisper_mel",)
    frame_rate = Fraction(25)

    def __init__(self, recogniser: WhisperEncoder) -> None:
        super().__init__()
        self.recogniser = recogniser
        self.out_channels = self.sync_channels = recogniser.width

    def forward(self, inputs: tuple[Tensor, ...], mask: Tensor) -> tuple[Tensor, Tensor]:
        """Give the embedding (B, C, T) and its mask (B, T); T = 160 + 120 (P - 1)."""
        (pieces,) = inputs
        real = None if bool(mask.all()) else mask.unfold(1, PIECE_FRAMES, PIECE_HOP).flatten(0, 1)
        states = states_at_25_hz(self.recogniser, pieces.flatten(0, 1), real)[-1]
        joined = join_pieces(states.unflatten(0, pieces.shape[:2]), mask.shape[1])  # (B, T, C)
        return torch.where(mask[:, :, None], joined, 0.0).transpose(1, 2), mask
