import csv
import os

import numpy as np
import pytest

from avloc.report.frames import BLOCK_ROWS, COLUMNS, FrameWriter
from avloc.structures import FrameTable, Prediction, Recording, Status


def prediction_of(id, n_frames=3):
    rng = np.random.default_rng(n_frames)
    score = rng.random(n_frames).astype(np.float32)
    table = FrameTable(
        time_s=np.arange(n_frames) * 0.04,
        source_frame=np.arange(n_frames) - 1,
        channel=np.full(n_frames, -1),
        face=np.zeros(n_frames, np.int64),
        score_audio=np.full(n_frames, np.nan, np.float32),
        score_visual=score,
        score=score,
        in_segment=score > 0.5,
    )
    return Prediction(Recording(id, id, None, None, None, None, None), Status.ANALYSED, frames=table)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_holds_every_frame_and_leaves_out_what_is_none(tmp_path):
    n = BLOCK_ROWS + 5
    prediction = prediction_of("a.mp4", n)
    FrameWriter(str(tmp_path / "x.csv"), sources=[("a.mp4", "a.mp4")]).write(prediction)
    rows = rows_of(tmp_path / "x.csv")
    assert len(rows) == n and tuple(rows[0]) == COLUMNS == tuple(prediction.frames.columns())
    assert rows[0]["source_frame"] == rows[0]["channel"] == rows[0]["score_audio"] == ""
    assert rows[4]["time_s"] == "0.160000" and rows[4]["source_frame"] == "3" and rows[4]["face"] == "0"
    np.testing.assert_allclose([float(r["score"]) for r in rows], prediction.frames.score, atol=1e-6)
    assert [r["in_segment"] for r in rows] == [str(int(v)) for v in prediction.frames.in_segment]


def test_npz_holds_the_arrays_and_the_same_bytes_each_time(tmp_path):
    prediction = prediction_of("a.mp4")
    for name in ("x.npz", "y.npz"):
        FrameWriter(str(tmp_path / name), sources=[("a.mp4", "a.mp4")]).write(prediction)
    loaded = np.load(tmp_path / "x.npz")
    for name, values in prediction.frames.columns().items():
        np.testing.assert_array_equal(loaded[name], values)
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()


def test_several_recordings_get_a_file_each_that_never_collide(tmp_path):
    ids = ["x/a.mp4", "x_a.mp4", "../../x/A.mp4"]
    writer = FrameWriter(str(tmp_path / "new"), sources=[(id, id) for id in ids])
    for id in ids:
        writer.write(prediction_of(id))
    assert len(os.listdir(tmp_path / "new")) == 3 and os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize("name", ["x.csv", "x.npz"])
def test_a_recording_that_was_not_analysed_has_a_table_without_rows(tmp_path, name):
    failed = Prediction(Recording("a", "a", None, None, None, None, None), Status.ERROR)
    FrameWriter(str(tmp_path / name), sources=[("a", "a")]).write(failed)
    if name == "x.csv":
        assert (tmp_path / name).read_text() == ",".join(COLUMNS) + "\n"
    else:
        assert {key: len(values) for key, values in np.load(tmp_path / name).items()} == dict.fromkeys(
            COLUMNS, 0
        )


def test_places_that_do_not_fit_are_refused_before_anything_is_analysed(tmp_path):
    two = [("a", "a"), ("b", "b")]
    with pytest.raises(ValueError, match="for 2 recordings; name a folder"):
        FrameWriter(str(tmp_path / "x.csv"), sources=two)
    with pytest.raises(ValueError, match="empty"):
        FrameWriter("", sources=two)
    recording = tmp_path / "a.csv"
    recording.touch()
    with pytest.raises(FileExistsError, match="is one of the recordings"):
        FrameWriter(str(recording), sources=[("a", str(recording))])
    with pytest.raises(OSError, match="directory"):
        FrameWriter(str(tmp_path / "none" / "x.csv"), sources=two[:1])
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_recording_in_the_folder_is_never_replaced(tmp_path):
    recording = tmp_path / "a.frames.csv"
    recording.write_text("a recording")
    writer = FrameWriter(str(tmp_path), sources=[("a", str(recording))])
    with pytest.raises(FileExistsError, match="is one of the recordings"):
        writer.write(prediction_of("a"))
    assert recording.read_text() == "a recording"


def test_a_name_with_another_suffix_is_no_folder_by_mistake(tmp_path):
    sources = [("a.mp4", "a.mp4")]
    with pytest.raises(
        ValueError, match="another suffix; name a file that ends with .csv or .npz, or a folder"
    ):
        FrameWriter(str(tmp_path / "x.cvs"), sources=sources)
    (tmp_path / "there").write_text("kept")
    with pytest.raises(ValueError, match="is there and no folder"):
        FrameWriter(str(tmp_path / "there"), sources=sources)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there"]
    assert FrameWriter(str(tmp_path / "v1.2") + "/", sources=sources).is_folder
    assert FrameWriter(str(tmp_path / "v1.2"), sources=sources).is_folder  # it is there now
