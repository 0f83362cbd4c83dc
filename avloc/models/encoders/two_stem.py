"""The default audio encoder: a recogniser's middle layers and log spectra of full bandwidth at 25 Hz.

The recogniser hears what is said and by whom; the log spectra show how it was recorded and coded. Either
alone finds less than both.
"""

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

from avloc.models.encoders.spectral import LogSpectraStem, check_spectrum
from avloc.models.encoders.whisper import WhisperEncoder
from avloc.models.temporal import ConvBlock, masked
from avloc.registry import ENCODERS

PIECES = "whisper_mel"  # the input that is cut into pieces: shorter windows are filled up to whole ones
PIECE_FRAMES = 160  # 6.4 s: the recogniser reads pieces of this length
PIECE_HOP = 120  # 4.8 s
OVERLAP = PIECE_FRAMES - PIECE_HOP


@dataclass(frozen=True, slots=True)
class EncodedPieces:
    """What the recogniser made of a window's pieces, (B, P, 160, C); neighbouring windows share pieces."""

    states: Tensor


@ENCODERS.register_module()
class TwoStemEncoder(nn.Module):
    """Whisper's encoder cut after a middle block, beside log spectra.

    Parameters
    ----------
    width, n_layers, n_heads : int
        Size of the recogniser's part: tiny is 384 and 6 heads; blocks kept.
    recogniser_channels : int
        Channels of the recogniser's share of the embedding: the first ones, the only ones that are compared
        with the picture.
    spectral_channels : int
        Channels of the log spectra's share; 0: the recogniser alone.
    spectrum : str
        What the log spectra are: ``"log_mel"`` or ``"log_spectrum"``.
    spectral_widths : tuple of int
        Channels of the three two-dimensional convolutions of the log spectra.
    pooling : int [1 or 2]
        Frames of 50 Hz to one of the recogniser's blocks, see ``WhisperEncoder``.
    hidden : int or None
        Neurons of a block's feed-forward pair, see ``WhisperEncoder``.

    Attributes
    ----------
    inputs : tuple of str
        ``("whisper_mel", spectrum)``: (B, P, 80, 640) and (B, 2, M, 4T), M 80 mel bands or 256 linear ones;
        without log spectra the first alone.

    Raises
    ------
    ValueError
        If the spectrum is unknown.
    """

    inputs: tuple[str, ...] = ("whisper_mel", "log_mel")
    frame_rate = Fraction(25)

    def __init__(
        self,
        *,
        width: int = 384,
        n_layers: int = 3,
        n_heads: int = 6,
        recogniser_channels: int = 128,
        spectral_channels: int = 128,
        spectrum: str = "log_mel",
        spectral_widths: tuple[int, int, int] = (32, 48, 64),
        pooling: int = 1,
        hidden: int | None = None,
    ) -> None:
        check_spectrum(spectrum)
        super().__init__()
        self.inputs = ("whisper_mel", spectrum) if spectral_channels else ("whisper_mel",)
        self.out_channels = recogniser_channels + spectral_channels
        self.sync_channels = recogniser_channels
        self.recogniser = WhisperEncoder(
            width=width, n_layers=n_layers, n_heads=n_heads, pooling=pooling, hidden=hidden
        )
        # Some dimensions of the residual stream are hundreds of times larger than others: each is
        # standardised with constants of the training data.
        self.register_buffer("state_mean", torch.zeros(n_layers, width))
        self.register_buffer("state_scale", torch.ones(n_layers, width))
        self.layer_mix = nn.Parameter(torch.zeros(n_layers))
        self.project = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, recogniser_channels), nn.GELU(), nn.Dropout(0.1)
        )
        self.recogniser_block = ConvBlock(recogniser_channels, kernel=5)
        self.spectral = (
            LogSpectraStem(channels=spectral_channels, spectrum=spectrum, widths=tuple(spectral_widths))
            if spectral_channels
            else None
        )

    def hidden_states(self, pieces: Tensor, mask: Tensor | None = None) -> Tensor:
        """Give all kept layers of (N, 80, 640) pieces, averaged to 25 Hz: (layers, N, 160, width).

        ``mask`` (N, 160) names the real frames; None: all.
        """
        return torch.stack(states_at_25_hz(self.recogniser, pieces, mask))

    def encode_pieces(self, pieces: Tensor, mask: Tensor) -> Tensor:
        """Mix the standardised layers of (N, 80, 640) pieces with real frames (N, 160) to (N, 160, width)."""
        hidden = self.hidden_states(pieces, None if bool(mask.all()) else mask)
        standard = (hidden - self.state_mean[:, None, None]) * self.state_scale[:, None, None]
        return torch.einsum("lntc,l->ntc", standard, self.layer_mix.softmax(0))

    def forward(self, inputs: tuple[Tensor | EncodedPieces, ...], mask: Tensor) -> tuple[Tensor, Tensor]:
        """Give the embedding (B, C, T) of a window and its mask (B, T); T = 160 + 120 (P - 1)."""
        _, heard = self.listen(inputs[0], mask)
        if self.spectral is None:
            return heard, mask
        return torch.cat((heard, self.spectral(inputs[1], mask)), dim=1), mask

    def listen(self, pieces: Tensor | EncodedPieces, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Give the recogniser's mixed layers (B, T, width) and its share of the embedding (B, C, T)."""
        if not isinstance(pieces, EncodedPieces):
            n_rows, n_pieces = pieces.shape[:2]
            piece_mask = mask.unfold(1, PIECE_FRAMES, PIECE_HOP)  # (B, P, 160)
            encoded = self.encode_pieces(pieces.flatten(0, 1), piece_mask.flatten(0, 1))
            pieces = EncodedPieces(encoded.unflatten(0, (n_rows, n_pieces)))
        states = join_pieces(pieces.states, mask.shape[1])
        heard = self.project(states).transpose(1, 2)  # (B, C, T)
        return states, self.recogniser_block(masked(heard, mask), mask)


def states_at_25_hz(recogniser: WhisperEncoder, pieces: Tensor, mask: Tensor | None) -> list[Tensor]:
    """Give what ``recogniser`` makes of pieces (N, 80, 640), (N, 160, C) each; ``mask`` (N, 160) or None."""
    real = None if mask is None else torch.repeat_interleave(mask, 2, dim=1)
    hidden = recogniser(pieces, mask=real)  # (N, 320 or 160, C) each
    return hidden if recogniser.pooling == 2 else [(x[:, 0::2] + x[:, 1::2]) / 2 for x in hidden]


def join_pieces(states: Tensor, n_frames: int) -> Tensor:
    r"""Cross-fade overlapping pieces (B, P, 160, C) on the 25 Hz grid: (B, T, C).

    ::

        piece 0  ##########\\
        piece 1           \\############/      40 frames of overlap; a piece is least sure at its edges
    """
    n_pieces = states.shape[1]
    if n_frames != PIECE_FRAMES + PIECE_HOP * (n_pieces - 1):
        raise ValueError(
            f"{n_pieces} pieces make {PIECE_FRAMES + PIECE_HOP * (n_pieces - 1)} frames, not {n_frames}"
        )
    ramp = (torch.arange(OVERLAP, device=states.device, dtype=states.dtype) + 0.5) / OVERLAP
    joined = states.new_zeros(states.shape[0], n_frames, states.shape[3])
    for piece in range(n_pieces):
        weight = states.new_ones(PIECE_FRAMES)
        if piece > 0:
            weight[:OVERLAP] = ramp
        if piece < n_pieces - 1:
            weight[-OVERLAP:] = ramp.flip(0)
        start = piece * PIECE_HOP
        joined[:, start : start + PIECE_FRAMES] += states[:, piece] * weight[:, None]
    return joined
