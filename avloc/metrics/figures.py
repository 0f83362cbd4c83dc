"""What the figures of a protocol are sums over, so that a replicate of a bootstrap costs no matching."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from avloc.metrics.average_precision import average_precision
from avloc.metrics.average_recall import average_recall
from avloc.metrics.matching import Matches, match
from avloc.metrics.protocols import Protocol
from avloc.metrics.recording import auc, average_precision_of_items, equal_error_rate
from avloc.metrics.table import SegmentTable


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Matches and recording scores under one protocol."""

    rules: Protocol
    precision: Matches
    recall: Matches
    scores: np.ndarray  # (R,)
    is_forged: np.ndarray  # (R,)

    @classmethod
    def of(
        cls,
        proposals: SegmentTable,
        references: SegmentTable,
        rules: Protocol,
        recording_scores: Mapping[str, float] | None,
    ) -> "Measured":
        """Match ``proposals`` to ``references``, tables of the same recordings."""
        common = {
            "hit": rules.hit,
            "union": rules.union,
            "arithmetic": rules.arithmetic,
            "order": rules.order,
        }
        precision = match(
            proposals,
            references,
            iou_thresholds=rules.iou_thresholds,
            assignment=rules.assignment,
            **common,
        )
        recall = match(
            proposals,
            references,
            iou_thresholds=rules.recall_iou_thresholds,
            assignment=rules.recall_assignment,
            sorted_like=precision,
            **common,
        )
        scores = highest_scores(proposals, recording_scores)
        return cls(rules, precision, recall, scores, is_forged=references.counts > 0)

    def figures(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """Figures with every recording counted ``weights`` times; NaN where undefined."""
        rules = self.rules
        precisions = average_precision(self.precision, curve_start=rules.curve_start, weights=weights)
        recalls = [
            average_recall(self.recall, n, budget=rules.budget, weights=weights) for n in rules.n_proposals
        ]
        found = {f"AP@{t:g}": float(v) for t, v in zip(rules.iou_thresholds, precisions, strict=True)}
        found |= {f"AR@{n}": value for n, value in zip(rules.n_proposals, recalls, strict=True)}
        found["mAP"], found["mAR"] = float(np.mean(precisions)), float(np.mean(recalls))
        if rules.challenge_score:
            found["challenge_score"] = 0.5 * found["mAP"] + 0.5 * found["mAR"]
        found["AUC"] = auc(self.scores, self.is_forged, weights)
        found["AP_recording"] = average_precision_of_items(self.scores, self.is_forged, weights)
        found["EER"] = equal_error_rate(self.scores, self.is_forged, weights)
        return found


def highest_scores(proposals: SegmentTable, given: Mapping[str, float] | None = None) -> np.ndarray:
    """Score of every recording, its highest proposal or the one ``given``, shape (R,); -inf where none is."""
    if given is not None:
        return np.array([given.get(recording, -np.inf) for recording in proposals.ids], dtype=np.float64)
    scores = np.full(len(proposals.ids), -np.inf)
    has_rows = proposals.counts > 0
    if has_rows.any():
        scores[has_rows] = np.maximum.reduceat(proposals.scores, proposals.splits[:-1][has_rows])
    return scores
