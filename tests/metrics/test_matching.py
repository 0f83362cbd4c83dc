import subprocess
import sys

import numpy as np
import pytest

from avloc.metrics import SegmentTable, average_precision, average_recall, match

THRESHOLDS = (0.3, 0.5, 0.75)


def exact_iou(a, b):
    overlap = min(a[1], b[1]) - max(a[0], b[0])
    return overlap / (max(a[1], b[1]) - min(a[0], b[0])) if overlap > 0 else 0.0


def literal_hits(predictions, references, threshold):
    """All proposals in one list; each takes the free reference it overlaps most, if strictly above."""
    rows = [
        (score, name, start, end) for name, entries in predictions.items() for score, start, end in entries
    ]
    rows.sort(key=lambda row: (-row[0], row[1], row[2], row[3]))
    free = {name: list(range(len(spans))) for name, spans in references.items()}
    hits = []
    for _, name, start, end in rows:
        ious = [(exact_iou((start, end), references[name][k]), -k) for k in free[name]]
        best = max(ious, default=(0.0, 0))
        hits.append(best[0] > threshold)
        if hits[-1]:
            free[name].remove(-best[1])
    return hits


def literal_average_precision(hits, n_references):
    precision, recall, found = [], [], 0
    for i, hit in enumerate(hits):
        found += hit
        precision.append(found / (i + 1))
        recall.append(found / n_references)
    area, before = 0.0, 0.0
    for i, reached in enumerate(recall):
        area += (reached - before) * max(precision[i:])
        before = reached
    return area


def literal_average_recall(predictions, references, n):
    kept = {
        name: sorted(rows, key=lambda row: (-row[0], row[1], row[2]))[:n]
        for name, rows in predictions.items()
    }
    total = sum(len(spans) for spans in references.values())
    return np.mean([sum(literal_hits(kept, references, t)) / total for t in THRESHOLDS])


def random_case(seed, *, decimals=1, n_recordings=12):
    generator = np.random.default_rng(seed)
    references, predictions = {}, {}
    for r in range(n_recordings):
        name = f"r{generator.permutation(100)[0]:02d}_{r}"
        starts = generator.uniform(0, 8, generator.integers(0, 4))
        references[name] = [[s, s + generator.uniform(0.1, 2)] for s in starts]
        rows = []
        for s, e in references[name]:
            for _ in range(generator.integers(0, 4)):
                jitter = generator.normal(0, 0.15, 2)
                rows.append(
                    [round(generator.uniform(), decimals), s + jitter[0], max(e + jitter[1], s + jitter[0])]
                )
        for s in generator.uniform(0, 8, generator.integers(0, 5)):
            rows.append([round(generator.uniform(), decimals), s, s + generator.uniform(0.1, 2)])
        generator.shuffle(rows)
        predictions[name] = rows
    return predictions, references


@pytest.mark.parametrize("seed", range(15))
def test_precision_and_recall_equal_the_literal_oracle_ties_included(seed):
    predictions, references = random_case(seed)
    matches = match(
        SegmentTable.from_rows(predictions), SegmentTable.from_spans(references), iou_thresholds=THRESHOLDS
    )
    n_references = sum(len(spans) for spans in references.values())
    expected = [literal_hits(predictions, references, t) for t in THRESHOLDS]
    assert matches.hits.tolist() == expected
    # 1e-12: the same sums of fewer than 100 float64 terms in another order
    areas = [literal_average_precision(hits, n_references) for hits in expected]
    np.testing.assert_allclose(average_precision(matches), areas, atol=1e-12)
    for n in (1, 2, 5, 100):
        literal = literal_average_recall(predictions, references, n)
        assert average_recall(matches, n) == pytest.approx(literal, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_weights_equal_recordings_that_stand_several_times(seed):
    predictions, references = random_case(seed, decimals=9)  # without ties: of those, weights make one block
    weights = np.random.default_rng(seed).integers(0, 4, len(references)).astype(float)
    repeated_predictions, repeated_references = {}, {}
    for (name, spans), weight in zip(references.items(), weights, strict=True):
        for copy in range(int(weight)):
            repeated_references[f"{name}/{copy}"] = spans
            repeated_predictions[f"{name}/{copy}"] = predictions[name]
    once = match(
        SegmentTable.from_rows(predictions), SegmentTable.from_spans(references), iou_thresholds=THRESHOLDS
    )
    several = match(
        SegmentTable.from_rows(repeated_predictions),
        SegmentTable.from_spans(repeated_references),
        iou_thresholds=THRESHOLDS,
    )
    assert average_recall(once, 3, weights=weights) == pytest.approx(average_recall(several, 3), abs=1e-12)
    np.testing.assert_allclose(
        average_precision(once, weights=weights), average_precision(several), atol=1e-12
    )


def test_a_hit_needs_an_overlap_strictly_above_the_threshold():
    proposals = SegmentTable.from_rows({"a": [[0.9, 0.0, 1.0]]})
    references = SegmentTable.from_spans({"a": [[0.0, 2.0]]})  # IoU exactly 0.5
    assert not match(proposals, references, iou_thresholds=[0.5]).hits.any()
    assert match(proposals, references, iou_thresholds=[0.5], hit="greater_equal").hits.all()


def test_decimal_times_may_round_to_the_other_side_of_the_threshold():
    """Documents float64: 0.1 s of 0.2 s is 0.5000000000000001 when written in decimals."""
    proposals = SegmentTable.from_rows({"a": [[0.9, 0.1, 0.2]]})
    references = SegmentTable.from_spans({"a": [[0.1, 0.3]]})
    assert match(proposals, references, iou_thresholds=[0.5]).hits.all()


def test_the_best_free_reference_is_taken_not_the_first():
    proposals = SegmentTable.from_rows({"a": [[0.9, 0.0, 8.0], [0.8, 0.0, 9.9]]})
    references = SegmentTable.from_spans({"a": [[0.0, 10.0], [0.0, 8.0]]})
    matches = match(proposals, references, iou_thresholds=[0.5, 0.95])
    assert matches.hits.tolist() == [[True, True], [True, True]]
    assert matches.found_at.tolist() == [[1, 0], [1, 0]]


def test_by_reference_takes_the_first_unused_row_of_the_file():
    proposals = SegmentTable.from_rows({"a": [[0.2, 0.0, 1.1], [0.9, 0.0, 1.0]]})
    references = SegmentTable.from_spans({"a": [[0.0, 1.0]]})
    matches = match(proposals, references, iou_thresholds=[0.5], assignment="by_reference", order="as_given")
    assert matches.scores.tolist() == [0.9, 0.2] and matches.hits.tolist() == [[False, True]]


def test_equal_scores_are_ordered_by_recording_id_then_start():
    proposals = SegmentTable.from_rows({"b": [[0.5, 1.0, 2.0]], "a": [[0.5, 3.0, 4.0], [0.5, 2.0, 3.0]]})
    references = SegmentTable.from_spans({"b": [], "a": [[2.0, 3.0]]})
    assert match(proposals, references, iou_thresholds=[0.5]).hits.tolist() == [[True, False, False]]


def test_order_of_files_and_rows_does_not_change_the_figures():
    predictions, references = random_case(3)
    reversed_tables = (
        SegmentTable.from_rows({name: rows[::-1] for name, rows in reversed(predictions.items())}),
        SegmentTable.from_spans(dict(reversed(references.items()))),
    )
    tables = (SegmentTable.from_rows(predictions), SegmentTable.from_spans(references))
    first, second = (match(*pair, iou_thresholds=THRESHOLDS) for pair in (tables, reversed_tables))
    np.testing.assert_array_equal(average_precision(first), average_precision(second))


def test_zero_length_rows_overlap_nothing():
    proposals = SegmentTable.from_rows({"a": [[0.9, 3.0, 3.0]]})
    references = SegmentTable.from_spans({"a": [[3.0, 3.0]]})
    assert not match(proposals, references, iou_thresholds=[0.5]).hits.any()


def test_nothing_at_all_gives_no_figure():
    nothing = match(SegmentTable.from_rows({}), SegmentTable.from_spans({}), iou_thresholds=[0.5])
    assert np.isnan(average_precision(nothing)).all() and np.isnan(average_recall(nothing, 5))


def test_options_and_tables_that_do_not_fit_are_refused():
    proposals, references = SegmentTable.from_rows({"a": []}), SegmentTable.from_spans({"a": []})
    with pytest.raises(ValueError, match="union must be one of"):
        match(proposals, references, iou_thresholds=[0.5], union="any")
    with pytest.raises(ValueError, match="same recordings"):
        match(proposals, SegmentTable.from_spans({"b": []}), iou_thresholds=[0.5])
    with pytest.raises(ValueError, match="must have scores"):
        match(references, references, iou_thresholds=[0.5])
    matches = match(proposals, references, iou_thresholds=[0.5])
    with pytest.raises(ValueError, match="at least 1"):
        average_recall(matches, 0)
    with pytest.raises(ValueError, match="curve_start"):
        average_precision(matches, curve_start="somewhere")


def test_kernels_compile_without_a_cache_where_nothing_can_be_written(monkeypatch):
    from avloc.metrics.compiled import jit

    compiled = []

    def njit(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: compiled.append(function) or function

    monkeypatch.setattr("avloc.metrics.compiled.numba.njit", njit)
    assert jit(exact_iou) is exact_iou and compiled == [exact_iou]


def test_scoring_does_not_import_torch():
    code = "import sys, avloc.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
