"""Figures beside the official ones, against cases worked by hand and slow literal versions."""

import numpy as np
import pytest

from avloc.metrics import SegmentTable, equal_error_rate
from avloc.metrics.boundaries import boundary_errors, serving_rows
from avloc.metrics.details import details
from avloc.metrics.likelihood import cllr, minimum_cllr
from avloc.metrics.per_recording import (
    RATES,
    recall_by_recording,
    shared_rate_recall,
    shared_thresholds,
    signed_rank_test,
)
from avloc.metrics.stretches import STEPS_S, stretch_error_rates


def tables(rows, spans):
    references = SegmentTable.from_spans(spans)
    return SegmentTable.from_rows(rows).select(references.ids).by_score(), references


def random_tables(seed, n=25):
    generator = np.random.default_rng(seed)
    spans, rows = {}, {}
    for r in range(n):
        starts = generator.uniform(0, 8, r % 3)
        spans[str(r)] = [[s, s + generator.uniform(0.2, 1.5)] for s in starts.tolist()]
        near = [[generator.uniform(), s + 0.05, e + 0.1] for s, e in spans[str(r)]]
        far = [[generator.uniform(), s, s + 0.4] for s in generator.uniform(0, 8, 4).tolist()]
        rows[str(r)] = near + far
    return rows, spans


def test_boundary_errors_by_hand():
    found = boundary_errors(
        *tables(
            {"a": [[0.9, 1.1, 2.0], [0.8, 5, 9]], "b": [[0.7, 0.0, 1.3], [0.99, 0.0, 1.0]]},
            {"a": [[1, 2]], "b": [[0, 1]], "c": [[3, 4]]},
        )
    )
    assert found["found@0.5"] == pytest.approx(2 / 3)
    assert found["boundary_error_median_ms"] == 0.0  # of 0, 0, 0 and 100 ms
    assert found["boundary_error_p90_ms"] == pytest.approx(70.0)


def test_boundary_errors_without_a_find_are_not_defined():
    found = boundary_errors(*tables({"a": []}, {"a": [[1, 2]]}))
    assert np.isnan(found["boundary_error_median_ms"]) and found["found@0.5"] == 0.0


def test_the_row_that_serves_a_reference_belongs_to_its_recording():
    proposals, references = tables(*random_tables(3))
    rows = serving_rows(proposals, references)
    found = rows >= 0
    assert found.any() and len(set(rows[found])) == found.sum()
    assert (proposals.recordings[rows[found]] == references.recordings[found]).all()


def literal_stretches(rows, spans, lengths, step):
    scores, forged = [], []
    for name, entry in spans.items():
        n = int(np.ceil(lengths[name] / step - 1e-6))
        for i in range(n):
            low, high = i * step, (i + 1) * step
            over = [s for s, a, b in rows[name] if a < high - 1e-6 * step and b > low + 1e-6 * step]
            scores.append(max(over, default=-1.0))
            forged.append(any(a < high - 1e-6 * step and b > low + 1e-6 * step for a, b in entry))
    return equal_error_rate(np.array(scores), np.array(forged))


@pytest.mark.parametrize("seed", range(3))
def test_stretches_equal_their_definition_written_out(seed):
    rows, spans = random_tables(seed)
    lengths = {name: 9.7 for name in spans}
    found = stretch_error_rates(*tables(rows, spans), lengths)
    for step in STEPS_S:
        name = f"segment_EER@{round(step * 1000)}ms"
        assert found[name] == pytest.approx(literal_stretches(rows, spans, lengths, step), abs=1e-12)


def test_without_a_duration_the_last_end_is_the_end():
    rows, spans = {"a": [[0.9, 1, 2]]}, {"a": [[1, 2]]}
    assert stretch_error_rates(*tables(rows, spans), {})["segment_EER@640ms"] == 0.0


def test_many_scores_are_counted_in_quantiles(monkeypatch):
    from avloc.metrics import stretches

    rows, spans = random_tables(1)
    exact = stretch_error_rates(*tables(rows, spans), {})
    monkeypatch.setattr(stretches, "MAX_LEVELS", 50)
    rough = stretch_error_rates(*tables(rows, spans), {})
    for name, value in exact.items():
        assert rough[name] == pytest.approx(value, abs=0.05)


def test_cllr_of_scores_that_say_nothing_is_one_and_of_right_ones_near_zero():
    is_forged = np.array([True, True, False, False])
    assert cllr(np.full(4, 0.5), is_forged) == 1.0
    assert cllr(np.array([1.0, 1.0, 0.0, -np.inf]), is_forged) < 1e-5
    # -log2(0.8) and -log2(0.6) on either side
    assert cllr(np.array([0.8, 0.6, 0.2, 0.4]), is_forged) == pytest.approx(-np.log2([0.8, 0.6]).mean())
    assert np.isnan(cllr(np.array([2.0, 0.1, 0.1, 0.1]), is_forged))
    assert np.isnan(cllr(np.array([0.5]), np.array([True])))


@pytest.mark.parametrize("seed", range(5))
def test_minimum_cllr_does_not_depend_on_the_scale_and_is_the_least(seed):
    generator = np.random.default_rng(seed)
    is_forged = generator.random(60) < 0.4
    scores = np.round(generator.normal(is_forged * 1.0, 1.0), 1)
    least = minimum_cllr(scores, is_forged)
    assert least == pytest.approx(minimum_cllr(np.exp(scores) * 7, is_forged), abs=1e-12)
    for slope in (0.3, 1.0, 2.0):
        for offset in (-1.0, 0.0, 1.0):
            assert least <= cllr(1 / (1 + np.exp(-slope * scores - offset)), is_forged) + 1e-12


def test_minimum_cllr_by_hand():
    assert minimum_cllr(np.array([0.1, 0.9]), np.array([False, True])) == 0.0
    assert minimum_cllr(np.array([0.9, 0.1]), np.array([False, True])) == 1.0  # a rising map can only be flat


def test_recall_counts_covered_time_once():
    proposals, references = tables(
        {"a": [[0.9, 0.5, 1.5], [0.8, 1.0, 2.5], [0.1, 0, 9]], "g": [[0.5, 0, 1]]},
        {"a": [[0, 2], [1, 3]], "g": []},
    )
    recall = recall_by_recording(proposals, references, np.array([0.85, 0.5, 0.0, 1.0]))
    assert recall[0].tolist() == pytest.approx([1 / 3, 2 / 3, 1.0, 0.0])
    assert np.isnan(recall[1]).all()


def test_the_threshold_lets_no_more_than_its_share_of_genuine_recordings_pass():
    spans = {"f": [[0, 1]]} | {f"g{i}": [] for i in range(200)}
    rows = {"f": [[0.95, 0, 1]]} | {f"g{i}": [[i / 200, 0, 1], [i / 300, 2, 3]] for i in range(200)}
    thresholds = shared_thresholds(*tables(rows, spans))
    passed = [sum(rows[f"g{i}"][0][0] > t for i in range(200)) / 200 for t in thresholds]
    assert all(share <= rate < share + 0.01 for share, rate in zip(passed, RATES, strict=True))
    assert np.isnan(shared_thresholds(*tables({"f": [[0.9, 0, 1]]}, {"f": [[0, 1]]}))).all()
    # 0.95 passes from a rate of 5 % on
    assert shared_rate_recall(*tables(rows, spans))[0] == np.mean([t < 0.95 for t in thresholds])


def test_the_signed_rank_test_tells_better_from_equal():
    generator = np.random.default_rng(0)
    first = generator.random(40)
    found = signed_rank_test(np.append(first, np.nan), np.append(first - 0.01, 0.5))
    assert found["n"] == found["better"] == 40 and found["p"] < 1e-6
    assert signed_rank_test(first, first)["p"] is None


def test_false_alarms_need_the_durations_of_genuine_recordings():
    proposals, references = tables({"g": [[0.9, 0, 1]]}, {"g": [], "a": [[0, 1]]})
    assert details(proposals, references, {})["false_alarms"] is None
    assert details(proposals, references, {"g": 1800.0})["false_alarms"]["hours"] == 0.5
