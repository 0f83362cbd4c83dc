"""Log spectra of full bandwidth at 25 Hz: a stem of the default audio encoder, and an encoder by itself."""

from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional

from avloc.models.temporal import ConvBlock, masked
from avloc.registry import ENCODERS

SPECTRA = {"log_mel": (80, 2), "log_spectrum": (256, 4)}  # bands, and the step of the first convolution


def check_spectrum(spectrum: str) -> None:
    """Raise ValueError for a spectrum that is not in ``SPECTRA``."""
    if spectrum not in SPECTRA:
        raise ValueError(f"spectrum must be one of {', '.join(SPECTRA)}, got {spectrum!r}")


class LogSpectraStem(nn.Module):
    """Convolutions over frequency and time from 100 Hz log spectra to 25 Hz features.

    Parameters
    ----------
    channels : int
        Output channels.
    spectrum : str
        Of ``SPECTRA``: what it reads.
    widths : tuple of int
        Channels of the three two-dimensional convolutions.
    n_blocks : int
        Convolution blocks at 25 Hz.
    """

    def __init__(
        self,
        *,
        channels: int,
        spectrum: str,
        widths: tuple[int, int, int] = (32, 48, 64),
        n_blocks: int = 2,
    ) -> None:
        super().__init__()
        n_bands, band_step = SPECTRA[spectrum]
        first, second, third = widths
        self.convs = nn.ModuleList(
            (
                nn.Conv2d(2, first, (2 * band_step + 1, 3), stride=(band_step, 1), padding=(band_step, 1)),
                nn.Conv2d(first, second, (3, 4), stride=(2, 2), padding=(1, 1)),
                nn.Conv2d(second, third, (3, 4), stride=(2, 2), padding=(1, 1)),
            )
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        for conv in self.convs:
            n_bands = -(-n_bands // conv.stride[0])
        self.project = nn.Conv1d(third * n_bands, channels, 1)
        self.blocks = nn.ModuleList(ConvBlock(channels, kernel=7) for _ in range(n_blocks))

    def forward(self, spectra: Tensor, mask: Tensor) -> Tensor:
        """Turn (B, 2, M, 4T) log spectra and band mask into (B, C, T)."""
        # Channels last halves the time on a CPU, without gradients; with them it is no faster.
        x = spectra if self.training else spectra.contiguous(memory_format=torch.channels_last)
        whole = bool(mask.all())
        for conv, norm in zip(self.convs, self.norms, strict=True):
            if not whole:
                real = torch.repeat_interleave(mask, x.shape[3] // mask.shape[1], dim=1)
                x = x * real[:, None, None].to(x.dtype)
            x = functional.gelu(norm(conv(x))) if self.training else _fused(x, conv, norm)
        x = masked(self.project(x.flatten(1, 2)), mask)
        for block in self.blocks:
            x = block(x, mask)
        return x


def _fused(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """``gelu(norm(conv(x)))`` in evaluation mode, in one pass and a half instead of three.

    These are the largest tensors of the network, and memory is what bounds it on a CPU.
    """
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    weight = conv.weight * scale[:, None, None, None]
    bias = (conv.bias - norm.running_mean) * scale + norm.bias
    x = functional.conv2d(x, weight, bias, conv.stride, conv.padding)
    # In the order in which the values lie in memory, or torch takes its slow path.
    return torch.ops.aten.gelu_(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@ENCODERS.register_module()
class SpectralEncoder(nn.Module):
    """Log spectra alone: what a recogniser hears is missing, and so is what it costs.

    Parameters
    ----------
    channels : int
        Channels of the embedding; all of them are compared with a picture, if there is one.
    spectrum : str
        ``"log_mel"`` or ``"log_spectrum"``.
    widths : tuple of int
        Channels of the three two-dimensional convolutions.
    n_blocks : int
        Convolution blocks at 25 Hz.

    Attributes
    ----------
    inputs : tuple of str
        ``(spectrum,)``: (B, 2, M, 4T), M 80 mel bands or 256 linear ones.

    Raises
    ------
    ValueError
        If the spectrum is unknown.
    """

    inputs: tuple[str, ...] = ("log_mel",)
    frame_rate = Fraction(25)

    def __init__(
        self,
        *,
        channels: int = 128,
        spectrum: str = "log_mel",
        widths: tuple[int, int, int] = (32, 48, 64),
        n_blocks: int = 2,
    ) -> None:
        check_spectrum(spectrum)
        super().__init__()
        self.inputs = (spectrum,)
        self.out_channels = self.sync_channels = channels
        self.spectral = LogSpectraStem(
            channels=channels, spectrum=spectrum, widths=tuple(widths), n_blocks=n_blocks
        )

    def forward(self, inputs: tuple[Tensor], mask: Tensor) -> tuple[Tensor, Tensor]:
        """Give the embedding (B, C, T) of a window and its mask (B, T)."""
        return self.spectral(inputs[0], mask), mask
