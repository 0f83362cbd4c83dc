from dataclasses import replace

import numpy as np
import pytest

from avloc.errors import AnnotationError
from avloc.metrics import PROTOCOLS, SegmentTable, evaluate, evaluate_by, get_protocol
from avloc.structures import Detection, Modality, Prediction, Recording, Reference, Segment, Status


def reference(name, *spans, **attributes):
    return Reference(name, tuple(Segment(*span) for span in spans), attributes=attributes)


def prediction(name, *rows):
    detections = tuple(Detection(Segment(start, end), score, Modality.AUDIO) for score, start, end in rows)
    return Prediction(
        Recording(name, name, None, None, None, None, 9.0), Status.ANALYSED, detections=detections
    )


REFERENCES = [
    reference("a", (1, 2), family="splice", source="s1"),
    reference("b", (0, 1), (3, 5), family="vocoder", source="s2"),
    reference("g", source="s1"),
    reference("h", source="s3"),
]
PREDICTIONS = [
    prediction("a", (0.9, 1, 2)),
    prediction("b", (0.8, 0, 1), (0.6, 3, 5)),
    prediction("g", (0.7, 4, 5)),
    prediction("h"),
]


def test_a_case_worked_by_hand():
    """Rows by score: hit, hit, false alarm in g, hit: precision 1, 1, -, 3/4, three references."""
    found = evaluate(PREDICTIONS, REFERENCES)
    assert found["AP@0.5"] == found["AP@0.95"] == found["mAP"] == pytest.approx((1 + 1 + 0.75) / 3)
    assert found["AR@5"] == found["mAR"] == 1.0
    assert found["AUC"] == 1.0 and found["AP_recording"] == 1.0 and found["EER"] == 0.0
    assert (found["n"], found["n_genuine"], found["n_references"], found["coverage"]) == (4, 2, 3, 1.0)
    assert found["intervals"] is None and found["warnings"] == [] and found["protocol"] == "corrected"


def test_a_perfect_answer_is_exactly_one():
    found = evaluate([p for p in PREDICTIONS if p.recording.id in "abh"], REFERENCES)
    assert found["AP@0.95"] == 1.0


def test_a_recording_without_entry_is_a_miss_with_a_warning():
    found = evaluate(PREDICTIONS[1:], REFERENCES)
    assert found["coverage"] == 0.75 and found["AR@5"] == pytest.approx(2 / 3)
    assert "1 of 4 reference recordings have no entry" in found["warnings"][0]
    empty = evaluate([prediction("a"), *PREDICTIONS[1:]], REFERENCES)
    assert empty["coverage"] == 1.0 and "have no proposal" in empty["warnings"][0]
    assert empty["AP@0.5"] == found["AP@0.5"]


def test_an_unknown_recording_is_refused_or_dropped_with_a_warning():
    more = [*PREDICTIONS, prediction("zz", (0.95, 1, 2))]
    with pytest.raises(AnnotationError, match="not in the references: 'zz'"):
        evaluate(more, REFERENCES)
    found = evaluate(more, REFERENCES, skip_invalid=True)
    assert (
        found["AP@0.5"] == evaluate(PREDICTIONS, REFERENCES)["AP@0.5"] and "dropped" in found["warnings"][0]
    )


def test_a_figure_without_anything_to_count_is_none_with_a_warning():
    found = evaluate(PREDICTIONS[2:], REFERENCES[2:])
    assert found["AP@0.5"] is None and found["AUC"] is None
    assert "AP@0.5 is not defined: nothing to count" in found["warnings"]


def test_given_recording_scores_replace_the_highest_proposal():
    found = evaluate(PREDICTIONS, REFERENCES, recording_scores={"a": 0.1, "b": 0.9, "g": 0.5})
    assert found["AUC"] == 0.75


def test_intervals_hold_the_figure_and_repeat_with_the_seed():
    found = evaluate(PREDICTIONS, REFERENCES, bootstrap=50, seed=3)
    assert found["intervals"] == evaluate(PREDICTIONS, REFERENCES, bootstrap=50, seed=3)["intervals"]
    low, high = found["intervals"]["AP@0.5"]
    assert low <= found["AP@0.5"] <= high


def test_every_family_meets_all_genuine_recordings():
    found = evaluate_by(PREDICTIONS, REFERENCES)
    assert list(found) == ["splice", "vocoder"]
    assert (found["splice"]["n"], found["splice"]["n_genuine"], found["splice"]["AP@0.5"]) == (3, 2, 1.0)
    assert found["vocoder"]["AP@0.5"] == pytest.approx((1 + 2 / 3) / 2)


def test_other_thresholds_may_be_asked_of_corrected_only(monkeypatch):
    found = evaluate(PREDICTIONS, REFERENCES, iou_thresholds=[0.3], n_proposals=[1])
    assert "AP@0.3" in found and "AP@0.5" not in found and found["AR@1"] == pytest.approx(2 / 3)
    monkeypatch.setitem(
        PROTOCOLS, "fixed", replace(PROTOCOLS["corrected"], name="fixed", challenge_score=True)
    )
    assert evaluate(PREDICTIONS, REFERENCES, protocol="fixed")["challenge_score"] == pytest.approx(
        (2.75 / 3 + 1) / 2
    )
    with pytest.raises(ValueError, match="fixes"):
        evaluate(PREDICTIONS, REFERENCES, protocol="fixed", n_proposals=[1])


def test_unknown_protocols_and_switches_are_refused():
    with pytest.raises(ValueError, match="protocol must be one of"):
        get_protocol("official")
    with pytest.raises(ValueError, match="hit must be one of"):
        replace(PROTOCOLS["corrected"], hit="larger")


def test_unsorted_rows_warn_only_where_the_order_of_the_file_counts(monkeypatch):
    rows = SegmentTable.from_rows({"a": [[0.1, 5, 6], [0.9, 1, 2]]})
    truth = SegmentTable.from_spans({"a": [[1, 2]]})
    assert not any("unsorted" in w for w in evaluate(rows, truth)["warnings"])
    monkeypatch.setitem(PROTOCOLS, "given", replace(PROTOCOLS["corrected"], name="given", order="as_given"))
    assert any("unsorted proposals" in w for w in evaluate(rows, truth, protocol="given")["warnings"])


def test_shifting_all_times_changes_nothing_that_rounding_does_not():
    generator = np.random.default_rng(0)
    spans = {str(i): [[k, k + 1.0] for k in range(i % 3)] for i in range(9)}
    rows = {i: [[generator.uniform(), s + 0.25, e + 0.25] for s, e in entry] for i, entry in spans.items()}
    moved = {i: [[p, s + 64, e + 64] for p, s, e in entry] for i, entry in rows.items()}
    moved_spans = {i: [[s + 64, e + 64] for s, e in entry] for i, entry in spans.items()}
    first = evaluate(SegmentTable.from_rows(rows), SegmentTable.from_spans(spans))
    second = evaluate(SegmentTable.from_rows(moved), SegmentTable.from_spans(moved_spans))
    assert first == second  # quarters of a second and their shift by 64 s are exact in float64
