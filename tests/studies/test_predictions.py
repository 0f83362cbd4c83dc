import json

import pytest

from avloc.errors import AnnotationError
from avloc.report.shards import agree
from avloc.studies.predictions import read_all, split_of


def line(name, score=0.5, *rows):
    segments = [{"score": s, "start_s": a, "end_s": b} for s, a, b in rows]
    document = {"schema": "avloc.result/1", "input": {"id": name}, "score": score, "segments": segments}
    return json.dumps(document) + "\n"


def test_files_of_any_shape_in_a_folder_are_read_as_one(tmp_path):
    (tmp_path / "b.json").write_text(json.dumps({"b.mp4": [[0.9, 1, 2]]}))
    (tmp_path / "a.jsonl").write_text(line("a.mp4", 0.25) + line("c.mp4", 0.5, (0.7, 0, 1)))
    (tmp_path / "readme.txt").write_text("no predictions")
    warnings = []
    found = read_all(tmp_path, warnings)
    assert found.rows.ids == ("a.mp4", "c.mp4", "b.mp4") and found.scores == {"a.mp4": 0.25, "c.mp4": 0.5}
    assert warnings == [] and split_of(tmp_path) is None and split_of(tmp_path / "b.json") is None


def test_only_shards_of_a_run_count_and_gaps_are_told(tmp_path):
    agree(tmp_path, {"n_recordings": 5, "n_shards": 3, "split": "test"})
    (tmp_path / "shard-1-of-3.jsonl").write_text(line("a") + line("d"))
    (tmp_path / "shard-2-of-3.jsonl").write_text(line("b") + line("e")[:-5])
    (tmp_path / "other.json").write_text("[1, 2]")
    warnings = []
    assert read_all(tmp_path, warnings).rows.ids == ("a", "d", "b") and split_of(tmp_path) == "test"
    assert [warning.split(";")[0] for warning in warnings] == [
        "shard 2 of 3 holds 1 of 2 recordings",
        f"shard 3 of 3 is absent: {str(tmp_path / 'shard-3-of-3.jsonl')!r}",
    ]
    (tmp_path / "shard-3-of-3.jsonl").write_text(line("a"))
    with pytest.raises(AnnotationError, match=r"\['a'\] more than once"):
        read_all(tmp_path, [])


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(
        AnnotationError, match="expected files of predictions, .json or .jsonl; none is there"
    ):
        read_all(tmp_path, [])
