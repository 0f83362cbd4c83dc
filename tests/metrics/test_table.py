import numpy as np
import pytest

from avloc.errors import AnnotationError
from avloc.metrics import SegmentTable
from avloc.structures import Detection, Modality, Prediction, Recording, Reference, Segment, Status


def test_rows_are_kept_exactly_as_they_were_read():
    rows = {"b": [[0.1, 3.0, 3.0], [0.9, -1.0, 99.0], [0.9, -1.0, 99.0]], "a": []}
    table = SegmentTable.from_rows(rows)
    assert table.ids == ("b", "a")
    assert table.splits.tolist() == [0, 3, 3]
    assert np.stack([table.scores, table.starts, table.ends], axis=1).tolist() == rows["b"]
    assert table.recordings.tolist() == [0, 0, 0] and table.counts.tolist() == [3, 0]


@pytest.mark.parametrize(
    "row",
    [[0.5, 1.0], [0.5, float("nan"), 2.0], [float("inf"), 1.0, 2.0], [0.5, 2.0, 1.0], ["high", 1, 2], None],
)
def test_an_impossible_row_is_refused_with_its_place_or_dropped_and_counted(row):
    rows = {"x.mp4": [[0.5, 1.0, 2.0], row]}
    with pytest.raises(AnnotationError, match=r"predictions: 'x.mp4' row 1: expected"):
        SegmentTable.from_rows(rows)
    table = SegmentTable.from_rows(rows, skip_invalid=True)
    assert len(table.starts) == 1 and table.n_skipped == 1


def test_select_reorders_and_gives_no_rows_to_the_unknown():
    table = SegmentTable.from_rows({"a": [[0.1, 0, 1]], "b": [[0.2, 1, 2], [0.3, 2, 3]]})
    chosen = table.select(["b", "none", "a"])
    assert chosen.splits.tolist() == [0, 2, 2, 3]
    assert chosen.scores.tolist() == [0.2, 0.3, 0.1]


def test_unsorted_names_only_recordings_whose_own_scores_rise():
    table = SegmentTable.from_rows(
        {"a": [[0.1, 0, 1]], "b": [[0.9, 0, 1], [0.9, 0, 1]], "c": [[0.1, 0, 1], [0.2, 0, 1]]}
    )
    assert table.unsorted() == ("c",)


def test_tables_of_values_keep_ids_and_file_order():
    references = [Reference("a", (Segment(2.0, 3.0), Segment(0.0, 1.0))), Reference("b", ())]
    assert SegmentTable.from_references(references).starts.tolist() == [2.0, 0.0]
    recording = Recording("a", "a.wav", None, None, None, None, 5.0)
    detection = Detection(Segment(0.5, 1.0), 0.75, Modality.AUDIO)
    table = SegmentTable.from_predictions([Prediction(recording, Status.ANALYSED, detections=(detection,))])
    assert (table.ids, table.scores.tolist(), table.ends.tolist()) == (("a",), [0.75], [1.0])


def test_a_recording_that_stands_twice_is_refused():
    with pytest.raises(AnnotationError, match="every recording must stand once"):
        SegmentTable.from_references([Reference("a", ()), Reference("a", ())])


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="splits must rise"):
        SegmentTable(np.zeros(2), np.ones(2), None, np.array([0, 1]), ("a",))
    with pytest.raises(ValueError, match="must have one length"):
        SegmentTable(np.zeros(2), np.ones(1), None, np.array([0, 2]), ("a",))
    with pytest.raises(ValueError, match="must stand once"):
        SegmentTable(np.zeros(0), np.zeros(0), None, np.array([0, 0, 0]), ("a", "a"))


def test_a_table_that_is_overwritten_gives_the_same_selection():
    rows = {"a": [[0.1, 0.0, 1.0], [0.2, 1.0, 2.0]], "b": [], "c": [[0.3, 2.0, 3.0]], "d": [[0.4, 3.0, 4.0]]}
    for ids in (["d", "x", "a", "c"], ["c", "d", "a", "b"], ["c"]):
        table = SegmentTable.from_rows(rows)
        expected = table.select(ids)
        found = table.select(ids, overwrite=True)
        assert found.ids == expected.ids
        for name in ("starts", "ends", "scores", "splits"):
            assert np.array_equal(getattr(found, name), getattr(expected, name))
            assert name == "splits" or np.shares_memory(getattr(found, name), getattr(table, name))
