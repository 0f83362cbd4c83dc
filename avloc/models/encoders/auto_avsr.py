"""The encoders of Auto-AVSR: visual and audio speech recognition on LRS3, in its two published forms.

Ma et al., "Auto-AVSR: Audio-Visual Speech Recognition with Automatic Labels", ICASSP 2023, and the models of
"Visual Speech Recognition for Multiple Languages in the Wild", Nature Machine Intelligence 2022. The
published weights are for non-commercial use; avloc reads them from a user's disk.
``avloc.models.weights.auto_avsr`` brings both namings to the one of these modules.
"""

from fractions import Fraction

import torch
from torch import Tensor, nn

from avloc.models.encoders.conformer import ConformerEncoder
from avloc.models.encoders.resnet import (
    STEM_WIDTH,
    PictureFrontend,
    SampleFrontend,
    swish,
    zero_masked_samples,
)
from avloc.registry import ENCODERS


class _AutoAvsrEncoder(ConformerEncoder):
    """A front-end before the conformer.

    Parameters
    ----------
    stem_width : int
        Channels of the first convolution of the front-end.
    width, n_heads, n_blocks, hidden : int
        Of the conformer.
    padding_leaks : bool
        As of ``ConformerEncoder``.
    """

    frame_rate = Fraction(25)
    inputs: tuple[str, ...]

    def __init__(
        self,
        *,
        stem_width: int = STEM_WIDTH,
        width: int = 768,
        n_heads: int = 12,
        n_blocks: int = 12,
        hidden: int = 3072,
        padding_leaks: bool = False,
    ) -> None:
        frontend = self._make_frontend(stem_width)
        super().__init__(
            in_channels=frontend.out_channels,
            width=width,
            n_heads=n_heads,
            n_blocks=n_blocks,
            hidden=hidden,
            padding_leaks=padding_leaks,
        )
        self.frontend = frontend
        self.out_channels = self.sync_channels = width

    def forward(self, inputs: tuple[Tensor, ...], mask: Tensor) -> tuple[Tensor, Tensor]:
        """Give the embedding (B, C, T) behind the closing norm, and its mask (B, T)."""
        (x,) = inputs
        n_frames = mask.shape[1]
        partly = not bool(mask.all())
        if partly and not self.padding_leaks:
            x = self._zero_masked(x, mask)
        x = super().forward(self.frontend(x)[:, :n_frames], mask if partly else None)
        if partly and not self.padding_leaks:
            x = x.masked_fill(~mask[:, :, None], 0.0)
        return x.transpose(1, 2), mask

    @staticmethod
    def _make_frontend(stem_width: int) -> nn.Module:
        raise NotImplementedError

    @staticmethod
    def _zero_masked(x: Tensor, mask: Tensor) -> Tensor:
        raise NotImplementedError


@ENCODERS.register_module()
class AutoAvsrVisualEncoder(_AutoAvsrEncoder):
    """Lips to visual speech, 182,028,224 parameters in the published size.

    Parameters are ``stem_width``, ``width``, ``n_heads``, ``n_blocks``, ``hidden`` and ``padding_leaks``, the
    same as of the encoder of sound: channels of the front-end's first convolution, the conformer's sizes, and
    whether masked frames reach real ones (``ConformerEncoder``).

    Attributes
    ----------
    inputs : tuple of str
        ``("mouth88_landmarks",)``: gray crops (B, T, 88, 88) of a face that was warped to the mean face.
    """

    inputs = ("mouth88_landmarks",)

    @staticmethod
    def _make_frontend(stem_width: int) -> nn.Module:
        return PictureFrontend(activation=swish, stem_width=stem_width)

    @staticmethod
    def _zero_masked(x: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask[:, :, None, None], x, 0.0)


@ENCODERS.register_module()
class AutoAvsrAudioEncoder(_AutoAvsrEncoder):
    """Sound to speech, 174,694,016 parameters in the published size; parameters as of the encoder of lips.

    Attributes
    ----------
    inputs : tuple of str
        ``("waveform",)``: samples (B, 640 T) at 16 kHz, each row of zero mean and unit variance.
    """

    inputs = ("waveform",)

    @staticmethod
    def _make_frontend(stem_width: int) -> nn.Module:
        return SampleFrontend(stem_width=stem_width)

    @staticmethod
    def _zero_masked(x: Tensor, mask: Tensor) -> Tensor:
        return zero_masked_samples(x, mask)
