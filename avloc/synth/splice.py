"""Joining material into a host with cross-fades: the only place where an edit becomes samples and truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MARGIN = 160  # samples that a piece has beyond each of its ends: half of the longest fade, 20 ms at 16 kHz


@dataclass(frozen=True, slots=True)
class Edit:
    """Put ``material`` in place of host samples ``[start, end)``.

    ``material`` (n + 2 * margin,) has ``margin`` samples more than it puts in at each end, for the
    cross-fades of ``fades`` samples (left, right; at most 2 * margin). ``equal_power`` keeps the level of
    unlike sounds in a fade.
    """

    start: int
    end: int
    material: np.ndarray
    fades: tuple[int, int]
    equal_power: bool = False
    margin: int = MARGIN

    @property
    def gained(self) -> int:
        """Samples by which the recording grows; negative where it shrinks."""
        return len(self.material) - 2 * self.margin - (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples ``[first, last)`` of ``source``; what lies around them goes into fades."""

    source: np.ndarray
    first: int
    last: int


def assemble(
    host: np.ndarray, edits: Sequence[Edit], n_samples: int
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Apply all edits at once and cut the result to ``n_samples``.

    Parameters
    ----------
    host : np.ndarray [shape=(n,), float32]
        The recording.
    edits : sequence of Edit
        In order of time, not overlapping, their margin away from the ends of the host.
    n_samples : int
        Length of the result; edits must not make it shorter.

    Returns
    -------
    np.ndarray [shape=(n_samples,), float32]
        The edited recording.
    list of (int, int) [samples]
        Where the material lies in it: an edge is the middle of its fade.

    Raises
    ------
    ValueError
        If the edits overlap, touch the ends, or the result would be too short.
    """
    pieces, fades, spans, position, gained = [], [], [], 0, 0
    for edit in edits:
        if edit.start - position < edit.margin or edit.end < edit.start or edit.end + edit.margin > len(host):
            raise ValueError(
                f"edit [{edit.start}, {edit.end}) overlaps another or an end of {len(host)} samples"
            )
        n_inside = len(edit.material) - 2 * edit.margin
        pieces += [
            Piece(host, position, edit.start),
            Piece(edit.material, edit.margin, edit.margin + n_inside),
        ]
        fades += [(length, edit.equal_power) for length in edit.fades]
        spans.append((edit.start + gained, edit.start + gained + n_inside))
        gained += edit.gained
        position = edit.end
    out = join([*pieces, Piece(host, position, len(host))], fades)
    if len(out) < n_samples:
        raise ValueError(f"the edits shorten the recording to {len(out)} samples, {n_samples} are wanted")
    return out[:n_samples], [(s, min(e, n_samples)) for s, e in spans if s < n_samples]


def join(pieces: Sequence[Piece], fades: Sequence[tuple[int, bool]]) -> np.ndarray:
    """Put pieces one after the other with a cross-fade around each joint.

    Parameters
    ----------
    pieces : sequence of Piece
        In order of time.
    fades : sequence of (int, bool) [length len(pieces) - 1]
        Length in samples and whether power is kept, of each fade. A fade is shorter where a source ends.

    Returns
    -------
    np.ndarray [shape=(sum of lengths,), float32]
        A joint is the middle of its fade.
    """
    out = np.concatenate([p.source[p.first : p.last] for p in pieces]).astype(np.float32)
    joint = 0
    for left, right, (length, equal_power) in zip(pieces[:-1], pieces[1:], fades, strict=True):
        joint += left.last - left.first
        half = min(length // 2, len(left.source) - left.last, right.first, joint, len(out) - joint)
        if half <= 0:
            continue
        rising = (np.arange(2 * half, dtype=np.float32) + 0.5) / (2 * half)
        falling = 1 - rising
        if equal_power:
            rising, falling = np.sqrt(rising), np.sqrt(falling)
        leaving = left.source[left.last - half : left.last + half]
        coming = right.source[right.first - half : right.first + half]
        out[joint - half : joint + half] = leaving * falling + coming * rising
    return out
