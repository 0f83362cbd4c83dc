import json
import zipfile

import pytest

from avloc.errors import AnnotationError
from avloc.metrics import read_predictions
from avloc.studies.submission import submit

ROWS = {"b.mp4": [[0.2, 1, 2], [0.9, 0.5, 1.25]], "a/ä.mp4": [], "c.mp4": [[0.3, 0, 1]]}


def document(name, score, *rows):
    segments = [{"score": s, "start_s": a, "end_s": b} for s, a, b in rows]
    return {"schema": "avloc.result/1", "input": {"id": name}, "score": score, "segments": segments}


@pytest.fixture
def predictions(tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps(ROWS))
    return path


def test_the_three_files(predictions, tmp_path):
    answer = submit(predictions, tmp_path / "out")
    assert answer["n"] == 3
    assert answer["files"] == [
        str(tmp_path / "out" / f"prediction.{suffix}") for suffix in ("json", "txt", "zip")
    ]
    assert answer["warnings"] == [
        "1 recordings have no proposal and get a row of score 0 and no length: 'a/ä.mp4'"
    ]
    content = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert content == {
        "b.mp4": [[0.9, 0.5, 1.25], [0.2, 1, 2]],
        "a/ä.mp4": [[0, 0, 0]],
        "c.mp4": [[0.3, 0, 1]],
    }
    assert (tmp_path / "out" / "prediction.txt").read_text() == "b.mp4;0.9\na/ä.mp4;0.0\nc.mp4;0.3\n"
    with zipfile.ZipFile(tmp_path / "out" / "prediction.zip") as archive:
        assert archive.namelist() == ["prediction.json", "prediction.txt"]
        assert json.loads(archive.read("prediction.json")) == content
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "prediction.json",
        "prediction.txt",
        "prediction.zip",
    ]


def test_the_same_predictions_give_the_same_bytes(predictions, tmp_path):
    for name in ("one", "two"):
        submit(predictions, tmp_path / name)
    one, two = (tmp_path / name / "prediction.zip" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_what_was_written_is_read_again(predictions, tmp_path):
    submit(predictions, tmp_path / "out")
    table = read_predictions(tmp_path / "out" / "prediction.json")
    assert table.ids == tuple(ROWS) and table.scores.tolist() == [0.9, 0.2, 0.0, 0.3]


def test_the_list_of_the_challenge_decides_which_and_in_which_order(predictions, tmp_path):
    (tmp_path / "test_files.txt").write_text("c.mp4\nabsent.mp4\nb.mp4\n")
    with pytest.raises(AnnotationError, match="1 recordings are not in .*test_files.txt': 'a/ä.mp4'"):
        submit(predictions, tmp_path / "out", files=tmp_path / "test_files.txt")
    answer = submit(predictions, tmp_path / "out", files=tmp_path / "test_files.txt", skip_invalid=True)
    assert list(json.loads((tmp_path / "out" / "prediction.json").read_text())) == [
        "c.mp4",
        "absent.mp4",
        "b.mp4",
    ]
    assert any(
        "1 of 3 listed recordings have no entry: 'absent.mp4'" in warning for warning in answer["warnings"]
    )


def test_documents_of_a_folder_with_their_own_scores(tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    (shards / "1.jsonl").write_text(json.dumps(document("a.mp4", 0.4, (0.9, 1, 2))) + "\n")
    (shards / "2.jsonl").write_text(
        json.dumps(document("b.mp4", None)) + "\n" + json.dumps(document("c.mp4", 0.1, (0.2, 0, 1))) + "\n"
    )
    warnings = submit(shards, tmp_path / "out")["warnings"]
    assert any("1 of 3 recordings have no score in their result documents" in w for w in warnings)
    assert (tmp_path / "out" / "prediction.txt").read_text() == "a.mp4;0.4\nb.mp4;0.0\nc.mp4;0.1\n"
    (shards / "3.jsonl").write_text(json.dumps(document("a.mp4", 0.4)) + "\n")
    with pytest.raises(AnnotationError, match="'a.mp4'.* more than once"):
        submit(shards, tmp_path / "out")


def test_scores_that_are_given_win_and_what_they_lack_is_told(predictions, tmp_path):
    scores = tmp_path / "s.txt"
    scores.write_text("b.mp4;0.5\n")
    answer = submit(predictions, tmp_path / "out", scores=scores)
    assert (tmp_path / "out" / "prediction.txt").read_text() == "b.mp4;0.5\na/ä.mp4;0.0\nc.mp4;0.3\n"
    assert (
        f"2 of 3 recordings have no score in {str(scores)!r} and get that of their highest proposal, or 0 "
        "without one: 'a/ä.mp4', 'c.mp4'" in answer["warnings"]
    )
    scores.write_text("b.mp4;0.5\na/ä.mp4;0.1\nc.mp4;0.2\n")
    assert not any(
        "have no score" in w for w in submit(predictions, tmp_path / "out", scores=scores)["warnings"]
    )


def test_scores_of_unknown_recordings_and_invalid_lines_are_refused_or_dropped(predictions, tmp_path):
    scores = tmp_path / "s.txt"
    scores.write_text("b.mp4;0.5\na/ä.mp4;0.1\nc.mp4;0.2\nz.mp4;0.9\nz.mp4;nan\n")
    with pytest.raises(AnnotationError, match=r"s.txt', line 5"):
        submit(predictions, tmp_path / "out", scores=scores)
    warnings = submit(predictions, tmp_path / "out", scores=scores, skip_invalid=True)["warnings"]
    assert f"1 invalid lines of {str(scores)!r} were dropped" in warnings
    assert f"{str(scores)!r}: 1 recordings are not submitted: 'z.mp4'; their scores were dropped" in warnings
    scores.write_text("b.mp4;0.5\nz.mp4;0.9\n")
    with pytest.raises(AnnotationError, match=r"s.txt': 1 recordings are not submitted: 'z.mp4'"):
        submit(predictions, tmp_path / "out", scores=scores)


@pytest.mark.parametrize("name", ["a;b.mp4", "a\nb.mp4"])
def test_a_name_that_the_text_file_cannot_hold_is_refused(tmp_path, name):
    (tmp_path / "p.json").write_text(json.dumps({name: [[0.1, 0, 1]]}))
    with pytest.raises(AnnotationError, match="cannot stand in prediction.txt"):
        submit(tmp_path / "p.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="none is there"):
        submit(tmp_path, tmp_path / "out")
