"""The operating threshold of a network, chosen on development recordings.

Conventions
-----------
The threshold is the one with the largest recall of forged segments among those with at most ``max_per_hour``
false alarms per hour of genuine media (``alarms``), counted on the recordings given. Recall counts references
that a detection at or above the threshold serves, one to one by score, at IoU > ``iou_threshold``. Among
thresholds of equal recall the one with the fewest detections is taken, and it is put halfway between the last
score that is accepted and the next one that is refused, so that neither sits on the edge.

Below 3 / hours the budget cannot be checked with these recordings: the point is still chosen, with
``is_supported=False``, and the card should say so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from avloc.metrics.alarms import Alarms, genuine_hours
from avloc.metrics.matching import Matches, match
from avloc.metrics.table import SegmentTable


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what it does on the recordings that chose it.

    Parameters
    ----------
    threshold : float
        A detection counts from this score on.
    recall : float or None [0, 1]
        Share of the reference segments that are found; None without any.
    recording_recall : float or None [0, 1]
        Share of the forged recordings with at least one detection, wherever it lies; None without any.
    alarms : Alarms
        False alarms on the genuine recordings.
    max_per_hour : float
        The budget.
    is_supported : bool
        Whether the genuine hours are enough to tell a rate as low as the budget.
    n_recordings, n_references : int
    """

    threshold: float
    recall: float | None
    recording_recall: float | None
    alarms: Alarms
    max_per_hour: float
    is_supported: bool
    n_recordings: int
    n_references: int

    def to_dict(self) -> dict:
        """Plain values for a weights card or a JSON file."""
        return {
            "threshold": self.threshold,
            "recall": self.recall,
            "recording_recall": self.recording_recall,
            "false_alarms": self.alarms.to_dict(),
            "max_per_hour": self.max_per_hour,
            "is_supported": self.is_supported,
            "n_recordings": self.n_recordings,
            "n_references": self.n_references,
        }


def choose_threshold(
    detections: SegmentTable,
    references: SegmentTable,
    durations_s: Mapping[str, float],
    *,
    max_per_hour: float,
    iou_threshold: float = 0.5,
) -> OperatingPoint:
    """Threshold with the largest recall at no more than ``max_per_hour`` false alarms.

    Parameters
    ----------
    detections : SegmentTable
        All detections that survive suppression (minimum score 0), scores in [0, 1].
    references : SegmentTable
        Truth of genuine and forged development recordings.
    durations_s : mapping of str to float [s]
        Duration of every genuine recording.
    max_per_hour : float [>= 0]
        Budget of false alarms per hour of genuine media.
    iou_threshold : float [(0, 1)]
        Overlap from which a segment counts as found.

    Returns
    -------
    OperatingPoint

    Raises
    ------
    ValueError
        Without genuine media, or if a genuine recording has no duration, or the budget is negative.
    """
    genuine, hours = genuine_hours(references, durations_s)
    if hours <= 0 or max_per_hour < 0:
        raise ValueError(
            f"expected genuine recordings and max_per_hour >= 0, got {hours} h of them and {max_per_hour}"
        )
    matches = match(detections.select(references.ids), references, iou_thresholds=[iou_threshold])
    is_genuine = references.counts == 0
    floor = _highest_refused(matches.scores[is_genuine[matches.recordings]], int(max_per_hour * hours + 1e-9))
    threshold = _between(matches, floor)
    accepted = matches.scores >= threshold
    n_forged = int((~is_genuine).sum())
    n_references = len(references.starts)
    found = np.unique(matches.recordings[accepted & ~is_genuine[matches.recordings]])
    return OperatingPoint(
        threshold=threshold,
        recall=int(matches.hits[0, accepted].sum()) / n_references if n_references else None,
        recording_recall=len(found) / n_forged if n_forged else None,
        alarms=Alarms(int(is_genuine[matches.recordings[accepted]].sum()), hours, threshold),
        max_per_hour=float(max_per_hour),
        is_supported=max_per_hour * hours >= 3.0 - 1e-9,
        n_recordings=len(references.ids),
        n_references=n_references,
    )


def _highest_refused(genuine_scores: np.ndarray, n_allowed: int) -> float:
    """Score that the threshold must exceed: the best genuine one beyond those allowed, or -inf."""
    if len(genuine_scores) <= n_allowed:
        return -np.inf
    return float(np.sort(genuine_scores)[::-1][n_allowed])


def _between(matches: Matches, floor: float) -> float:
    """Halfway between the lowest hit above ``floor`` and the next lower score; without a hit, above all."""
    scores = matches.scores
    useful = scores[matches.hits[0] & (scores > floor)]
    if len(useful):
        last, refused = float(useful.min()), scores[scores < useful.min()]
        lower = float(refused.max()) if len(refused) else 0.0
    else:  # nothing can be found at this budget: refuse everything
        lower = float(scores.max()) if len(scores) else 0.0
        last = 1.0 if lower < 1.0 else float(np.nextafter(lower, np.inf))
    middle = lower + (last - lower) / 2.0
    return middle if middle > lower else last  # neighbouring floats, or equal
