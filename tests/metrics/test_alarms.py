import math

import pytest

from avloc.metrics import Alarms, SegmentTable, false_alarms, poisson_upper


@pytest.mark.parametrize("count", [0, 1, 2, 5, 20])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_bound_is_the_mean_that_leaves_so_few_events_the_rest_of_the_confidence(count, confidence):
    mean = poisson_upper(count, confidence)
    tail = sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(count + 1))
    assert tail == pytest.approx(1 - confidence, abs=1e-10)


def test_only_detections_of_genuine_recordings_count_and_all_their_hours_do():
    detections = SegmentTable.from_rows(
        {"forged": [[0.9, 0, 1]], "g1": [[0.5, 0, 1], [0.49, 0, 1], [0.7, 2, 3]], "g2": []}
    )
    references = SegmentTable.from_spans({"forged": [[0, 1]], "g1": [], "g2": [], "g3": []})
    durations = {"g1": 900.0, "g2": 1800.0, "g3": 900.0}
    alarms = false_alarms(detections, references, durations, threshold=0.5)
    assert (alarms.count, alarms.hours, alarms.threshold) == (2, 1.0, 0.5)


def test_no_rate_below_three_over_the_hours_is_quoted():
    few = Alarms(2, 0.5, 0.5)
    assert few.per_hour is None and few.smallest_quotable == 6.0
    assert str(few) == "< 6 /h (2 in 0.5 h, 95 % bound 12.6 /h)"
    assert Alarms(3, 0.5, 0.5).per_hour == 6.0
    none = Alarms(0, 2.0, 0.5)
    assert none.upper_95 == pytest.approx(2.9957 / 2, abs=1e-4)
    assert none.to_dict()["text"].startswith("< 1.5 /h")


def test_without_genuine_media_there_is_no_rate():
    alarms = Alarms(0, 0.0, 0.5)
    assert alarms.per_hour is None and alarms.upper_95 is None and str(alarms) == "no genuine media"


def test_a_genuine_recording_without_duration_is_refused():
    table = SegmentTable.from_rows({"g": []})
    with pytest.raises(ValueError, match="positive duration"):
        false_alarms(table, SegmentTable.from_spans({"g": []}), {}, threshold=0.5)
    with pytest.raises(ValueError, match="must have scores"):
        false_alarms(SegmentTable.from_spans({"g": []}), SegmentTable.from_spans({}), {}, threshold=0.5)
    with pytest.raises(ValueError, match="count >= 0"):
        poisson_upper(-1)
