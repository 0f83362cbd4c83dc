"""From the proposals of a recording to its segments: rescore, suppress once, keep the best."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction

import torch
from torch import Tensor

from avloc import ops
from avloc.decoding.proposals import Proposals
from avloc.errors import ConfigError

METHODS = ("gaussian", "linear", "across_windows")
FLOOR = 1e-3  # of a term: no single one can veto the others


@dataclass(frozen=True, slots=True)
class Selection:
    """How segments are chosen among proposals; a weights file stores the values it was tuned with.

    Parameters
    ----------
    pre_top_k : int [>= 1]
        Proposals that enter suppression, best first after rescoring.
    window_top_k : int [>= 1]
        Proposals that one window hands on, best point score first; bounds the memory of a long recording.
    min_score : float [0, 1]
        Proposals below are dropped, before and after suppression.
    method : str
        Decay of ``avloc.ops.soft_segment_nms``, ``"gaussian"`` or ``"linear"``. Or ``"across_windows"``, for
        networks that suppress what a window proposes themselves: hard suppression at ``iou_threshold`` where
        there were several windows, else none.
    sigma : float [> 0]
        Width of the Gaussian decay ``exp(-iou**2 / sigma)``.
    iou_threshold : float [0, 1]
        From which overlap the linear decay and the hard suppression act; the Gaussian always acts.
    max_segments : int [>= 1]
        Segments kept a recording and channel.
    final_iou : float, optional [0, 1]
        A last hard suppression at this overlap; None: none.
    point_weight, inside_weight, contrast_weight, sharpness_weight : float [>= 0]
        Exponents of ``rescore``.
    """

    pre_top_k: int = 5000
    window_top_k: int = 300
    min_score: float = 0.01
    method: str = "gaussian"
    sigma: float = 0.5
    iou_threshold: float = 0.5
    max_segments: int = 100
    final_iou: float | None = None
    point_weight: float = 1.0
    inside_weight: float = 0.5
    contrast_weight: float = 0.25
    sharpness_weight: float = 0.25

    def __post_init__(self) -> None:
        weights = (self.point_weight, self.inside_weight, self.contrast_weight, self.sharpness_weight)
        if min(weights) < 0 or sum(weights) <= 0:
            raise ValueError(f"the weights of rescoring must be >= 0 and one of them > 0, got {weights}")
        for name in ("pre_top_k", "window_top_k", "max_segments"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        for name in ("min_score", "iou_threshold", "final_iou"):
            value = getattr(self, name)
            if not (value is None and name == "final_iou") and not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], got {value!r}")
        if not self.sigma > 0:
            raise ValueError(f"sigma must be above 0, got {self.sigma!r}")
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {METHODS}, got {self.method!r}")

    @property
    def reads_frames(self) -> bool:
        """Whether frame scores change the score of a proposal."""
        return max(self.inside_weight, self.contrast_weight, self.sharpness_weight) > 0

    @classmethod
    def from_mapping(cls, values: Mapping) -> "Selection":
        """Read the ``decoding`` key of a configuration; an unknown key is a ``ConfigError``."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"decoding: unknown keys {unknown}, allowed are {sorted(known)}")
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"decoding: {error}") from error


def rescore(
    segments: Tensor, scores: Tensor, frame_scores: Tensor, *, frame_rate: Fraction, selection: Selection
) -> Tensor:
    """Combine each proposal's own score with what the frame scores say about its span.

    With ``m, c, s`` = inside mean, contrast and sharpness of ``avloc.ops.score_segments``, the new score is
    the weighted geometric mean of ``p``, ``m``, ``(1 + c) / 2`` and ``(1 + s) / 2``; the weights are
    ``point_weight``, ``inside_weight``, ``contrast_weight`` and ``sharpness_weight``. Every term lies in
    [FLOOR, 1], and so does the score.

    Parameters
    ----------
    segments : float64 (N, 2) [s]
        Times since the start of ``frame_scores``.
    scores : float (N,) [0, 1]
        Point scores.
    frame_scores : float32 (T,) [0, 1]
        Score of each frame of the whole recording, 0 where nothing was analysed.
    frame_rate : Fraction [Hz]
        Rate of ``frame_scores``.
    selection : Selection
        The weights.

    Returns
    -------
    float64 (N,) [0, 1]
    """
    rows = torch.zeros(segments.shape[0], 3, dtype=frame_scores.dtype)
    rows[:, 1:] = segments * float(frame_rate)
    evidence = ops.score_segments(frame_scores[None], rows).double().clamp(-1.0, 1.0)  # (N, 3)
    terms = torch.stack(
        (scores.double(), evidence[:, 0], (1 + evidence[:, 1]) / 2, (1 + evidence[:, 2]) / 2), dim=1
    )
    weights = torch.tensor(
        (
            selection.point_weight,
            selection.inside_weight,
            selection.contrast_weight,
            selection.sharpness_weight,
        ),
        dtype=torch.float64,
    )
    return (terms.clamp(FLOOR, 1.0).log() @ (weights / weights.sum())).exp()


def rank(
    proposals: Proposals, frame_scores: Tensor, *, frame_rate: Fraction = Fraction(25), selection: Selection
) -> Proposals:
    """Rescore proposals and sort them, best first; equal scores: the earlier row first.

    What scores below ``selection.min_score`` is dropped, and then all but ``selection.pre_top_k``. The
    arguments are those of ``select``.
    """
    if len(proposals) == 0:
        return proposals
    scores = proposals.scores.double()
    if selection.reads_frames:
        scores = rescore(proposals.segments, scores, frame_scores, frame_rate=frame_rate, selection=selection)
    order = torch.argsort(scores, descending=True, stable=True)[: selection.pre_top_k]
    order = order[scores[order] >= selection.min_score]
    return Proposals(proposals.segments[order], scores[order], proposals.modality[order])


def suppress(proposals: Proposals, *, selection: Selection, n_windows: int = 1) -> Proposals:
    """Suppress over one recording and channel, of ``n_windows``, and keep the best, best first."""
    if len(proposals) == 0:
        return proposals
    if selection.method == "across_windows":
        if n_windows > 1:
            proposals = proposals[
                ops.segment_nms(proposals.segments, proposals.scores, selection.iou_threshold)
            ]
        return proposals[: selection.max_segments]
    kept, decayed = ops.soft_segment_nms(
        proposals.segments,
        proposals.scores,
        method=selection.method,
        sigma=selection.sigma,
        iou_threshold=selection.iou_threshold,
        min_score=selection.min_score,
        # Picks come by falling score, so the best are the first; a hard pass must see all of them.
        max_segments=selection.max_segments if selection.final_iou is None else None,
    )
    result = Proposals(proposals.segments[kept], decayed, proposals.modality[kept])
    if selection.final_iou is not None:
        result = result[ops.segment_nms(result.segments, result.scores, selection.final_iou)]
    return result[: selection.max_segments]


def select(
    proposals: Proposals, frame_scores: Tensor, *, frame_rate: Fraction = Fraction(25), selection: Selection
) -> Proposals:
    """Rescore, suppress and keep the best proposals of one recording and channel.

    The order is fixed: rescore on the frame scores of the whole span, drop what is below ``min_score``, keep
    ``pre_top_k``, soft suppression once over the recording, ``max_segments``, best first.

    Parameters
    ----------
    proposals : Proposals
        Merged over windows; ``segments`` and ``scores`` float64, in seconds of the recording.
    frame_scores : float32 (T,) [0, 1]
        Score of each frame since the recording's zero, 0 where nothing was analysed.
    frame_rate : Fraction [Hz]
        Rate of ``frame_scores``.
    selection : Selection
        Parameters.

    Returns
    -------
    Proposals
        By descending score; equal scores: the earlier row of ``proposals`` first.
    """
    ranked = rank(proposals, frame_scores, frame_rate=frame_rate, selection=selection)
    return suppress(ranked, selection=selection)
