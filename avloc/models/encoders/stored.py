"""StoredFeatures: the place of an encoder in a network that learns from embeddings which were made before."""

from fractions import Fraction

from torch import Tensor, nn

from avloc.models.temporal import masked
from avloc.registry import ENCODERS


@ENCODERS.register_module()
class StoredFeatures(nn.Module):
    """Give embeddings on as they are.

    Where recordings are localized, the encoder that made the embeddings takes this place (``with_encoders``).

    Parameters
    ----------
    out_channels : int
        Channels of the embeddings.
    sync_channels : int, optional [1 <= sync_channels <= out_channels]
        Leading channels that are compared with the other stream; None: all.

    Raises
    ------
    ValueError
        If fewer than one or more than all channels are to be compared.
    """

    inputs: tuple[str, ...] = ()  # nothing that is made of sound or picture
    frame_rate = Fraction(25)

    def __init__(self, *, out_channels: int, sync_channels: int | None = None) -> None:
        sync_channels = out_channels if sync_channels is None else sync_channels
        if not 1 <= sync_channels <= out_channels:
            raise ValueError(f"sync_channels must be 1 to {out_channels}, got {sync_channels}")
        super().__init__()
        self.out_channels, self.sync_channels = out_channels, sync_channels

    def forward(self, inputs: tuple[Tensor, ...], mask: Tensor) -> tuple[Tensor, Tensor]:
        """Give the embedding (B, C, T), the only input, zero where ``mask`` (B, T) is False, and the mask."""
        return masked(inputs[0], mask), mask
