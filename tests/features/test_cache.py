"""The cache of features: keys, shards that are whole, rows there and back."""

import os

import numpy as np
import pytest

from avloc.errors import AnnotationError
from avloc.features.cache import FeatureCache, FeatureRow, Stored, feature_key, read_features, read_rows

ROWS = np.arange(12, dtype=np.float16).reshape(3, 4)


def put(folder, row: FeatureRow) -> None:
    (folder / "runs" / "a").mkdir(parents=True, exist_ok=True)
    with (folder / "runs" / "a" / "shard-1-of-1.jsonl").open("a") as stream:
        stream.write(row.to_line())


def test_a_key_hangs_on_all_that_decides_and_on_nothing_else():
    settings = {"dtype": "float16", "version": 1}
    key = feature_key("ab", "cd", settings)
    assert key == feature_key("ab", "cd", dict(reversed(settings.items())))
    others = [("ac", "cd", settings), ("ab", "ce", settings), ("ab", "cd", settings | {"version": 2})]
    assert len({key, *(feature_key(*other) for other in others)}) == 4


def test_what_was_written_is_found_by_another_process_once_a_row_names_it(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.write({"k": (ROWS, 2, ("truncated",)), "nobody": (ROWS[:0], 0, ())})
    assert cache.find("k") == Stored("k", cache.find("k").shard, 3, 2, ("truncated",))
    assert FeatureCache(tmp_path).find("k") is None
    put(tmp_path, FeatureRow("x", "analysed", features={"audio": cache.find("k")}, stamp=((1, 2), None)))
    again = FeatureCache(tmp_path)
    np.testing.assert_array_equal(read_features(tmp_path, again.find("k")), ROWS)
    assert read_features(tmp_path, cache.find("nobody")).shape == (0, 4)
    (row,) = read_rows(tmp_path / "runs" / "a" / "shard-1-of-1.jsonl")
    assert row.stamp == ((1, 2), None) and row.features == {"audio": again.find("k")}


def test_features_whose_shard_is_gone_are_not_there(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.write({"k": (ROWS, 3, ())})
    stored = cache.find("k")
    put(tmp_path, FeatureRow("x", "analysed", features={"audio": stored}))
    (tmp_path / "features" / stored.shard).unlink()
    assert FeatureCache(tmp_path).find("k") is None
    with pytest.raises(AnnotationError, match="remove the file, and the same command makes it again"):
        read_features(tmp_path, stored)


def test_a_shard_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError(28, "No space left on device")

    cache = FeatureCache(tmp_path)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        cache.write({"k": (ROWS, 3, ())})
    assert os.listdir(tmp_path / "features") == [] and cache.find("k") is None


def test_a_damaged_shard_and_another_tensor_are_refused(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.write({"k": (ROWS, 3, ()), "n": (np.arange(3)[:, None], 3, ())})
    with pytest.raises(AnnotationError, match=r"expected floats \(3, C\) under 'n', got int64"):
        read_features(tmp_path, cache.find("n"))
    path = tmp_path / "features" / cache.find("k").shard
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(AnnotationError, match="expected features of avloc extract"):
        read_features(tmp_path, cache.find("k"))


def test_a_line_that_is_being_written_is_left_out_and_another_one_refused(tmp_path):
    path = tmp_path / "shard-1-of-1.jsonl"
    line = FeatureRow("x", "error", ("not_found",), message="why").to_line()
    path.write_text(line + line[:20])
    assert [row.id for row in read_rows(path)] == ["x"]
    for wrong in ("{}", "[]", '{"id":1}', line[:-2], line.replace('"features":{}', '"features":{"a":{}}')):
        path.write_text(line + wrong.rstrip() + "\n")
        with pytest.raises(AnnotationError, match="line 2: expected a row of avloc extract"):
            list(read_rows(path))
