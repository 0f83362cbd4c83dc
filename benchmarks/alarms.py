"""False alarms of a system on genuine items, and the thresholds that are chosen by them."""

from collections.abc import Mapping

import numpy as np
from slices import count_identities
from systems import Answers

from avloc import metrics
from avloc.metrics import SegmentTable
from avloc.structures import Reference

FURTHER_PER_HOUR = (30.0, 60.0)  # false alarms an hour of operating points beside the one that ships


def count_alarms(
    answers: Answers, references: list[Reference], thresholds: Mapping[str, float]
) -> list[dict]:
    """Count false alarms and found segments at each operating threshold, over the items it applies to."""
    counted = []
    for threshold in sorted(set(thresholds.values())):
        chosen = [r for r in references if thresholds.get(r.recording_id) == threshold]
        table = SegmentTable.from_references(chosen)
        rows = SegmentTable.from_rows({i: answers.rows.get(i, []) for i in table.ids})
        durations = {r.recording_id: r.duration for r in chosen}
        alarms = metrics.false_alarms(rows, table, durations, threshold=threshold)
        scores = _hit_scores(answers, chosen)
        n_found, n_references = int((scores >= threshold).sum()), len(table.starts)
        counted.append(
            {
                **alarms.to_dict(),
                "n_items": len(chosen),
                "n_identities": count_identities(r for r in chosen if not r.segments),
                "n_found": n_found,
                "n_references": n_references,
            }
        )
    return counted


def operating_points(
    answers: Answers, references: list[Reference], max_per_hour: float
) -> dict[str, list[dict]]:
    """Give the operating points of each path that has genuine items: the one that ships first."""
    points = {}
    for path in sorted(set(answers.paths.values())):
        chosen = [r for r in references if answers.paths.get(r.recording_id) == path]
        hours = sum(r.duration for r in chosen if not r.segments) / 3600.0
        if hours > 0:
            points[path] = [_point(answers, chosen, budget) for budget in budgets(hours, max_per_hour)]
    return points


def budgets(hours: float, max_per_hour: float) -> list[float]:
    """Say how many false alarms an hour operating points may cost: none below 3 / ``hours`` is named.

    The first is the one that ships. Where even the highest of them cannot be checked it is ``max_per_hour``
    alone, and the point says that nothing supports it.

    Examples
    --------
    >>> budgets(0.5, 12.0), budgets(0.15, 12.0), budgets(0.01, 12.0)
    ([12.0, 30.0, 60.0], [20.0, 30.0, 60.0], [12.0])
    """
    lowest = metrics.Alarms(0, hours, 0.0).smallest_quotable
    ships = max(max_per_hour, lowest)
    if lowest > max(max_per_hour, *FURTHER_PER_HOUR):
        return [max_per_hour]
    return [ships, *(budget for budget in FURTHER_PER_HOUR if budget > ships)]


def _point(answers: Answers, references: list[Reference], max_per_hour: float) -> dict:
    table = SegmentTable.from_references(references)
    rows = SegmentTable.from_rows({i: answers.rows.get(i, []) for i in table.ids})
    genuine = [r for r in references if not r.segments]
    durations = {r.recording_id: r.duration for r in genuine}
    point = metrics.choose_threshold(rows, table, durations, max_per_hour=max_per_hour)
    return {
        **point.to_dict(),
        "n_identities": count_identities(genuine),
        "false_alarms_by_kind": alarms_by_kind(answers, genuine, point.threshold),
    }


def alarms_by_kind(answers: Answers, genuine: list[Reference], threshold: float) -> dict[str, dict]:
    """Count false alarms in each kind of genuine sound; an item to which much was done is in several."""
    counted = {}
    for kind in sorted({kind for r in genuine for kind in r.attributes["kinds"]}):
        chosen = [r for r in genuine if kind in r.attributes["kinds"]]
        table = SegmentTable.from_references(chosen)
        rows = SegmentTable.from_rows({i: answers.rows.get(i, []) for i in table.ids})
        durations = {r.recording_id: r.duration for r in chosen}
        alarms = metrics.false_alarms(rows, table, durations, threshold=threshold)
        counted[kind] = {
            **alarms.to_dict(),
            "n_items": len(chosen),
            "n_identities": count_identities(chosen),
        }
    return counted


def _hit_scores(answers: Answers, references: list[Reference]) -> np.ndarray:
    """Scores of the detections that serve a segment at IoU > 0.5, best first."""
    table = SegmentTable.from_references(references)
    rows = SegmentTable.from_rows({i: answers.rows.get(i, []) for i in table.ids})
    matches = metrics.match(rows, table, iou_thresholds=[0.5])
    return matches.scores[matches.hits[0]]


def threshold_for(answers: Answers, references: list[Reference], n_found: int) -> float:
    """Highest threshold at which ``n_found`` segments are found, or as many as can be; above 1 for none."""
    scores = _hit_scores(answers, references)[:n_found]
    return float(scores[-1]) if len(scores) else float(np.nextafter(1.0, 2.0))
