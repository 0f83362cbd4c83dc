import numpy as np
import pytest

from avloc.metrics import SegmentTable, choose_threshold, false_alarms

REFERENCES = SegmentTable.from_spans({"f": [[0, 1], [2, 3]], "f2": [[0, 1]], "g": []})
DETECTIONS = {
    "f": [[0.9, 0, 1], [0.5, 2, 3]],
    "f2": [[0.3, 0, 1], [0.2, 5, 6]],
    "g": [[0.4, 0, 1], [0.1, 3, 4]],
}


def choose(max_per_hour, detections=DETECTIONS, hours=1.0):
    table = SegmentTable.from_rows(detections)
    return choose_threshold(table, REFERENCES, {"g": 3600.0 * hours}, max_per_hour=max_per_hour)


def test_no_alarm_allowed_puts_the_threshold_above_the_best_genuine_score():
    point = choose(0)
    assert point.threshold == pytest.approx(0.45) and point.recall == pytest.approx(2 / 3)
    assert point.alarms.count == 0 and point.recording_recall == 0.5 and not point.is_supported


def test_one_alarm_allowed_buys_the_last_segment_and_no_useless_detection():
    point = choose(1)
    assert point.threshold == pytest.approx(0.25) and point.recall == 1.0 and point.alarms.count == 1


def test_a_budget_that_the_hours_can_show_is_supported():
    assert choose(3).is_supported and choose(0.5, hours=6.0).is_supported and not choose(2.9).is_supported


def test_where_nothing_can_be_found_everything_is_refused():
    point = choose(0, {"f": [[0.2, 0, 1]], "g": [[0.8, 0, 1]]})
    assert point.threshold == pytest.approx(0.9) and point.recall == 0.0
    assert choose(0, {"g": [[1.0, 0, 1]]}).alarms.count == 0
    assert choose(0, {}).threshold == 0.5


def test_equal_scores_are_accepted_or_refused_together():
    point = choose(0, {"f": [[0.4, 0, 1], [0.9, 2, 3]], "g": [[0.4, 0, 1]]})
    assert point.alarms.count == 0 and point.recall == pytest.approx(1 / 3)


@pytest.mark.parametrize("seed", range(10))
def test_no_other_threshold_finds_more_within_the_budget(seed):
    generator = np.random.default_rng(seed)
    spans = {f"f{i}": [[1.0, 2.0]] for i in range(10)} | {f"g{i}": [] for i in range(10)}
    rows = {
        name: [
            [s, 1 + o, 2 + o]
            for s, o in zip(generator.uniform(size=4), generator.uniform(0, 1, 4), strict=True)
        ]
        for name in spans
    }
    references, table = SegmentTable.from_spans(spans), SegmentTable.from_rows(rows)
    durations = {f"g{i}": 360.0 for i in range(10)}
    point = choose_threshold(table, references, durations, max_per_hour=5.0)
    assert point.alarms == false_alarms(table, references, durations, threshold=point.threshold)
    assert point.alarms.count <= 5
    for threshold in np.linspace(0, 1, 101):
        if false_alarms(table, references, durations, threshold=threshold).count <= 5:
            found = sum(
                any(score >= threshold and o < 1 / 3 + 1 for score, o, _ in rows[name])
                for name in spans
                if spans[name]
            )
            assert found / 10 <= point.recall + 1e-12


def test_genuine_media_and_a_budget_are_needed():
    with pytest.raises(ValueError, match="expected genuine recordings"):
        choose_threshold(SegmentTable.from_rows({}), SegmentTable.from_spans({}), {}, max_per_hour=1)
    with pytest.raises(ValueError, match="max_per_hour >= 0"):
        choose(-1)


def test_the_card_gets_plain_values():
    written = choose(1).to_dict()
    assert written["false_alarms"]["count"] == 1 and written["n_references"] == 3
