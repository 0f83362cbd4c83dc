import numpy as np
import pytest

from avloc.features.quality import channel_relations
from avloc.media.decode import FaceFrames, VideoBlock
from avloc.pipelines.measures import ChannelMeasures, FaceMeasures, FaceRows, RunningRelations


@pytest.mark.parametrize("seed", range(4))
def test_running_relations_are_those_of_the_whole_recording(seed):
    rng = np.random.default_rng(seed)
    base = rng.normal(0, 0.1, (2, 48000))
    near = base[0] + rng.normal(0, 0.1 * (0.05, 0.12, 0.16, 0.5)[seed], 48000)
    samples = np.stack([base[0], np.full(48000, 0.3), base[1], -2 * base[1] + 0.1, near, 1e-5 * base[0]])
    samples = samples.astype(np.float32)
    running = RunningRelations(len(samples))
    for start in range(0, 48000, 7001):
        running.push(samples[:, start : start + 7001])
    assert running.relations() == channel_relations(samples)


def test_relations_of_nothing_are_silence():
    assert RunningRelations(2).relations() == ["silent", "silent"]


def test_quality_is_weighed_over_windows():
    rng = np.random.default_rng(0)
    speech = np.arange(16000) % 8000 < 4000
    clean = np.where(speech, rng.normal(0, 0.1, 16000), rng.normal(0, 1e-3, 16000))
    noisy = np.where(speech, rng.normal(0, 0.1, 16000), rng.normal(0, 0.08, 16000))
    noisy[:16] = 1.0
    measures = ChannelMeasures()
    assert (measures.snr_db, measures.bandwidth_hz, measures.clipping, measures.coverage) == (None,) * 4
    measures.push(clean, speech)
    assert measures.snr_db == pytest.approx(40.0, abs=1.0) and measures.low_snr_speech_s == 0.0
    measures.push(noisy, speech)
    assert measures.low_snr_speech_s == pytest.approx(0.5) and measures.speech_s == pytest.approx(1.0)
    assert measures.clipping == pytest.approx(16 / 32000) and measures.bandwidth_hz == 8000.0


def block(start, face, boxes, present):
    n = len(present)
    crops = {"mouth96_box": np.zeros((n, 96, 96), np.uint8)}
    faces = FaceFrames(face, np.tile(np.float32(boxes), (n, 1)), np.array(present), crops)
    return VideoBlock(start, np.arange(n), (faces,), np.zeros(n, bool))


def test_faces_have_their_extent_and_median_box():
    faces = FaceMeasures((640, 360))
    for start in range(0, 75, 25):
        faces.push_block(block(start, 3, (10, 20, 100 + start, 120), [True] * 25))
    faces.push_block(block(75, 9, (0, 0, 90, 90), [True] * 5))  # too short to be told of
    (face,) = faces.faces(2.9)
    assert (face.id, face.segment.start, face.segment.end) == (3, 0.0, 2.9)
    assert face.box == (10, 20, 125, 120)


def test_gaps_of_a_few_frames_do_not_break_a_span_but_a_new_face_does():
    faces = FaceMeasures(None)
    mouth = np.random.default_rng(0).integers(0, 255, (100, 96, 96)).astype(np.uint8)
    kept = np.ones(100, bool)
    kept[20:25] = False  # bridged
    kept[40:46] = False  # not bridged
    first = np.arange(100) < 80
    rows = [
        FaceRows(n, np.where(shown, 9e9, 0.0), kept & shown, 0, {"mouth96_box": mouth})
        for n, shown in enumerate((first, ~first))
    ]
    faces.push_new(10, rows)
    assert faces.runs == [(0, 10, 50), (0, 56, 90), (1, 90, 110)]
    assert faces.usable_frames == 89 and faces.static_frames == faces.several_frames == 0


def test_frames_with_two_faces_count_once():
    faces = FaceMeasures((640, 360))
    still, moving = np.full((50, 96, 96), 80, np.uint8), np.zeros((50, 96, 96), np.uint8)
    moving[::2] = 90
    whole, half, large = np.ones(50, bool), np.arange(50) < 25, np.full(50, 1e5)
    tiny = FaceRows(2, np.full(50, 9.0), ~whole, 0, {"mouth96_box": moving[:0]})
    still, moving = {"mouth96_box": still}, {"mouth96_box": moving}
    faces.push_new(0, [FaceRows(0, large, whole, 0, still), FaceRows(1, large, half, 0, moving), tiny])
    assert (faces.usable_frames, faces.several_frames, faces.small_frames) == (50, 25, 0)
    assert faces.static_frames == 25  # where only the one that stands still is left
    faces.push_new(50, [tiny])
    assert (faces.usable_frames, faces.small_frames) == (50, 50)


def test_a_picture_that_stands_still_is_counted_as_static():
    faces = FaceMeasures(None)
    still = np.full((50, 96, 96), 80, np.uint8)
    faces.push_new(0, [FaceRows(0, np.full(50, 9e9), np.ones(50, bool), 0, {"mouth96_box": still})])
    assert faces.static_frames == 49


def test_small_and_short_tracks_are_not_usable():
    faces = FaceMeasures((640, 360))
    faces.push_block(block(0, 0, (0, 0, 100, 100), [True] * 30))
    faces.push_block(block(30, 1, (0, 0, 100, 100), [True] * 20))
    first, second = np.repeat([1.0, 0.0], [30, 20]), np.repeat([0.0, 1.0], [30, 20])
    large, small = 100.0 * 100.0, 80.0 * 80.0
    assert faces.usable(0, large * first, ended=True).tolist() == [True] * 30 + [False] * 20
    assert not faces.usable(1, large * second, ended=True).any()
    assert faces.usable(1, large * second, ended=False).any()  # it may yet become long enough
    assert not faces.usable(1, np.zeros(50), ended=False).any()
    assert not faces.usable(0, small * first, ended=False).any()  # 2.8 % of the frame
