"""Cut a recording into overlapping windows, and merge what the windows say: one is the inverse of the other.

Window ``k`` starts at frame ``360 k`` and holds 640 frames (25.6 s); the last one ends with the recording and
is shorter. The hop is three pieces of the recogniser's stem, so the pieces of neighbouring windows coincide.
What is shorter than a length that the stem can cut into pieces (160 + 120 n frames) is filled up by repeating
its own frames from the start; the repetition is masked and never scored.

The **core** of a window is the part that no neighbour is nearer to: from the middle of the overlap with the
window before to the middle of the overlap with the one after, and to the ends of the recording. A proposal
counts in the window whose core holds its centre, a frame score in the window whose core holds the frame.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from avloc.decoding.proposals import Proposals
from avloc.features.audio import PIECE_FRAMES, PIECE_HOP, RATE, WINDOW_FRAMES, WINDOW_HOP
from avloc.structures import FrameGrid

MIN_STREAM_FRAMES = 12  # of a window: less than half a second of a stream is no ground for a score
CENTRE_STEPS = 4096  # a frame; both windows of an overlap must place a centre alike in spite of float32


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """How a recording is cut for a network.

    ``n_frames`` and ``hop`` in frames. Without ``has_cores`` every proposal of a window counts, as for
    networks that suppress what a window proposes themselves. Without ``fills_up`` a short window is not
    filled up by repetition.
    """

    n_frames: int = WINDOW_FRAMES
    hop: int = WINDOW_HOP
    has_cores: bool = True
    fills_up: bool = True

    @classmethod
    def of(cls, network: object) -> "WindowPlan":
        """Give the plan that a network declares, by default that of ``HierarchicalLocalizer``."""
        return cls(
            n_frames=getattr(network, "window_frames", WINDOW_FRAMES),
            hop=getattr(network, "window_hop_frames", WINDOW_HOP),
            has_cores=getattr(network, "window_has_cores", True),
            fills_up=getattr(network, "window_fills_up", True),
        )

    @property
    def overlap(self) -> int:
        """Frames that a window shares with the next one."""
        return self.n_frames - self.hop


PLAN = WindowPlan()


@dataclass(frozen=True, slots=True)
class Window:
    """One window of a recording, in frames of the 25 Hz grid since the recording's zero.

    ``start`` and ``n_frames`` say what real frames it holds, ``core_start`` and ``core_end`` which of them
    count here (half-open), ``new_start`` from where no earlier window held them.
    """

    index: int
    start: int
    n_frames: int
    core_start: int
    core_end: int
    plan: WindowPlan = PLAN

    @property
    def end(self) -> int:
        """One past the last real frame."""
        return self.start + self.n_frames

    @property
    def new_start(self) -> int:
        """First frame that no earlier window held."""
        return self.start + (self.plan.overlap if self.index else 0)

    def later(self, n_frames: int) -> "Window":
        """Give this window ``n_frames`` later."""
        return replace(
            self,
            start=self.start + n_frames,
            core_start=self.core_start + n_frames,
            core_end=self.core_end + n_frames,
        )

    @property
    def network_frames(self) -> int:
        """Length that the network is given: the real frames filled up to whole pieces, where it fills up."""
        return whole_pieces(self.n_frames) if self.plan.fills_up else self.n_frames


def whole_pieces(n_frames: int) -> int:
    """Length of the fewest pieces of the recogniser's stem that hold ``n_frames``."""
    n_hops = max(0, math.ceil((n_frames - PIECE_FRAMES) / PIECE_HOP))
    return PIECE_FRAMES + n_hops * PIECE_HOP


def next_window(index: int, n_available: int, *, ended: bool, plan: WindowPlan = PLAN) -> Window | None:
    """Window number ``index``, as soon as it can be told whether another one follows it.

    Parameters
    ----------
    index : int [>= 0]
        Number of the window.
    n_available : int [frames, >= 0]
        Frames of the recording that are known so far.
    ended : bool
        No frame will follow.
    plan : WindowPlan
        Length and hop.

    Returns
    -------
    Window or None
        None: more frames are needed, or, with ``ended``, the windows before hold everything.
    """
    start = index * plan.hop
    last = n_available <= start + plan.n_frames
    if last and not ended:
        return None
    seen_before = start + plan.overlap if index else 0
    if n_available <= seen_before:
        return None
    n_frames = min(plan.n_frames, n_available - start)
    half = plan.overlap // 2
    return Window(
        index=index,
        start=start,
        n_frames=n_frames,
        core_start=start + half if index and plan.has_cores else start,
        core_end=start + plan.hop + half if plan.has_cores and not last else start + n_frames,
        plan=plan,
    )


def plan_windows(n_frames: int) -> Iterator[Window]:
    """All windows of a recording of ``n_frames`` frames, in order.

    Examples
    --------
    >>> [(w.start, w.n_frames, w.core_start, w.core_end, w.network_frames) for w in plan_windows(700)]
    [(0, 640, 0, 500, 640), (360, 340, 500, 700, 400)]
    """
    index = 0
    while (window := next_window(index, n_frames, ended=True)) is not None:
        yield window
        index += 1


def fill_up(values: np.ndarray, n_total: int, *, axis: int = 0) -> np.ndarray:
    """Repeat ``values`` from their start along ``axis`` until there are ``n_total``.

    Raises
    ------
    ValueError
        If there is nothing to repeat, or more than ``n_total`` already.
    """
    n_real = values.shape[axis]
    if not 0 < n_real <= n_total:
        raise ValueError(f"expected 1 to {n_total} values along axis {axis}, got {n_real}")
    if n_real == n_total:
        return values
    return np.take(values, np.arange(n_total) % n_real, axis=axis)


class Merger:
    """Collects what the windows of one recording and channel say, in the time of the recording.

    Only here do window-relative float32 seconds become float64 seconds of the recording.

    Parameters
    ----------
    window_top_k : int
        Proposals kept of each window, best first.
    min_score : float [0, 1]
        Proposals below are not kept.
    """

    def __init__(self, *, window_top_k: int, min_score: float) -> None:
        self._window_top_k = window_top_k
        self._min_score = min_score
        self._proposals: list[Proposals] = []
        self.n_windows = 0
        self._curves: dict[str, list[tuple[int, np.ndarray]]] = {}

    def add(self, window: Window, proposals: Proposals, curves: Mapping[str, np.ndarray]) -> None:
        """Add what ``window`` says.

        Parameters
        ----------
        window : Window
            Where it lies.
        proposals : Proposals
            Window-relative; those whose centre lies outside the core are dropped.
        curves : mapping of name to float32 (window.n_frames,)
            NaN where nothing was analysed; what lies outside the core is dropped.
        """
        self.n_windows += 1
        grid = FrameGrid(rate=RATE, n_frames=window.n_frames)
        segments = proposals.segments.double().cpu() + grid.time(window.start)
        centres = segments.mean(dim=1) * float(RATE)
        centres = (centres * CENTRE_STEPS).round() / CENTRE_STEPS
        in_core = (centres >= window.core_start) & (centres < window.core_end)
        scores = proposals.scores.cpu()
        rows = torch.nonzero(in_core & (scores >= self._min_score))[:, 0]
        best = torch.argsort(scores[rows], descending=True, stable=True)[: self._window_top_k]
        rows = rows[best]
        if rows.numel():
            self._proposals.append(
                Proposals(segments[rows], scores[rows].double(), proposals.modality.cpu()[rows].double())
            )
        core = slice(window.core_start - window.start, window.core_end - window.start)
        for name, values in curves.items():
            self._curves.setdefault(name, []).append((window.core_start, values[core].astype(np.float32)))

    def proposals(self, start_s: float, end_s: float) -> Proposals:
        """All proposals so far, float64 seconds, cut to ``[start_s, end_s]``; none of zero length."""
        if not self._proposals:
            empty = torch.zeros(0, dtype=torch.float64)
            return Proposals(empty.reshape(0, 2), empty, empty.reshape(0, 2))
        merged = Proposals(
            torch.cat([p.segments for p in self._proposals]).clamp(start_s, end_s),
            torch.cat([p.scores for p in self._proposals]),
            torch.cat([p.modality for p in self._proposals]),
        )
        return merged[merged.segments[:, 1] > merged.segments[:, 0]]

    def curve(self, name: str, n_frames: int) -> np.ndarray:
        """Stitched curve float32 (n_frames,), NaN where nothing was analysed."""
        values = np.full(n_frames, np.nan, dtype=np.float32)
        for start, part in self._curves.get(name, ()):
            values[start : start + len(part)] = part[: max(0, n_frames - start)]
        return values


def frame_evidence(*curves: np.ndarray) -> Tensor:
    """Largest of the curves in each frame, float32 (T,), 0 where none was analysed: for rescoring."""
    with np.errstate(invalid="ignore"):
        strongest = np.fmax.reduce(np.stack(curves))  # fmax: a number wins over NaN
    return torch.from_numpy(np.nan_to_num(strongest, nan=0.0).astype(np.float32))
