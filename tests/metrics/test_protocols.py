"""What sets the protocols apart, one difference at a time."""

import numpy as np
import pytest

from avloc.metrics import PROTOCOLS, SegmentTable, evaluate


def scored(rows, spans, protocol, **options):
    return evaluate(
        SegmentTable.from_rows(rows), SegmentTable.from_spans(spans), protocol=protocol, **options
    )


def literal_float32(rows, spans, threshold):
    """AP of LAV-DF's definition, written out: reference by reference, first unused row of the file."""
    f = np.float32
    flat, k = [], sum(map(len, spans.values()))
    for name, entry in rows.items():
        used = set()
        for start, end in spans[name]:
            for i, (_, a, b) in enumerate(entry):
                start_, end_, a_, b_ = f(start), f(end), f(a), f(b)
                overlap = max(min(end_, b_) - max(start_, a_), f(0))
                if i not in used and overlap / (max(end_, b_) - min(start_, a_)) > f(threshold):
                    used.add(i)
                    break
        flat += [(f(score), i in used) for i, (score, _, _) in enumerate(entry)]
    flat = [hit for _, hit in sorted(flat, key=lambda row: -row[0])]
    recall = np.cumsum(flat) / k
    precision = np.cumsum(flat) / np.arange(1, len(flat) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * envelope[1:]).sum())


@pytest.mark.parametrize("seed", range(8))
def test_av1m_equals_its_definition_written_out(seed):
    generator = np.random.default_rng(seed)
    spans, rows = {}, {}
    for r in range(30):
        starts = np.round(generator.uniform(0, 8, r % 4), 2)
        spans[str(r)] = [[s, round(s + generator.uniform(0.1, 1), 2)] for s in starts.tolist()]
        rows[str(r)] = [
            [round(generator.uniform(), 1), s + d, e + d]
            for s, e in spans[str(r)]
            for d in np.round(generator.normal(0, 0.1, 3), 2).tolist()
        ] + [[round(generator.uniform(), 1), s, s + 0.5] for s in generator.uniform(0, 8, 3).tolist()]
        generator.shuffle(rows[str(r)])
    found = scored(rows, spans, "av1m")
    for threshold in PROTOCOLS["av1m"].iou_thresholds:
        # 2e-6: the order of sums is not part of the definition
        assert found[f"AP@{threshold:g}"] == pytest.approx(literal_float32(rows, spans, threshold), abs=2e-6)


def test_the_first_step_of_the_curve_is_lost_by_two_protocols():
    spans = {"a": [[0, 1]], "b": [[0, 1]], "c": [[0, 1]]}
    rows = {"a": [[0.9, 0, 1]], "b": [[0.8, 0, 1]], "c": [[0.7, 0, 1]]}
    figures = {name: scored(rows, spans, name)["AP@0.5"] for name in PROTOCOLS}
    assert figures["corrected"] == figures["anet"] == 1.0
    assert figures["lavdf"] == figures["av1m"] == pytest.approx(2 / 3)
    false_first = {"a": [[0.95, 5, 6], [0.9, 0, 1]], "b": rows["b"], "c": rows["c"]}
    assert scored(false_first, spans, "av1m")["AP@0.5"] == pytest.approx(0.75)  # nothing is lost then


def test_the_challenge_score_is_half_precision_and_half_recall():
    found = scored({"a": [[0.9, 0, 1], [0.8, 3, 4]], "g": []}, {"a": [[0, 1], [3, 4]], "g": []}, "av1m")
    assert found["challenge_score"] == (found["mAP"] + found["mAR"]) / 2
    assert [name for name in found if name.startswith("AR@")] == ["AR@50", "AR@30", "AR@20", "AR@10", "AR@5"]
    assert "challenge_score" not in scored({"a": [[0.9, 0, 1]]}, {"a": [[0, 1]]}, "lavdf")


def test_a_hit_at_the_threshold_counts_for_anet_alone():
    rows, spans = {"a": [[0.9, 0, 1]], "b": [[0.8, 0, 2]]}, {"a": [[0, 2]], "b": [[0, 2]]}
    assert {name: scored(rows, spans, name)["AP@0.5"] for name in ("anet", "corrected")} == {
        "anet": 1.0,
        "corrected": 0.25,
    }


def test_genuine_recordings_shrink_the_budget_of_anet():
    """With a third genuine, N = 100 of 100 proposals each is the best 66."""
    spans = {"a": [[0, 1]], "b": [[0, 1]], "g": []}
    rows = {name: [[1 - i / 200, 5, 6] for i in range(100)] for name in spans}
    rows["a"][65] = [rows["a"][65][0], 0, 1]
    rows["b"][66] = [rows["b"][66][0], 0, 1]
    found = scored(rows, spans, "anet")
    assert found["AR@100"] == 0.5 and found["AR@50"] == 0.0
    assert scored(rows, spans, "corrected")["AR@100"] == 1.0


def test_unsorted_rows_are_taken_as_they_stand_with_a_warning_unless_sorted_first():
    rows = {"a": [[0.1, 0.1, 1], [0.9, 0, 1]], "b": [[0.5, 0, 1]], "g": [[0.95, 3, 4]]}
    spans = {"a": [[0, 1]], "b": [[0, 1]], "g": []}
    found = scored(rows, spans, "av1m")
    assert any("1 recordings have unsorted proposals" in warning for warning in found["warnings"])
    table = SegmentTable.from_rows(rows).by_score()
    ordered = evaluate(table, SegmentTable.from_spans(spans), protocol="av1m")
    assert not any("unsorted" in warning for warning in ordered["warnings"])
    assert (found["AP@0.5"], ordered["AP@0.5"]) == (0.5, pytest.approx(2 / 3))


def test_frames_become_seconds_in_float32():
    table = SegmentTable.from_rows({"a": [[0.9, 7.0, 33.3]]}).from_frames(29.97)
    assert table.starts[0] == float(np.float32(7.0) / np.float32(29.97))
    assert table.ends[0] == float(np.float32(33.3) / np.float32(29.97))
