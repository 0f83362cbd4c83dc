"""What every frame should predict for DiMoDif and AuViRe, as their public code assigns it."""

from collections.abc import Sequence

import torch
from torch import Tensor

RATE_HZ = 25


def assign_published(
    segments_s: Sequence[Sequence[float]], n_frames: int, *, refuses_late: bool = False
) -> Tensor:
    """Give the targets of one sequence of frames.

    A segment runs from frame ``int(25 start)`` to frame ``int(25 end)``, the last one **included**. A later
    segment takes the frames of an earlier one.

    Parameters
    ----------
    segments_s : sequence of (start, end) [s]
        In the order of the annotation.
    n_frames : int
        Length of the window.
    refuses_late : bool
        Raise where a segment reaches beyond the window. The public code so loses the whole recording, in
        training and in test; without it the part inside the window counts.

    Returns
    -------
    Tensor [shape=(n_frames, 3), float32]
        1 inside a segment, else 0; frames to its first and to its last frame.

    Raises
    ------
    ValueError
        With ``refuses_late``, for such a segment. One that ends with the window, at 24.0 s of 600 frames,
        already is one.

    Examples
    --------
    >>> assign_published([(0.04, 0.12)], 5)[:, 0].tolist(), assign_published([(0.04, 0.12)], 5)[1].tolist()
    ([0.0, 1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 2.0])
    """
    targets = torch.zeros(n_frames, 3)
    for start_s, end_s in segments_s:
        first, last = int(start_s * RATE_HZ), int(end_s * RATE_HZ)
        if refuses_late and last >= n_frames:
            raise ValueError(f"segment {[start_s, end_s]} reaches frame {last} of a window of {n_frames}")
        frame = torch.arange(first, max(first, min(last, n_frames - 1) + 1))
        targets[frame, 0] = 1.0
        targets[frame, 1] = (frame - first).float()
        targets[frame, 2] = (last - frame).float()
    return targets


def assign_tiles(
    visual_s: Sequence[Sequence[float]],
    audio_s: Sequence[Sequence[float]],
    n_frames: int,
    *,
    refuses_late: bool = False,
) -> Tensor:
    """Give DiMoDif's targets (2 n_frames, 3): the picture's frames before the sound's."""
    tiles = [assign_published(rows, n_frames, refuses_late=refuses_late) for rows in (visual_s, audio_s)]
    return torch.cat(tiles)
