"""Joining material into a host with cross-fades: the only place where an edit becomes samples and truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MARGIN = 160  # samples that a piece has beyond each of its ends: half of the longest fade, 20 ms at 16 kHz


@dataclass(frozen=True, slots=True)
class Edit:
    """Put ``material`` in place of host samples ``[start, end)``.

    ``material`` (n + 2 * MARGIN,) has ``MARGIN`` samples more than it puts in at each end, for the
    cross-fades of ``fades`` samples (left, right; at most 2 * MARGIN). ``equal_power`` keeps the level of
    unlike sounds in a fade.
    """

    start: int
    end: int
    material: np.ndarray
    fades: tuple[int, int]
    equal_power: bool = False


def assemble(
    host: np.ndarray, edits: Sequence[Edit], n_samples: int
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Apply all edits at once and cut the result to ``n_samples``.

    Parameters
    ----------
    host : np.ndarray [shape=(n,), float32]
        The recording.
    edits : sequence of Edit
        In order of time, not overlapping, ``MARGIN`` samples from the ends of the host.
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
    pieces: list[tuple[np.ndarray, int, int]] = []  # source, first, last sample of the body
    spans, position, written = [], 0, 0
    for edit in edits:
        if edit.start - position < MARGIN or edit.end < edit.start or edit.end + MARGIN > len(host):
            raise ValueError(
                f"edit [{edit.start}, {edit.end}) overlaps another or an end of {len(host)} samples"
            )
        pieces.append((host, position, edit.start))
        n_inside = len(edit.material) - 2 * MARGIN
        pieces.append((edit.material, MARGIN, MARGIN + n_inside))
        written += edit.start - position
        spans.append((written, written + n_inside))
        written += n_inside
        position = edit.end
    pieces.append((host, position, len(host)))
    out = np.concatenate([source[first:last] for source, first, last in pieces]).astype(np.float32)
    if len(out) < n_samples:
        raise ValueError(f"the edits shorten the recording to {len(out)} samples, {n_samples} are wanted")
    joint = 0
    for k, (left, right) in enumerate(zip(pieces[:-1], pieces[1:], strict=True)):
        joint += left[2] - left[1]
        edit = edits[k // 2]
        _fade(out, joint, left, right, edit.fades[k % 2], edit.equal_power)
    return out[:n_samples], [(s, min(e, n_samples)) for s, e in spans if s < n_samples]


def _fade(out: np.ndarray, joint: int, left: tuple, right: tuple, length: int, equal_power: bool) -> None:
    half = min(length // 2, MARGIN)
    if half == 0:
        return
    rising = (np.arange(2 * half, dtype=np.float32) + 0.5) / (2 * half)
    falling = 1 - rising
    if equal_power:
        rising, falling = np.sqrt(rising), np.sqrt(falling)
    leaving = left[0][left[2] - half : left[2] + half]
    coming = right[0][right[1] - half : right[1] + half]
    out[joint - half : joint + half] = leaving * falling + coming * rising
