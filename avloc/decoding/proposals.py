"""Points of all pyramid levels to proposals: window-relative seconds, scores and modality probabilities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from avloc.structures import Modality

BOTH = 0.5  # a proposal names both modalities where each of the two probabilities exceeds this


@dataclass(frozen=True, slots=True)
class Proposals:
    """What one window proposes, before suppression; no row has zero length.

    Parameters
    ----------
    segments : float32 (N, 2) [s]
        Start and end since the start of the window.
    scores : float32 (N,) [0, 1]
        Larger means more likely forged.
    modality : float32 (N, 2) [0, 1]
        Probability that the sound and that the picture was forged; NaN of a network that does not tell.
    """

    segments: Tensor
    scores: Tensor
    modality: Tensor

    def __post_init__(self) -> None:
        n = self.scores.shape[0]
        if self.segments.shape != (n, 2) or self.modality.shape != (n, 2) or self.scores.ndim != 1:
            raise ValueError(
                f"expected segments (N, 2), scores (N,) and modality (N, 2), got "
                f"{tuple(self.segments.shape)}, {tuple(self.scores.shape)} and {tuple(self.modality.shape)}"
            )

    def __len__(self) -> int:
        return self.scores.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> "Proposals":
        """Rows by index, mask or slice."""
        return Proposals(self.segments[rows], self.scores[rows], self.modality[rows])


def decode_points(
    *,
    score_logits: Sequence[Tensor],
    distances: Sequence[Tensor],
    modality_logits: Sequence[Tensor],
    point_masks: Sequence[Tensor],
    frame_rate: Fraction = Fraction(25),
) -> list[Proposals]:
    """Turn the points of all levels into proposals, one ``Proposals`` for each row of the batch.

    Point ``i`` of level ``l`` lies at frame ``c = i * 2**l + 2**l / 2`` and proposes
    ``[c - left, c + right)``, cut to the span from the first to the last real frame of the row
    (``point_masks[0]``, stride 1).

    Parameters
    ----------
    score_logits : sequence of float (B, T_l)
        Level ``l`` has stride ``2**l`` and ``T_l = ceil(T / 2**l)`` points.
    distances : sequence of float (B, 2, T_l) [frames, >= 0]
        Left and right.
    modality_logits : sequence of float (B, 2, T_l)
        Sound and picture.
    point_masks : sequence of bool (B, T_l)
        True where the point may vote.
    frame_rate : Fraction [Hz]
        Rate of the finest level.

    Returns
    -------
    list of Proposals, length B
        Level by level, points in order; masked points, spans without length and values that are not finite
        are left out.

    Raises
    ------
    ValueError
        If the levels do not fit each other.
    """
    _check_levels(score_logits, distances, modality_logits, point_masks)
    centres = torch.cat([_centres(s.shape[1], level, s.device) for level, s in enumerate(score_logits)])
    reach = torch.cat([d.float() for d in distances], dim=2)  # (B, 2, N)
    limits = _real_range(point_masks[0])[:, :, None]  # (B, 2, 1) frames
    starts = torch.maximum(centres - reach[:, 0], limits[:, 0])
    ends = torch.minimum(centres + reach[:, 1], limits[:, 1])
    segments = torch.stack((starts, ends), dim=2) / float(frame_rate)  # (B, N, 2) seconds
    scores = torch.cat([s.float() for s in score_logits], dim=1).sigmoid()
    modality = torch.cat([m.float() for m in modality_logits], dim=2).sigmoid().transpose(1, 2)  # (B, N, 2)
    kept = torch.cat(tuple(point_masks), dim=1) & (segments[..., 1] > segments[..., 0])
    kept &= segments.isfinite().all(dim=2) & scores.isfinite() & modality.isfinite().all(dim=2)
    return [
        Proposals(segments[row, kept[row]], scores[row, kept[row]], modality[row, kept[row]])
        for row in range(scores.shape[0])
    ]


def modality_of(audio: float, visual: float) -> Modality:
    """Name what two probabilities say: both where each exceeds 0.5, else the larger (equal: the sound).

    Two that are not numbers are those of a network that does not tell.

    Examples
    --------
    >>> modality_of(0.9, 0.7).value, modality_of(0.2, 0.4).value
    ('both', 'visual')
    """
    if math.isnan(audio) and math.isnan(visual):
        return Modality.UNKNOWN
    if audio > BOTH and visual > BOTH:
        return Modality.BOTH
    return Modality.AUDIO if audio >= visual else Modality.VISUAL


def _centres(n_points: int, level: int, device: torch.device) -> Tensor:
    stride = 2**level
    return torch.arange(n_points, dtype=torch.float32, device=device) * stride + stride / 2


def _real_range(frame_mask: Tensor) -> Tensor:
    """First real frame and one past the last of each row, (B, T) to (B, 2); (0, 0) for a row without any."""
    n_frames = frame_mask.shape[1]
    if n_frames == 0:
        return torch.zeros(frame_mask.shape[0], 2, device=frame_mask.device)
    position = torch.arange(1, n_frames + 1, device=frame_mask.device)
    last = (position * frame_mask).amax(dim=1)
    first = n_frames - (position.flip(0) * frame_mask).amax(dim=1)
    return torch.stack((torch.minimum(first, last), last), dim=1).float()


def _check_levels(
    score_logits: Sequence[Tensor],
    distances: Sequence[Tensor],
    modality_logits: Sequence[Tensor],
    point_masks: Sequence[Tensor],
) -> None:
    lengths = {len(score_logits), len(distances), len(modality_logits), len(point_masks)}
    if len(lengths) != 1 or not score_logits:
        raise ValueError(f"expected the same number of levels, at least one, got {sorted(lengths)}")
    for level, scores in enumerate(score_logits):
        batch, n_points = scores.shape
        found = (distances[level].shape, modality_logits[level].shape, point_masks[level].shape)
        if found != ((batch, 2, n_points), (batch, 2, n_points), (batch, n_points)):
            raise ValueError(
                f"level {level} has scores {(batch, n_points)}, but distances, modality and mask are "
                f"{[tuple(shape) for shape in found]}"
            )
