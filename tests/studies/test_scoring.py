import csv
import json

import pytest

from avloc import evaluate
from avloc.datasets.named import build_dataset
from avloc.errors import AnnotationError
from avloc.metrics import read_predictions
from avloc.studies.loading import Settings
from avloc.studies.scoring import score_files

META = [
    {"file": "test/a.mp4", "split": "test", "fake_periods": [[1, 2]], "duration": 9, "modify_audio": True},
    {
        "file": "test/b.mp4",
        "split": "test",
        "fake_periods": [[0, 1], [3, 5]],
        "duration": 9,
        "modify_video": True,
    },
    {"file": "test/g.mp4", "split": "test", "fake_periods": [], "duration": 3600},
    {"file": "test/h.mp4", "split": "test", "fake_periods": [], "duration": 3600},
    {"file": "dev/c.mp4", "split": "dev", "fake_periods": [[2, 3]], "duration": 9},
]
ROWS = {
    "test/a.mp4": [[0.9, 1, 2.1], [0.2, 5, 6]],
    "test/b.mp4": [[0.8, 0, 1], [0.6, 3, 5]],
    "test/g.mp4": [[0.7, 4, 5]],
    "test/h.mp4": [],
}


@pytest.fixture
def files(tmp_path):
    """Write the references and return a function that writes predictions."""
    (tmp_path / "metadata.json").write_text(json.dumps(META))

    def write(rows, name="pred.json"):
        (tmp_path / name).write_text(json.dumps(rows))
        return tmp_path / name, tmp_path / "metadata.json"

    return write


def scored(paths, *, options=None, **settings):
    return score_files(*paths, settings=Settings(**settings), **options or {})


def test_the_answer_has_the_keys_that_were_promised(files):
    answer = scored(files(ROWS), protocol="av1m", split="test")
    assert list(answer) == ["protocol", "split", "n", "coverage", "metrics", "intervals", "warnings"]
    assert (answer["protocol"], answer["split"], answer["n"], answer["coverage"]) == ("av1m", "test", 4, 1.0)
    assert answer["intervals"] is None and {"AP@0.95", "AR@50", "mAP", "mAR", "AUC", "EER"} <= set(
        answer["metrics"]
    )


@pytest.mark.parametrize("protocol", ["corrected", "lavdf", "av1m", "anet"])
def test_files_and_python_give_the_same_figures(files, protocol):
    paths = files(ROWS)
    found = evaluate(
        read_predictions(paths[0]), build_dataset("lavdf", root=paths[1], split="test"), protocol=protocol
    )
    metrics = scored(paths, protocol=protocol, split="test")["metrics"]
    assert metrics and all(found[name] == value for name, value in metrics.items())


def test_a_part_of_several_splits_needs_a_name(files):
    with pytest.raises(AnnotationError, match=r"4 of 5 recordings.*\['dev', 'test'\]; name one with --split"):
        scored(files(ROWS))
    everything = scored(files(ROWS | {"dev/c.mp4": [[0.5, 2, 3]]}))
    assert everything["split"] is None and everything["n"] == 5


@pytest.mark.parametrize("beside", [False, True])
def test_a_folder_that_holds_two_splits_asks_for_one(tmp_path, beside):
    for split in ("train", "val"):
        entry = {"file": f"{split}.mp4", "modify_type": "both_modified", "fake_segments": [[1, 2]]}
        path = tmp_path / split / "vox" / "a.json" if beside else tmp_path / f"{split}_metadata.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(entry if beside else [entry]))
    rows = {"train.mp4": [[0.9, 1, 2]], "val.mp4": [[0.9, 1, 2]]}
    (tmp_path / "pred").write_text(json.dumps(rows))
    with pytest.raises(AnnotationError, match=r"holds the splits \['train', 'val'\].* name one with --split"):
        scored((tmp_path / "pred", tmp_path))
    (tmp_path / "pred").write_text(json.dumps({"val.mp4": [[0.9, 1, 2]]}))
    answer = scored((tmp_path / "pred", tmp_path), split="val")
    assert (answer["split"], answer["n"], answer["metrics"]["AP@0.5"]) == ("val", 1, 1.0)


def test_rows_of_other_splits_are_dropped_and_counted(files):
    answer = scored(files(ROWS | {"dev/c.mp4": [[0.99, 0, 1]]}), split="test")
    assert answer["metrics"] == scored(files(ROWS), split="test")["metrics"]
    assert answer["warnings"] == ["1 recordings of other splits were dropped: 'dev/c.mp4'"]
    with pytest.raises(AnnotationError, match="no recording with split='val'; there are"):
        scored(files(ROWS), split="val")


def test_missing_and_empty_entries_count_as_missed_with_a_warning(files):
    rows = {name: entry for name, entry in ROWS.items() if name != "test/b.mp4"} | {"test/a.mp4": []}
    answer = scored(files(rows), split="test")
    assert answer["coverage"] == 0.75 and answer["metrics"]["AR@5"] == 0.0
    assert any("have no entry" in w for w in answer["warnings"])
    assert any("have no proposal" in w for w in answer["warnings"])


def test_unknown_recordings_and_invalid_rows_are_refused_or_dropped(files):
    with pytest.raises(AnnotationError, match="pred.json': 1 recordings are not in the references: 'zz.mp4'"):
        scored(files(ROWS | {"zz.mp4": [[0.99, 0, 1]]}), split="test")
    bad = files(ROWS | {"test/g.mp4": [[0.7, 4, 5], [0.6, 5, 4]], "zz.mp4": [[0.9, 0, 1]]})
    with pytest.raises(AnnotationError, match="pred.json': 'test/g.mp4' row 1: expected end >= start"):
        scored(bad, split="test")
    answer = scored(bad, split="test", skip_invalid=True)
    assert answer["metrics"] == scored(files(ROWS), split="test")["metrics"]
    assert sorted(w for w in answer["warnings"] if "dropped" in w) == [
        "1 invalid rows were dropped",
        "1 recordings that the references do not know were dropped: 'zz.mp4'",
    ]


def test_frames_and_sorting(files):
    frames = {name: [[s, a * 25, b * 25] for s, a, b in entry][::-1] for name, entry in ROWS.items()}
    answer = scored(files(frames), split="test", protocol="lavdf", fps=25.0, sort=True)
    assert answer["metrics"] == scored(files(ROWS), split="test", protocol="lavdf")["metrics"]
    unsorted = scored(files(frames), split="test", protocol="lavdf", fps=25.0)
    assert any("unsorted" in warning for warning in unsorted["warnings"])


def test_scores_of_their_own_replace_the_highest_proposal(files, tmp_path):
    (tmp_path / "prediction.txt").write_text("test/a.mp4;0.1\ntest/b.mp4;0.9\ntest/g.mp4;0.5\n")
    options = {"scores": tmp_path / "prediction.txt"}
    answer = scored(files(ROWS), split="test", options=options)
    assert (
        answer["metrics"]["AUC"] == 0.75 and "1 reference recordings have no score" in answer["warnings"][0]
    )
    (tmp_path / "prediction.txt").write_text("test/a.mp4;0.1\nother;0.3\n")
    with pytest.raises(
        AnnotationError, match="prediction.txt': 1 recordings are not in the references: 'other'"
    ):
        scored(files(ROWS), split="test", options=options)
    answer = scored(files(ROWS), split="test", options=options, skip_invalid=True)
    assert answer["warnings"][0].startswith("1 lines of")


def test_details_and_slices(files):
    answer = scored(files(ROWS), split="test", options={"with_details": True}, threshold=0.65)
    found = answer["details"]
    assert found["boundary_error_median_ms"] == 0.0 and found["boundary_error_p90_ms"] == pytest.approx(50.0)
    assert (
        found["found@0.5"] == 1.0 and found["precision"] == pytest.approx(2 / 3) and found["recall"] == 2 / 3
    )
    assert found["F1"] == pytest.approx(2 / 3)
    # a: 1 hit, 1 proposal, 1 reference; b: 1 hit of 2 references.
    assert found["SF1@0.5"] == pytest.approx((1 + 2 / 3) / 2)
    curve = found["risk_coverage"]  # at 0.65 the genuine g (0.7) is called forged, and is the least certain
    assert curve["risk"] == [0.0] * 7 + [0.25] * 3 and curve["area"] == 0.0625
    assert found["false_alarms"]["count"] == 1 and found["false_alarms"]["hours"] == 2.0
    assert found["Cllr_min"] == 0.0 < found["Cllr"] and found["segment_EER@20ms"] < 0.01
    assert sorted(answer["slices"]["modality"]) == ["audio", "visual"]
    assert answer["slices"]["modality"]["audio"]["n"] == 3 and "generator" not in answer["slices"]
    json.dumps(answer, allow_nan=False)


def test_the_table_of_errors_has_one_row_a_recording(files, tmp_path):
    rows = {name: entry[:1] for name, entry in ROWS.items()}
    scored(files(rows), split="test", options={"errors": tmp_path / "e.csv"})
    table = {row["recording"]: row for row in csv.DictReader((tmp_path / "e.csv").read_text().splitlines())}
    assert list(table) == [entry["file"] for entry in META[:4]]
    b = table["test/b.mp4"]
    assert (b["is_forged"], b["n_references"], b["n_found"], b["n_missed"]) == ("1", "2", "1", "1")
    assert b["modality"] == "visual" and b["score"] == "0.8" and b["mean_start_error_s"] == "0.0"
    assert table["test/a.mp4"]["mean_end_error_s"] == "0.1"
    assert table["test/h.mp4"]["score"] == "" and table["test/g.mp4"]["is_forged"] == "0"


def test_two_systems_are_compared_on_the_same_references(files):
    paths = files(ROWS)
    other, _ = files({name: entry[1:] for name, entry in ROWS.items()}, "other.json")
    answer = scored(paths, split="test", options={"other": other}, bootstrap=60)
    found = answer["comparison"]
    second = scored((other, paths[1]), split="test")["metrics"]
    for name, difference in found["differences"].items():
        assert difference == pytest.approx(answer["metrics"][name] - second[name])
    low, high = found["intervals"]["AP@0.5"]
    assert low <= found["differences"]["AP@0.5"] <= high and low > 0
    assert found["recall_per_recording"]["n"] == 2 and found["recall_per_recording"]["better"] == 1
    same = scored(paths, split="test", options={"other": paths[0]}, bootstrap=20)["comparison"]
    assert set(same["differences"].values()) == {0.0} and same["recall_per_recording"]["p"] is None


def test_the_other_system_is_held_to_the_same_rules(files):
    paths = files(ROWS)
    other, _ = files(ROWS | {"zz.mp4": [[0.9, 0, 1]], "test/h.mp4": [[0.5, 2, 1]]}, "other.json")
    with pytest.raises(AnnotationError, match="other.json': 'test/h.mp4' row 0"):
        scored(paths, split="test", options={"other": other}, bootstrap=5)
    answer = scored(paths, split="test", options={"other": other}, bootstrap=5, skip_invalid=True)
    assert any("1 invalid rows" in w and "other.json" in w for w in answer["warnings"])
    assert any("'zz.mp4'" in w and "other.json" in w for w in answer["warnings"])


def test_the_other_system_gets_the_warnings_of_the_first(files):
    paths = files(ROWS)
    rows = {"test/a.mp4": [[0.2, 5, 6], [0.9, 1, 2.1]], "test/b.mp4": []}
    other, _ = files(rows, "other.json")
    alone = scored((other, paths[1]), split="test", protocol="av1m")["warnings"]
    assert len(alone) == 3  # no entry, no proposal, unsorted
    both = scored(paths, split="test", protocol="av1m", options={"other": other}, bootstrap=5)["warnings"]
    assert [w for w in both if "other.json" in w] == [f"{str(other)!r}: {warning}" for warning in alone]


def test_given_scores_serve_the_comparison_and_the_table_of_errors(files, tmp_path):
    paths = files(ROWS)
    (tmp_path / "scores.txt").write_text("test/a.mp4;0.1\ntest/b.mp4;0.9\ntest/g.mp4;0.5\ntest/h.mp4;0.0\n")
    options = {"scores": tmp_path / "scores.txt", "other": paths[0], "errors": tmp_path / "e.csv"}
    answer = scored(paths, split="test", options=options, bootstrap=5)
    assert answer["metrics"]["AUC"] == 0.75
    assert answer["comparison"]["differences"]["AUC"] == -0.25  # the other's highest proposals are all right
    assert any("pred.json': recordings are scored by their highest proposal" in w for w in answer["warnings"])
    table = csv.DictReader((tmp_path / "e.csv").read_text().splitlines())
    assert [row["score"] for row in table] == ["0.1", "0.9", "0.5", "0.0"]
    options["other_scores"] = options["scores"]
    answer = scored(paths, split="test", options=options, bootstrap=5)
    assert answer["comparison"]["differences"]["AUC"] == 0.0 and not answer["warnings"]


def test_a_figure_without_any_reference_is_null_with_a_warning(files):
    answer = scored((files({"test/g.mp4": [[0.7, 4, 5]]})[0], _genuine(files)), protocol="av1m")
    assert answer["metrics"]["AP@0.5"] is None and answer["metrics"]["challenge_score"] is None
    assert any("AP@0.5 is not defined" in warning for warning in answer["warnings"])


def _genuine(files):
    _, references = files({}, "none.json")
    references.write_text(json.dumps([META[2]]))
    return references
