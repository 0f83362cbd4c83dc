import json

import pytest

from avloc.errors import AnnotationError
from avloc.metrics import prediction_files, read_predictions, read_scores
from avloc.metrics.prediction_files import read_document_lines


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


def test_lines_are_read_in_parts_that_nobody_sees(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_files, "LINES_TOGETHER", 2)
    path = tmp_path / "p.jsonl"
    lines = [json.dumps(document(f"{i}.mp4", (0.5, i, i + 1), score=i / 10)) for i in range(5)]
    path.write_text("\ufeff" + lines[0] + "\n\n" + "\n".join(lines[1:]), encoding="utf-8")
    found = prediction_files.read_prediction_file(path)
    assert found.rows.ids == tuple(f"{i}.mp4" for i in range(5)) and found.rows.starts.tolist() == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert found.scores == {f"{i}.mp4": i / 10 for i in range(5)}
    for wrong, message in (
        (lines[0], r"'0.mp4'\] more than once"),
        (lines[4], r"line 6: '4.mp4' stands twice"),
        (lines[0][:-5], "line 6: expected JSON"),
        ("{}", "line 6: expected .* got dict"),
    ):
        path.write_text("\n".join([*lines, wrong]))
        with pytest.raises(AnnotationError, match=message) as error:
            read_predictions(path)
        assert "p.jsonl" in str(error.value)


def test_a_line_that_is_being_written_is_left_out_where_that_is_said(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join([json.dumps(DOCUMENTS[0]), json.dumps(DOCUMENTS[1])[:-3]]))
    with path.open("rb") as stream:
        assert read_document_lines(stream, source="p", may_be_cut=True).rows.ids == ("a.mp4",)
    with pytest.raises(AnnotationError, match="line 2: expected JSON"):
        read_predictions(path)
    path.write_bytes(b"")
    with path.open("rb") as stream:
        assert read_document_lines(stream, source="p", may_be_cut=True).rows.ids == ()


def test_an_invalid_row_of_a_line_is_refused_or_dropped(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(json.dumps(document(n, (0.5, 2, 1), (0.4, 1, 2))) for n in "ab"))
    with pytest.raises(AnnotationError, match="'a' row 0: expected end >= start"):
        read_predictions(path)
    table = read_predictions(path, skip_invalid=True)
    assert table.counts.tolist() == [1, 1] and table.n_skipped == 2
