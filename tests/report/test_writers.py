"""Reports of several recordings, to streams, files and folders."""

import csv
import io
import json
import os

import pytest

from avloc.report.schema import canonical, to_dict, to_json
from avloc.report.writers import FORMATS, ReportWriter, write_report
from avloc.structures import Prediction, Reason, Recording, Status, Timing, Verdict


def prediction_of(id: str, **changes) -> Prediction:
    recording = Recording(
        id=id, path=id, sha256=None, n_bytes=None, container=None, start=None, duration=None
    )
    values = {"status": Status.ANALYSED, "verdict": Verdict.NONE_FOUND, "timing": Timing(1.0, 0.5)} | changes
    return Prediction(recording=recording, **values)


FAILED = prediction_of("b.wav", status=Status.ERROR, verdict=None, reasons=(Reason.NOT_FOUND,), timing=None)
THREE = [prediction_of("a.wav"), FAILED, prediction_of("c.wav")]


def written(predictions, **options) -> str:
    stream = io.StringIO()
    write_report(predictions, stream, **options)
    return stream.getvalue()


def test_json_of_one_recording_is_its_document():
    assert written(THREE[:1]) == to_json(THREE[0]) + "\n"


def test_json_of_several_is_the_canonical_array_in_input_order():
    assert written(THREE) == canonical([to_dict(prediction) for prediction in THREE]) + "\n"


@pytest.mark.parametrize("predictions", [[], THREE[:1], THREE])
def test_json_is_an_array_of_any_length_when_asked(predictions):
    assert json.loads(written(predictions, array=True)) == [to_dict(entry) for entry in predictions]


@pytest.mark.parametrize("predictions", [[], THREE])
def test_one_document_of_none_or_several_recordings_is_refused(predictions):
    with pytest.raises(ValueError, match="write an array instead"):
        written(predictions, array=False)


def test_jsonl_has_one_line_a_recording_flushed_at_once():
    class Stream(io.StringIO):
        flushed = 0

        def flush(self):
            self.flushed = self.getvalue().count("\n")

    stream = Stream()
    with ReportWriter(stream, format="jsonl") as report:
        for n, prediction in enumerate(THREE, start=1):
            report.write(prediction)
            assert stream.flushed == n
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [to_dict(p) for p in THREE]


def test_csv_has_one_header_and_a_row_for_every_recording():
    rows = list(csv.DictReader(io.StringIO(written(THREE, format="csv"))))
    assert [row["id"] for row in rows] == ["a.wav", "b.wav", "c.wav"]
    assert list(csv.DictReader(io.StringIO(written([], format="csv")))) == []


def test_text_has_a_block_for_every_recording():
    blocks = written(THREE, format="text").rstrip("\n").split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == ["a.wav", "b.wav", "c.wav"]


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_reproducible_reports_hold_no_times(format):
    assert "timing" in written(THREE, format=format)
    assert "timing" not in written(THREE, format=format, reproducible=True)


def test_several_recordings_do_not_fit_one_label_file(tmp_path):
    with pytest.raises(ValueError, match="3 recordings do not go into one document; write into a folder"):
        write_report(THREE, tmp_path / "out", format="labels")
    assert os.listdir(tmp_path) == []
    with pytest.raises(ValueError, match="got a second; write into a folder"):
        write_report(iter(THREE), io.StringIO(), format="labels")


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="jsonl.*'xml'"):
        written(THREE, format="xml")


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_holds_what_a_stream_would_get(tmp_path, format):
    predictions = THREE[:1] if FORMATS[format].is_single else THREE
    write_report(predictions, tmp_path / "out", format=format)
    with (tmp_path / "out").open(encoding="utf-8", newline="") as file:
        assert file.read() == written(predictions, format=format)
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("format", "suffix"),
    [("json", "json"), ("jsonl", "jsonl"), ("csv", "csv"), ("text", "txt"), ("labels", "labels.txt")],
)
def test_a_folder_gets_one_whole_file_a_recording(tmp_path, format, suffix):
    same = [prediction_of("x/a.wav"), prediction_of("x_a.wav"), prediction_of("../../x/A.wav")]
    write_report(same, f"{tmp_path}/new/", format=format)
    names = sorted(os.listdir(tmp_path / "new"))
    assert names == sorted([f"x_a.wav.{suffix}", f"x_a.wav-2.{suffix}", f"x_A.wav-3.{suffix}"])
    assert (tmp_path / "new" / names[0]).read_text() == written(
        [next(p for p in same if p.recording.id == "../../x/A.wav")], format=format
    )


def test_a_folder_that_takes_no_files_is_told_at_once(tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # the administrator may write anywhere
    with pytest.raises(PermissionError):
        write_report(iter(()), f"{tmp_path}/new/", format="json")


def failing():
    yield THREE[0]
    raise RuntimeError("the source of predictions failed")


def test_an_exception_leaves_a_file_as_it_was(tmp_path):
    (tmp_path / "out.json").write_text("old")
    with pytest.raises(RuntimeError):
        write_report(failing(), tmp_path / "out.json", array=True)
    assert (tmp_path / "out.json").read_text() == "old" and os.listdir(tmp_path) == ["out.json"]


def test_an_exception_leaves_a_valid_stream():
    stream = io.StringIO()
    with pytest.raises(RuntimeError):
        write_report(failing(), stream, array=True)
    assert json.loads(stream.getvalue()) == [to_dict(THREE[0])]


def test_a_recording_that_cannot_be_written_leaves_no_half_row():
    stream = io.StringIO()
    with ReportWriter(stream, format="json") as report:
        report.write(THREE[0])
        with pytest.raises(ValueError, match="finite"):
            report.write(prediction_of("nan.wav", score=float("nan")))
        report.write(THREE[2])
    assert json.loads(stream.getvalue()) == [to_dict(THREE[0]), to_dict(THREE[2])]


def test_a_full_disk_is_an_error_and_the_old_file_stays(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        write_report(THREE, tmp_path / "missing" / "out.json")
    if os.path.exists("/dev/full"):
        with pytest.raises(OSError, match="space"):
            write_report(THREE, "/dev/full")


def test_a_terminal_of_a_small_alphabet_gets_the_rest_spelt_out():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    write_report([prediction_of("café.wav")], stream, format="text")
    assert raw.getvalue().startswith(b"caf\\xe9.wav\n")


@pytest.mark.parametrize("kind", ["same", "symlink", "hard link"])
def test_a_recording_is_never_replaced_by_its_result(tmp_path, kind):
    path = target = tmp_path / "victim.wav"
    path.write_bytes(b"evidence")
    if kind != "same":
        target = tmp_path / "link.json"
        (target.symlink_to if kind == "symlink" else target.hardlink_to)(path)
    for predictions in (
        [prediction_of(str(path))],
        [FAILED, prediction_of(str(path))],
        iter([FAILED, prediction_of(str(path))]),
    ):
        with pytest.raises(FileExistsError, match=f"{target.name}' is one of the recordings"):
            write_report(predictions, target, format="jsonl")
    assert path.read_bytes() == b"evidence" and len(list(tmp_path.iterdir())) == 1 + (kind != "same")


@pytest.mark.parametrize("make", [list, iter])
def test_no_file_of_a_folder_replaces_a_recording(tmp_path, make, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "a.json"):
        (tmp_path / name).write_bytes(b"evidence")
    with pytest.raises(FileExistsError, match=r"a\.json' is one of the recordings"):
        write_report(make([prediction_of("a.json"), prediction_of("a")]), tmp_path, format="json")
    assert (tmp_path / "a.json").read_bytes() == b"evidence"
    assert not (tmp_path / "a.json.json").exists(), "nothing is written before the refusal"


def test_an_output_without_a_name_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="empty; name a file"):
        write_report(THREE, "")
    assert list(tmp_path.iterdir()) == []
