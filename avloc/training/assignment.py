"""References to targets: which point predicts which segment, and what every frame is."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BOUNDARY_FRAMES = 2  # the boundary zone reaches this far to each side of an edge
CENTRE_RADIUS = 1.5  # strides around the centre of a segment in which points are positive


@dataclass(frozen=True, slots=True)
class PointTargets:
    """Targets of one level: ``positive`` (B, T), ``distances`` (B, 2, T) frames, ``modality`` (B, 2, T)."""

    positive: Tensor
    distances: Tensor
    modality: Tensor


def level_range(level: int, n_levels: int) -> tuple[float, float]:
    """Bound the longer distance to an end, in frames, that a level predicts; neighbours overlap.

    Examples
    --------
    >>> level_range(0, 6), level_range(1, 6), level_range(5, 6)
    ((0.0, 6.0), (3.0, 12.0), (48.0, inf))
    """
    low = 0.0 if level == 0 else 1.5 * 2**level
    return low, float("inf") if level == n_levels - 1 else 6.0 * 2**level


def assign_points(
    segments: Tensor, modality: Tensor, valid: Tensor, *, level: int, n_levels: int, n_points: int
) -> PointTargets:
    """Give each point of a level the shortest segment that it lies in the middle of.

    Parameters
    ----------
    segments : Tensor [shape=(B, K, 2), frames]
        Start and end of the reference segments, window-relative.
    modality : Tensor [shape=(B, K, 2), bool]
        Forged in the sound, forged in the picture.
    valid : Tensor [shape=(B, K), bool]
        Rows that are segments and not padding.
    level, n_levels, n_points : int
        Level l has stride 2**l and ``n_points`` points at (i + 0.5) 2**l.
    """
    stride = float(2**level)
    point = (torch.arange(n_points, device=segments.device) + 0.5) * stride  # (T,)
    start, end = segments[..., 0:1], segments[..., 1:2]  # (B, K, 1)
    left, right = point - start, end - point  # (B, K, T)
    longest = torch.maximum(left, right)
    low, high = level_range(level, n_levels)
    centred = (point - (start + end) / 2).abs() <= CENTRE_RADIUS * stride
    fits = (left > 0) & (right > 0) & (longest > low) & (longest <= high) & centred & valid[..., None]
    length = torch.where(fits, end - start, torch.inf)
    best = length.argmin(1, keepdim=True)  # (B, 1, T); equal lengths: lower index first
    positive = fits.any(1)
    chosen = torch.stack([side.gather(1, best)[:, 0] for side in (left, right)], dim=1)
    forged = modality.to(segments.dtype).transpose(1, 2)  # (B, 2, K)
    return PointTargets(
        positive=positive,
        distances=torch.where(positive[:, None], chosen, 0.0),
        modality=forged.gather(2, best.expand(-1, 2, -1)),
    )


def assign_frames(segments: Tensor, modality: Tensor, valid: Tensor, n_frames: int) -> tuple[Tensor, Tensor]:
    """Give inside (B, 2, T) and boundary zone (B, 2, T) of each frame, rows audio and visual, as 0 or 1.

    A frame is inside when its centre is; it is in the zone when its centre lies within ``BOUNDARY_FRAMES``
    frames of an edge that is not the window's own.
    """
    centre = torch.arange(n_frames, device=segments.device) + 0.5
    start, end = segments[..., 0:1], segments[..., 1:2]
    forged = (modality & valid[..., None]).transpose(1, 2)[..., None]  # (B, 2, K, 1)
    inside = ((centre >= start) & (centre < end))[:, None] & forged
    near = ((centre - start).abs() <= BOUNDARY_FRAMES) & (start > 0)
    near = near | (((centre - end).abs() <= BOUNDARY_FRAMES) & (end < n_frames))
    return inside.any(2).float(), (near[:, None] & forged).any(2).float()


def collate_segments(
    rows: Sequence[Sequence[tuple[float, float, bool, bool]]],
) -> tuple[Tensor, Tensor, Tensor]:
    """Pad rows of (start, end, audio, visual) in frames to (B, K, 2) segments, modality and (B, K) valid."""
    most = max(1, max((len(row) for row in rows), default=1))
    segments = torch.zeros(len(rows), most, 2)
    modality = torch.zeros(len(rows), most, 2, dtype=torch.bool)
    valid = torch.zeros(len(rows), most, dtype=torch.bool)
    for index, row in enumerate(rows):
        for k, (start, end, audio, visual) in enumerate(row):
            segments[index, k] = torch.tensor((start, end))
            modality[index, k] = torch.tensor((audio, visual))
            valid[index, k] = True
    return segments, modality, valid
