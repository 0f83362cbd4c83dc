"""Figures beside the official ones, for those who listen to recordings rather than rank systems.

Conventions
-----------
None of them depends on the protocol. Proposals count by descending score. At a threshold, a proposal counts
from that score on; precision and recall are those of segments, one to one by score at IoU > 0.5. ``SF1@0.5``
is the F1 of segments of each forged recording, 2 hits / (proposals + references), averaged over them: where
``F1`` pools all segments, it punishes a wrong count in every recording alike (after SF1 of MIST, arXiv
2605.02223, as its abstract describes it; whether its authors average in this way was not checked).
"""

import math
from collections.abc import Mapping

import numpy as np

from avloc.metrics.alarms import Alarms
from avloc.metrics.boundaries import IOU, boundary_errors
from avloc.metrics.figures import highest_scores
from avloc.metrics.likelihood import cllr, minimum_cllr
from avloc.metrics.matching import Matches, match
from avloc.metrics.per_recording import RATES, shared_rate_recall
from avloc.metrics.selective import risk_coverage
from avloc.metrics.stretches import stretch_error_rates
from avloc.metrics.table import SegmentTable


def details(
    proposals: SegmentTable,
    references: SegmentTable,
    durations_s: Mapping[str, float],
    *,
    threshold: float = 0.5,
    recording_scores: Mapping[str, float] | None = None,
) -> dict:
    """Boundary errors, error rates of stretches, false alarms, evidence, and figures at a threshold.

    Parameters
    ----------
    proposals, references : SegmentTable
        With the same ``ids`` in the same order.
    durations_s : mapping of str to float [s]
        Of each recording, where it is known.
    threshold : float
        Score from which a proposal counts as a detection.
    recording_scores : mapping of str to float, or None
        Score of each recording for Cllr and the verdict; None: the highest proposal.

    Returns
    -------
    dict
        Figures by name, None where undefined; ``risk_coverage`` as of the function of that name;
        ``false_alarms`` (of genuine recordings; None without their durations).
    """
    proposals = proposals.by_score()
    is_forged = references.counts > 0
    scores = highest_scores(proposals, recording_scores)
    recall = shared_rate_recall(proposals, references)[is_forged]
    found = {
        **boundary_errors(proposals, references),
        **stretch_error_rates(proposals, references, durations_s),
        "recall_at_shared_false_alarm_rate": float(recall.mean()) if len(recall) else math.nan,
        "Cllr": cllr(scores, is_forged),
        "Cllr_min": minimum_cllr(scores, is_forged),
        **_at_threshold(proposals, references, threshold),
    }
    return {
        "threshold": threshold,
        "shared_false_alarm_rates": [RATES[0], RATES[-1]],
        **{name: None if math.isnan(value) else value for name, value in found.items()},
        "risk_coverage": risk_coverage(scores, is_forged, threshold),
        "false_alarms": _alarms(proposals, references, durations_s, threshold),
    }


def _at_threshold(proposals: SegmentTable, references: SegmentTable, threshold: float) -> dict[str, float]:
    """Precision, recall and F1 of segments that score at least ``threshold``."""
    matches = match(proposals, references, iou_thresholds=[IOU], order="as_given")
    n_counted = int((proposals.scores >= threshold).sum())  # they come first: rows are by descending score
    n_hits = int(matches.hits[0, :n_counted].sum())
    n_references = len(references.starts)
    return {
        "precision": n_hits / n_counted if n_counted else math.nan,
        "recall": n_hits / n_references if n_references else math.nan,
        "F1": 2 * n_hits / (n_counted + n_references) if n_counted + n_references else math.nan,
        f"SF1@{IOU}": _mean_f1(matches, n_counted),
    }


def _mean_f1(matches: Matches, n_counted: int) -> float:
    """Mean over forged recordings of the F1 of the first ``n_counted`` rows."""
    n_references = matches.references.counts
    owners, n = matches.recordings[:n_counted], len(n_references)
    n_proposals = np.bincount(owners, minlength=n)
    n_hits = np.bincount(owners, weights=matches.hits[0, :n_counted], minlength=n)
    is_forged = n_references > 0
    f1 = 2 * n_hits[is_forged] / (n_proposals + n_references)[is_forged]
    return float(f1.mean()) if len(f1) else math.nan


def _alarms(
    proposals: SegmentTable, references: SegmentTable, durations_s: Mapping[str, float], threshold: float
) -> dict | None:
    """Count detections in genuine recordings; None where the duration of one of them is not known."""
    genuine = np.flatnonzero(references.counts == 0)
    durations = [durations_s.get(references.ids[i]) or 0.0 for i in genuine]
    if not len(genuine) or min(durations) <= 0:
        return None
    is_genuine = (references.counts == 0)[proposals.recordings]
    count = int(np.count_nonzero(proposals.scores[is_genuine] >= threshold))
    return Alarms(count, sum(durations) / 3600, threshold).to_dict()
