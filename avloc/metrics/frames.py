"""Frame-level AUC, the boundary zone and the inside of forged segments apart.

Conventions
-----------
A frame belongs to the instant at its centre. It is forged if that instant lies in a reference segment [start,
end). The *boundary zone* is every frame whose centre is less than ``ZONE_FRAMES`` frames of 25 Hz (0.08 s)
from an edge of a reference segment, on either side; an edge on a frame border has two frames on each side.

Three AUCs over the frames of all recordings pooled:

- ``all``: forged frames against genuine frames.
- ``inside``: forged frames outside every boundary zone against genuine frames outside every boundary zone.
- ``boundary``: forged frames inside a boundary zone against the same genuine frames as ``inside``.

So ``inside`` and ``boundary`` differ in the forged frames only: a network that sees nothing but transitions
has a high ``boundary`` and an ``inside`` near 0.5. Frames without a score (NaN) are left out and counted in
``coverage``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from avloc.metrics.recording import auc
from avloc.metrics.table import SegmentTable
from avloc.structures import Curve

ZONE_FRAMES = 2
ZONE_RATE = Fraction(25)
ZONE_S = float(ZONE_FRAMES / ZONE_RATE)
SNAP_S = 1e-6
"""A centre that should be exactly ``ZONE_S`` from an edge may come out a rounding error nearer."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameScores:
    """Scores of one recording's frames.

    Parameters
    ----------
    values : np.ndarray [shape=(T,)]
        Larger means more likely forged; NaN where nothing was analysed.
    rate : Fraction [Hz]
        Frames a second.
    start : float [s]
        Start of frame 0.
    """

    values: np.ndarray
    rate: Fraction = ZONE_RATE
    start: float = 0.0

    @classmethod
    def from_curves(cls, curves: Iterable[Curve]) -> "FrameScores | None":
        """Take the largest value at each frame of several curves; None without any curve.

        Curves of one rate may begin at different frames, as those of different faces do.

        Raises
        ------
        ValueError
            If the curves differ in rate, or are not whole frames apart.
        """
        curves = list(curves)
        if not curves:
            return None
        rate, start = curves[0].rate, min(curve.start for curve in curves)
        offsets = [(curve.start - start) * float(rate) for curve in curves]
        if any(curve.rate != rate for curve in curves) or any(abs(o - round(o)) > 1e-3 for o in offsets):
            grids = sorted({(str(curve.rate), curve.start) for curve in curves})
            raise ValueError(f"curves must lie on one grid, got (rate, start) {grids}")
        length = max(round(o) + len(curve.values) for o, curve in zip(offsets, curves, strict=True))
        largest = np.full(length, np.nan)
        for offset, curve in zip(offsets, curves, strict=True):
            values = np.array(
                [np.nan if value is None else value for value in curve.values], dtype=np.float64
            )
            place = slice(round(offset), round(offset) + len(values))
            largest[place] = np.fmax(largest[place], values)
        return cls(largest, rate, start)


@dataclass(frozen=True, slots=True, eq=False)
class PooledFrames:
    """Scored frames of many recordings: score, truth, zone and recording of each, shape (n,)."""

    scores: np.ndarray
    is_forged: np.ndarray
    is_boundary: np.ndarray
    recordings: np.ndarray
    coverage: float | None


def pool_frames(frames: Mapping[str, FrameScores | None], references: SegmentTable) -> PooledFrames:
    """Label the frames of every reference recording that has scores.

    Parameters
    ----------
    frames : mapping of str to FrameScores or None
        By recording id; ids that ``references`` does not know are ignored.
    references : SegmentTable
        Truth; ``PooledFrames.recordings`` are indices into its ids.

    Returns
    -------
    PooledFrames
        ``coverage`` = frames with a score / frames given, None without any frame.
    """
    parts: list[tuple[np.ndarray, ...]] = []
    n_frames = 0
    for r, recording in enumerate(references.ids):
        given = frames.get(recording)
        if given is None:
            continue
        rows = slice(references.splits[r], references.splits[r + 1])
        n = len(given.values)
        centres = given.start + (np.arange(n) + 0.5) / float(given.rate)
        forged, boundary = label_frames(centres, references.starts[rows], references.ends[rows])
        known = ~np.isnan(given.values)
        n_frames += n
        parts.append((given.values[known], forged[known], boundary[known], np.full(int(known.sum()), r)))
    if not parts:
        empty = np.zeros(0)
        return PooledFrames(empty, empty.astype(bool), empty.astype(bool), empty.astype(np.int64), None)
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return PooledFrames(*joined, coverage=len(joined[0]) / n_frames if n_frames else None)


def label_frames(centres: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Say of every instant whether it is forged and whether it lies in a boundary zone.

    Parameters
    ----------
    centres : np.ndarray [shape=(T,), s]
        Centres of the frames.
    starts, ends : np.ndarray [shape=(K,), s]
        Reference segments.

    Returns
    -------
    tuple of np.ndarray [shape=(T,), bool]
        Forged, boundary.
    """
    forged = np.zeros(len(centres), dtype=bool)
    boundary = np.zeros(len(centres), dtype=bool)
    for start, end in zip(starts, ends, strict=True):
        forged |= (centres >= start) & (centres < end)
        for edge in (start, end):
            boundary |= np.abs(centres - edge) < ZONE_S - SNAP_S
    return forged, boundary


def frame_auc(pooled: PooledFrames, *, weights: np.ndarray | None = None) -> dict[str, float]:
    """AUC of all frames, of the inside and of the boundary zone.

    Parameters
    ----------
    pooled : PooledFrames
        From ``pool_frames``.
    weights : np.ndarray or None [shape=(R,), >= 0]
        How often each recording counts; None: once.

    Returns
    -------
    dict
        ``frame_AUC``, ``frame_AUC_inside``, ``frame_AUC_boundary``; NaN where a side has no frame.
    """
    weight = np.ones(len(pooled.scores)) if weights is None else weights[pooled.recordings]
    genuine = ~pooled.is_forged & ~pooled.is_boundary
    inside = pooled.is_forged & ~pooled.is_boundary
    edge = pooled.is_forged & pooled.is_boundary
    chosen = {
        "frame_AUC": np.ones(len(weight), dtype=bool),
        "frame_AUC_inside": genuine | inside,
        "frame_AUC_boundary": genuine | edge,
    }
    return {
        name: auc(pooled.scores[keep], pooled.is_forged[keep], weight[keep]) for name, keep in chosen.items()
    }
