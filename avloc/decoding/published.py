"""From the outputs of DiMoDif and AuViRe to scored segments, exactly as their public code does it.

Rows are [score, start, end], times in frames of 25 Hz. What is odd in the public code is a named argument
whose default is the public behaviour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from avloc import ops
from avloc.errors import ConfigError

RATE_HZ = 25.0
SIGMA = 0.7234
THRESHOLDS = (0.1968, 0.4123)  # of IoU, for a picked segment of 0 s and of 1 s
MOST_KEPT = 101


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedQuirks:
    """What the public code does and avloc does not, or does only for these networks.

    Parameters
    ----------
    clamps_to_window : bool
        Segments are cut at the end of the window and not at that of the recording.
    drops_last : bool
        As of ``suppress``; the published suppression has it.
    most_kept : int [>= 1]
        As of ``suppress``; the published suppression has 101.
    truncates : bool
        Only the first window of a recording (or of the part that is asked for) is analysed, as the public
        code cuts what is longer; the coverage says how much that was.

    Raises
    ------
    ValueError
        If a value is of another type or out of range.
    """

    clamps_to_window: bool = False
    drops_last: bool = True
    most_kept: int = MOST_KEPT
    truncates: bool = False

    def __post_init__(self) -> None:
        for name in ("clamps_to_window", "drops_last", "truncates"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, got {getattr(self, name)!r}")
        if isinstance(self.most_kept, bool) or not isinstance(self.most_kept, int) or self.most_kept < 1:
            raise ValueError(f"most_kept must be a whole number of at least 1, got {self.most_kept!r}")

    @classmethod
    def from_mapping(cls, values: Mapping) -> "PublishedQuirks":
        """Read the key ``published`` of ``decoding``; ConfigError for an unknown key or a wrong value."""
        known = [entry.name for entry in fields(cls)]
        if unknown := sorted(str(key) for key in values if key not in known):
            raise ConfigError(f"decoding.published: unknown keys {unknown}, allowed are {known}")
        try:
            return cls(**values)
        except ValueError as error:
            raise ConfigError(f"decoding.published: {error}") from error


def decode_tiles(logits: Tensor, offsets: Tensor, *, ends: Tensor | int) -> Tensor:
    """Decode DiMoDif's levels, each with a tile for the picture and one for the sound.

    Parameters
    ----------
    logits : Tensor [shape=(B, L, 2 T)]
        Of the points.
    offsets : Tensor [shape=(B, L, 2 T, 2), frames, >= 0]
        To the left and the right end.
    ends : Tensor [shape=(B,), frames] or int
        Where segments are cut. The public code cuts at the window's length, whatever the recording's is.

    Returns
    -------
    Tensor [shape=(B, 2 L T, 4)]
        Score, start, end, and the tile (0 picture, 1 sound), best first; equal scores: the earlier level,
        then the earlier point.
    """
    n_rows, n_levels, n_points = logits.shape
    n_frames = n_points // 2
    frame = torch.arange(n_points, device=logits.device) % n_frames
    tile = (torch.arange(n_points, device=logits.device) >= n_frames).to(logits.dtype)
    rows = _decode(logits.flatten(1), offsets.flatten(1, 2), frame.repeat(n_levels), ends)
    return _best_first(torch.cat((rows, tile.repeat(n_levels).expand(n_rows, -1)[..., None]), dim=2))


def decode_levels(
    logits: Sequence[Tensor], offsets: Sequence[Tensor], *, factors: Sequence[int], ends: Tensor | int
) -> Tensor:
    """Decode AuViRe's levels.

    Parameters
    ----------
    logits : sequence of Tensor [shape=(B, T_l)]
        Of the points of each level.
    offsets : sequence of Tensor [shape=(B, T_l, 2), frames, >= 0]
        To the left and the right end; frames of 25 Hz at every level.
    factors : sequence of int
        Point i of level l lies at frame i times ``factors[l]``.
    ends : Tensor [shape=(B,), frames] or int
        As of ``decode_tiles``.

    Returns
    -------
    Tensor [shape=(B, sum of T_l, 3)]
        Score, start, end, best first.
    """
    frames = [
        torch.arange(x.shape[1], device=x.device) * factor for x, factor in zip(logits, factors, strict=True)
    ]
    rows = _decode(torch.cat(tuple(logits), 1), torch.cat(tuple(offsets), 1), torch.cat(frames), ends)
    return _best_first(rows)


def suppress(rows: Tensor, *, drops_last: bool = True, most: int = MOST_KEPT) -> tuple[Tensor, Tensor]:
    """Suppress softly by length, as LAV-DF's code and those after it do.

    Parameters
    ----------
    rows : Tensor [shape=(N, 3 or more), frames]
        Score, start, end of one window.
    drops_last : bool
        The candidate that is left when all others were picked is not given out. So a window with one
        candidate gives nothing.
    most : int
        No more are picked.

    Returns
    -------
    indices : Tensor [shape=(n,), int64]
        Picked rows, in the order of the picks.
    kept : Tensor [shape=(n, 3)]
        Score when the row was picked, start and end in **seconds**.
    """
    n_candidates = rows.shape[0] - 1 if drops_last else rows.shape[0]
    seconds = rows[:, 1:3] / RATE_HZ  # in the precision of the rows: times of the public code are float32
    picked, scores = ops.soft_segment_nms(
        seconds.double(),
        rows[:, 0].double(),
        method="adaptive",
        sigma=SIGMA,
        adaptive_thresholds=THRESHOLDS,
        min_score=0.0,
        max_segments=max(0, min(most, n_candidates)),
    )
    return picked, torch.cat((scores.to(rows.dtype)[:, None], seconds[picked]), dim=1)


def _decode(logits: Tensor, offsets: Tensor, frame: Tensor, ends: Tensor | int) -> Tensor:
    ends = torch.as_tensor(ends, dtype=offsets.dtype, device=offsets.device).reshape(-1, 1)
    starts = torch.minimum((frame - offsets[..., 0]).clamp_min(0.0), ends)  # of a point behind the end
    stops = torch.minimum(frame + offsets[..., 1], ends)
    return torch.stack((logits.sigmoid(), starts, stops), dim=2)  # (B, N, 3)


def _best_first(rows: Tensor) -> Tensor:
    order = rows[..., 0].argsort(dim=1, descending=True, stable=True)
    return rows.gather(1, order[..., None].expand_as(rows))
