"""A compact visual speech encoder, small enough to be trained here and to run on a CPU."""

from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional

from avloc.models.temporal import ConvBlock
from avloc.registry import ENCODERS

MOTION_GAIN = 2.0  # what moves is a fraction of what is there; brings it to about one
LEAST_SPREAD = 0.1  # of gray values, in units of the standardised crop: an even picture is not made loud
CACHED_FRAMES = 16  # of 8 to 64 about equally fast; all 640 of a window at once take four times as long


class _Separable(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inside, inside, 3, stride=2, padding=1, groups=inside, bias=False)
        self.norm = nn.BatchNorm2d(inside)
        self.pointwise = nn.Conv2d(inside, outside, 1, bias=False)
        self.out_norm = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        return functional.gelu(self.out_norm(self.pointwise(functional.gelu(self.norm(self.depthwise(x))))))


class _Trunk(nn.Module):
    """Crops, five frames at once, to a vector a frame.

    Parameters
    ----------
    width, out_channels : int
        Channels of the first convolution and of the vector.
    grid : int
        Places to a side that are left of a crop before the projection: 3 of 96 px, 4 of 112 px.
    halved : bool
        Average the crop over squares of two pixels before the first convolution, in place of the maximum
        over squares of two after it: a quarter of the time, for the same parameters.
    motion : int [frames, >= 0]
        Above 0, read what moves: the mean over as many frames to each side is taken off each pixel, and the
        rest is measured in standard deviations of the window's gray values, so that neither a face nor its
        light is there to be learnt.
    """

    reach = 2  # frames to each side that the first convolution sees

    def __init__(
        self, width: int, out_channels: int, grid: int, *, halved: bool = False, motion: int = 0
    ) -> None:
        super().__init__()
        self.halved, self.motion = halved, motion
        # Five neighbouring frames as channels are the same sum as a 3-D convolution, and several times
        # faster on a CPU.
        self.first = nn.Conv2d(2 * self.reach + 1, width, 5, stride=2, padding=2, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.deeper = nn.ModuleList(
            _Separable(inside * width, outside * width) for inside, outside in ((1, 2), (2, 4), (4, 6))
        )
        # The place inside the crop matters (lips against chin), so the grid is kept until the projection.
        self.project = nn.Linear(6 * width * grid**2, out_channels)
        self.dropout = nn.Dropout(0.2)

    @property
    def view(self) -> tuple[bool, int]:
        """How crops are read, which no shape of the parameters tells: ``halved`` and ``motion``."""
        return self.halved, self.motion

    def embed(self, crops: Tensor, mask: Tensor) -> Tensor:
        """Give (n, C) of the n real frames of crops (B, T, H, W)."""
        if self.halved:
            crops = functional.avg_pool2d(crops, 2)
        if self.motion:
            crops = _motion(crops, mask, self.motion)
        padded = functional.pad(crops, (0, 0, 0, 0, self.reach, self.reach))
        padded[:, self.reach : -self.reach] *= mask[:, :, None, None]  # in place: crops of a window are large
        neighbours = padded.unfold(1, 2 * self.reach + 1, 1)  # (B, T, H, W, 5), a view
        row, frame = mask.nonzero(as_tuple=True)  # only frames with a face are convolved
        # In use, frames do not depend on each other: a few at a time stay in the cache of a CPU.
        n_at_once = CACHED_FRAMES if crops.device.type == "cpu" and not self.training else max(1, len(row))
        parts = zip(row.split(n_at_once), frame.split(n_at_once), strict=True)
        return torch.cat([self._embed_frames(neighbours[part]) for part in parts])

    def _embed_frames(self, neighbours: Tensor) -> Tensor:
        """Give (n, C) of frames and their neighbours (n, H, W, 5)."""
        x = neighbours.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)  # a quarter faster
        x = functional.gelu(self.first_norm(self.first(x)))
        if not self.halved:
            x = functional.max_pool2d(x, 2)
        for layer in self.deeper:
            x = layer(x)
        return self.dropout(self.project(x.flatten(1)))


@ENCODERS.register_module()
class CompactVisualEncoder(_Trunk):
    """Crops to an embedding: five frames at once, separable convolutions, then time.

    The lips have channels of their own, which alone are compared with the sound. Where the face is read too,
    what both show together follows in further channels. The trunk of the mouth is the encoder's own: weights
    of an encoder without a face fit one with a face.

    Parameters
    ----------
    width : int
        Channels of the first convolution; the deeper ones have 2, 4 and 6 times as many.
    out_channels : int
        Channels of the embedding, those of the face included.
    n_blocks : int
        Convolution blocks over time.
    face_channels : int [0 <= face_channels < out_channels]
        Channels that read the whole face beside the mouth; 0: it is not read.
    halved : bool
        Read crops at half their size.
    motion : int [frames, >= 0]
        Above 0, read what moves in a crop, in place of the crop: the mean over as many frames to each side is
        taken off.

    Attributes
    ----------
    inputs : tuple of str
        ``("mouth96_box",)`` or ``("mouth96_box", "face112")``: (B, T, 96, 96) and (B, T, 112, 112),
        normalised.

    Raises
    ------
    ValueError
        If the face leaves no channel for the mouth.
    """

    inputs: tuple[str, ...] = ("mouth96_box",)
    frame_rate = Fraction(25)

    def __init__(
        self,
        *,
        width: int = 32,
        out_channels: int = 128,
        n_blocks: int = 3,
        face_channels: int = 0,
        halved: bool = False,
        motion: int = 0,
    ) -> None:
        if not 0 <= face_channels < out_channels:
            raise ValueError(f"face_channels must be 0 to {out_channels - 1}, got {face_channels}")
        super().__init__(width, out_channels - face_channels, grid=3, halved=halved, motion=motion)
        self.out_channels, self.sync_channels = out_channels, out_channels - face_channels
        self.blocks = nn.ModuleList(ConvBlock(self.sync_channels, kernel=5) for _ in range(n_blocks))
        self.face = None
        if face_channels:
            self.inputs = ("mouth96_box", "face112")
            self.face = _Trunk(width, self.sync_channels, grid=4, halved=halved, motion=motion)
            self.join = nn.Linear(2 * self.sync_channels, face_channels)
            self.joined_blocks = nn.ModuleList(ConvBlock(face_channels, kernel=5) for _ in range(n_blocks))

    def forward(self, inputs: tuple[Tensor, ...], mask: Tensor) -> tuple[Tensor, Tensor]:
        """Give the embedding (B, C, T) and its mask (B, T) of crops (B, T, H, W)."""
        mouth = self.embed(inputs[0], mask)
        embedding = _over_time(mouth, mask, self.blocks)
        if self.face is not None:
            both = self.join(torch.cat((mouth, self.face.embed(inputs[1], mask)), dim=1))
            embedding = torch.cat((embedding, _over_time(both, mask, self.joined_blocks)), dim=1)
        return embedding, mask


def _motion(crops: Tensor, mask: Tensor, reach: int) -> Tensor:
    """Take the local mean of real frames off crops (B, T, H, W), in units of their gray values' spread."""
    n_frames = crops.shape[1]
    real = mask[:, :, None, None].to(crops.dtype)
    count = real.sum(1).clamp_min(1.0)  # (B, 1, 1)
    level = (crops * real).sum(1).mean((1, 2), keepdim=True) / count
    spread = (((crops - level[:, None]) ** 2).mean((2, 3), keepdim=True) * real).sum(1) / count
    # Running sums, with a frame of nothing before the first; from level, so that they stay small.
    sums, counts = (
        functional.pad(x.cumsum(1), (0, 0, 0, 0, 1, 0)) for x in ((crops - level[:, None]) * real, real)
    )
    frame = torch.arange(n_frames, device=crops.device)
    first, last = (frame - reach).clamp_min(0), (frame + reach + 1).clamp_max(n_frames)
    mean = (sums[:, last] - sums[:, first]) / (counts[:, last] - counts[:, first]).clamp_min(1.0)
    gain = MOTION_GAIN * (spread + LEAST_SPREAD**2).rsqrt()
    return (crops - level[:, None] - mean) * gain[:, None]


def _over_time(frames: Tensor, mask: Tensor, blocks: nn.ModuleList) -> Tensor:
    """Put the real frames (n, C) in their places, (B, C, T), zero where there is no face; then the blocks."""
    x = frames.new_zeros(mask.numel(), frames.shape[1])
    x[mask.flatten()] = frames
    x = x.unflatten(0, mask.shape).transpose(1, 2)
    for block in blocks:
        x = block(x, mask)
    return x
