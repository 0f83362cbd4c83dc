import json

import pytest

from avloc.errors import AnnotationError
from avloc.metrics import read_predictions, read_scores


def document(name, *rows, **more):
    segments = [{"score": s, "start_s": a, "end_s": b, "modality": "audio"} for s, a, b in rows]
    return {"analysed": {}, "schema": "avloc.result/1", "input": {"id": name}, "segments": segments, **more}


ROWS = {"a.mp4": [[0.9, 1.0, 2.0], [0.4, 3.0, 4.0]], "b.mp4": []}
RESULTS = {
    "version": "1.0",
    "results": {
        name: [{"label": "Fake", "score": s, "segment": [a, b]} for s, a, b in rows]
        for name, rows in ROWS.items()
    },
    "external_data": {},
}
DOCUMENTS = [document(name, *rows) for name, rows in ROWS.items()]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        json.dumps(RESULTS),
        json.dumps({"results": RESULTS["results"]}),
        json.dumps(DOCUMENTS),
        "\n".join(map(json.dumps, DOCUMENTS)),
        "\ufeff" + json.dumps(ROWS),
    ],
)
def test_every_shape_gives_the_same_table(tmp_path, text):
    (tmp_path / "p.json").write_text(text, encoding="utf-8")
    table = read_predictions(tmp_path / "p.json")
    assert table.ids == ("a.mp4", "b.mp4") and table.counts.tolist() == [2, 0]
    assert table.scores.tolist() == [0.9, 0.4] and table.ends.tolist() == [2.0, 4.0]


def test_one_document_and_an_empty_object(tmp_path):
    (tmp_path / "p.json").write_text(json.dumps(DOCUMENTS[0]))
    assert read_predictions(tmp_path / "p.json").ids == ("a.mp4",)
    (tmp_path / "p.json").write_text("{}")
    assert read_predictions(tmp_path / "p.json").ids == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a.mp4": None}, "'a.mp4' row 0"),
        ({"a.mp4": {"score": 1}}, "'a.mp4' row 0"),
        ({"results": {"a.mp4": [{"score": 1}]}}, "'a.mp4': expected a list of objects with 'score'"),
        ({"results": {"a.mp4": [{"score": 1, "segment": [2, 1]}]}}, "'a.mp4' row 0: expected end >= start"),
        ([1, 2], "document 0: expected"),
        ([{"schema": "other/1"}], "document 0: expected"),
        ([{"schema": "avloc.result/1"}], "document 0: expected input.id and segments"),
        ([DOCUMENTS[0], DOCUMENTS[0]], "document 1: 'a.mp4' stands twice"),
    ],
)
def test_what_is_no_prediction_is_refused_with_file_and_name(tmp_path, content, message):
    (tmp_path / "p.json").write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match=message) as error:
        read_predictions(tmp_path / "p.json")
    assert "p.json" in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(AnnotationError, match="absent.json': expected a file of predictions: No such file"):
        read_predictions(tmp_path / "absent.json")
    (tmp_path / "p.json").write_text('{"schema": "avloc.result/1", }')
    with pytest.raises(AnnotationError, match="expected JSON or JSON lines"):
        read_predictions(tmp_path / "p.json")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.mp4;b.mp4;0.5", "line 2: a name must not hold ';'"),
        ("a.mp4", "line 2: expected file;score"),
        ("a.mp4;nan", "line 2: expected file;score with a finite score"),
        ("x.mp4;0.4", "line 2: 'x.mp4' stands twice"),
    ],
)
def test_lines_of_scores(tmp_path, line, message):
    path = tmp_path / "prediction.txt"
    path.write_text(f"x.mp4;0.25\n{line}\n\n")
    with pytest.raises(AnnotationError, match=message):
        read_scores(path)
    assert read_scores(path, skip_invalid=True) == ({"x.mp4": 0.25}, 1)
