"""Folders of runs: what is noted, which lines count, what is repaired, who may write."""

import json
from pathlib import Path

import pytest

from avloc.errors import AnnotationError, ConfigError
from avloc.report.shards import RUN_FILE, Shard, ShardFile, agree, read_run, shards_of

RUN = {"n_recordings": 7, "n_shards": 3, "weights": {"sha256": "ab"}, "split": None}


def line(name, status="analysed", verdict="none_found", reasons=()):
    document = {"input": {"id": name}, "status": status, "verdict": verdict, "reasons": list(reasons)}
    return json.dumps(document) + "\n"


def test_shards_are_disjoint_and_complete():
    for n in range(1, 12):
        shards = [Shard(i, n).of(range(10)) for i in range(1, n + 1)]
        assert sorted(x for shard in shards for x in shard) == list(range(10))
        assert [len(s) for s in shards] == [Shard(i, n).size(10) for i in range(1, n + 1)]


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "1", "a/b", "1/2/3", "-1/2", "1/9999999"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ValueError, match="i/n with i from 1 to n"):
        Shard.parse(text)


def test_a_folder_holds_one_run(tmp_path):
    assert read_run(tmp_path) is None
    agree(tmp_path, RUN)
    before = (tmp_path / RUN_FILE).read_bytes()
    agree(tmp_path, RUN)
    assert [shard.name for shard in shards_of(read_run(tmp_path))][1:] == [
        "shard-2-of-3.jsonl",
        "shard-3-of-3.jsonl",
    ]
    with pytest.raises(ConfigError) as error:
        agree(tmp_path, {**RUN, "n_shards": 4, "weights": {"sha256": "cd"}})
    assert "n_shards is 3 there and 4 here, weights.sha256 is 'ab' there and 'cd' here" in str(error.value)
    assert (tmp_path / RUN_FILE).read_bytes() == before


@pytest.mark.parametrize("has_links", [True, False])
def test_of_two_runs_that_begin_at_once_one_is_refused(tmp_path, monkeypatch, has_links):
    """Both looked before either wrote."""
    if not has_links:
        monkeypatch.setattr("os.link", refuse_links)
    agree(tmp_path, RUN)
    before = (tmp_path / RUN_FILE).read_bytes()
    monkeypatch.setattr(Path, "exists", lambda path: False)
    with pytest.raises(ConfigError, match="n_shards is 3 there and 4 here"):
        agree(tmp_path, {**RUN, "n_shards": 4})
    assert (tmp_path / RUN_FILE).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [RUN_FILE]


def refuse_links(*_: object, **__: object) -> None:
    raise PermissionError("no links here")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "avloc.run/1", "n_shards": 2}', "\x00"])
def test_a_note_that_cannot_be_read_is_refused(tmp_path, text):
    (tmp_path / RUN_FILE).write_text(text)
    with pytest.raises(AnnotationError, match=r"run.json': expected what avloc noted of a run"):
        read_run(tmp_path)
    (tmp_path / RUN_FILE).write_text(json.dumps({**RUN, "schema": "avloc.run/2"}))
    with pytest.raises(AnnotationError, match="expected the schema 'avloc.run/1', got 'avloc.run/2'"):
        agree(tmp_path, RUN)


@pytest.mark.parametrize("half", ['{"input": {"id": "b"', line("b")[:-1], "\0\0\0\n", "{}\n"])
def test_a_last_line_that_is_not_whole_is_cut_off_and_what_is_whole_stays(tmp_path, half, caplog):
    path = tmp_path / "shard"
    path.write_text(line("a", "error", None, ["not_found"]) + half)
    with ShardFile(path, ["a", "b"]) as file:
        assert file.rows == [("a", "error", None, ("not_found",))]
        file.stream.write(line("b"))
    assert [json.loads(text)["input"]["id"] for text in path.read_text().splitlines()] == ["a", "b"]
    assert "line 2 was not finished" in caplog.text


def test_no_row_at_all_is_a_beginning(tmp_path):
    with ShardFile(tmp_path / "new", ["a"]) as file:
        assert file.rows == []
    assert (tmp_path / "new").read_bytes() == b""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}\n" + line("a"), "line 1: expected the row of a recording"),
        (line("a") + line("x"), "line 2: 'x' is no recording of this shard"),
        (line("a") + line("a"), "line 2: 'a' stands twice"),
    ],
)
def test_other_damage_is_told_and_nothing_is_touched(tmp_path, text, message):
    path = tmp_path / "shard"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=message):
        ShardFile(path, ["a", "b"])
    assert path.read_text() == text


def test_a_shard_has_one_writer(tmp_path):
    with ShardFile(tmp_path / "shard", ["a"]):
        with pytest.raises(ConfigError, match="another process writes this shard"):
            ShardFile(tmp_path / "shard", ["a"])
        ShardFile(tmp_path / "other", ["a"]).stream.close()
    ShardFile(tmp_path / "shard", ["a"]).stream.close()


def test_a_folder_without_locks_is_no_reason_to_stop(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("avloc.report.shards.fcntl.flock", refuse)
    with ShardFile(tmp_path / "shard", ["a"]) as file:
        assert file.rows == []
    assert "cannot be locked" in caplog.text
