"""Joining material into a host with cross-fades: the only place where an edit becomes samples and truth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

MARGIN = 160  # samples that a piece has beyond each of its ends: half of the longest fade, 20 ms at 16 kHz
LINEAR, EQUAL_POWER, RAISED_COSINE = "linear", "equal_power", "raised_cosine"
LAWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    LINEAR: lambda reached: reached,
    EQUAL_POWER: np.sqrt,
    RAISED_COSINE: lambda reached: 0.5 - 0.5 * np.cos(np.pi * reached),
}
"""Weight of what comes in, at each share [0, 1] of a fade; of what leaves, at the share that is left.

Equal power keeps the level of unlike sounds, the others that of like ones.
"""


@dataclass(frozen=True, slots=True)
class Edit:
    """Put ``material`` in place of host samples ``[start, end)``.

    ``material`` (n + 2 * margin,) has ``margin`` samples more than it puts in at each end, for the
    cross-fades of ``fades`` samples (left, right; at most 2 * margin) after one of ``LAWS``.
    """

    start: int
    end: int
    material: np.ndarray
    fades: tuple[int, int]
    law: str = LINEAR
    margin: int = MARGIN

    @property
    def n_inside(self) -> int:
        """Samples that go in, without the margins."""
        return len(self.material) - 2 * self.margin

    @property
    def gained(self) -> int:
        """Samples by which the recording grows; negative where it shrinks."""
        return self.n_inside - (self.end - self.start)


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
        pieces += [
            Piece(host, position, edit.start),
            Piece(edit.material, edit.margin, edit.margin + edit.n_inside),
        ]
        fades += [(length, edit.law) for length in edit.fades]
        spans.append((edit.start + gained, edit.start + gained + edit.n_inside))
        gained += edit.gained
        position = edit.end
    out = join([*pieces, Piece(host, position, len(host))], fades)
    if len(out) < n_samples:
        raise ValueError(f"the edits shorten the recording to {len(out)} samples, {n_samples} are wanted")
    return out[:n_samples], [(s, min(e, n_samples)) for s, e in spans if s < n_samples]


def join(pieces: Sequence[Piece], fades: Sequence[tuple[int, str]]) -> np.ndarray:
    """Put pieces one after the other with a cross-fade around each joint.

    Parameters
    ----------
    pieces : sequence of Piece
        In order of time.
    fades : sequence of (int, str) [length len(pieces) - 1]
        Length in samples and law of each fade. A fade is shorter where a source ends.

    Returns
    -------
    np.ndarray [shape=(sum of lengths,), float32]
        A joint is the middle of its fade.
    """
    out = np.concatenate([p.source[p.first : p.last] for p in pieces]).astype(np.float32)
    joint = 0
    for left, right, (length, law) in zip(pieces[:-1], pieces[1:], fades, strict=True):
        joint += left.last - left.first
        half = min(length // 2, len(left.source) - left.last, right.first, joint, len(out) - joint)
        if half <= 0:
            continue
        reached = (np.arange(2 * half, dtype=np.float32) + 0.5) / (2 * half)
        rising, falling = LAWS[law](reached), LAWS[law](1 - reached)
        leaving = left.source[left.last - half : left.last + half]
        coming = right.source[right.first - half : right.first + half]
        out[joint - half : joint + half] = leaving * falling + coming * rising
    return out


def at_zero_crossings(host: np.ndarray, start: int, end: int, material: np.ndarray) -> Edit:
    """Join ``material`` (n + 2 * MARGIN,) to ``host`` (m,) without any fade, where both rise through zero.

    Each of the four ends moves by at most ``MARGIN`` samples, and stays where it is if nothing rises there.
    """
    first, last = (nearest_rise(material, place) for place in (MARGIN, len(material) - MARGIN))
    start, end = (nearest_rise(host, place) for place in (start, end))
    return Edit(start, max(start, end), material[first:last], (0, 0), margin=0)


def nearest_rise(samples: np.ndarray, position: int, reach: int = MARGIN) -> int:
    """Sample nearest to ``position``, at most ``reach`` away, that is the first of a half-wave above zero."""
    first = max(position - reach, 1)
    near = samples[first - 1 : position + reach + 1]
    rises = first + np.flatnonzero((near[:-1] < 0) & (near[1:] >= 0))
    return int(rises[np.abs(rises - position).argmin()]) if len(rises) else position
