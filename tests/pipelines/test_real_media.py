"""The shipped weights on real recordings: what must hold whatever the scores are."""

import json
import math
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from avloc.media.encode import write_video
from avloc.media.whole import read_audio, read_frames
from avloc.pipelines.loading import load_localizer
from avloc.pipelines.localize import Localizer
from avloc.report.schema import to_dict, to_json
from avloc.structures import Prediction, Reason, Status, Verdict

HELD_OUT = ("genuine/marlin02.mp4", "genuine/vretalk5.mp4")  # faces that no weights were trained on


@pytest.fixture(scope="module")
def localizer() -> Localizer:
    return load_localizer("default", min_score=0.0, curves=True, threads=1)


@pytest.fixture(scope="module", params=HELD_OUT)
def clip(request, shared_media) -> tuple[np.ndarray, np.ndarray]:
    """Frames and sound of four seconds of a genuine talking face."""
    path = shared_media / request.param
    return read_frames(path)[0][:100], read_audio(path)[:, :64000]


def write(path: Path, frames: np.ndarray, samples: np.ndarray) -> Path:
    write_video(path, frames, Fraction(25), samples, 16000)
    return path


def curve(prediction: Prediction, name: str) -> np.ndarray:
    found = next(c for c in prediction.curves if c.name == name)
    return np.array([np.nan if value is None else value for value in found.values])


@pytest.mark.dataset
def test_the_picture_counts(localizer, clip, tmp_path):
    frames, samples = clip
    seen = localizer(str(write(tmp_path / "seen.mp4", frames, samples)))
    black = localizer(str(write(tmp_path / "black.mp4", np.zeros_like(frames), samples)))
    assert seen.analysed.coverage_visual > 0.9 and black.analysed.coverage_visual == 0.0
    assert np.isfinite(curve(seen, "score_visual")).mean() > 0.9
    assert np.isnan(curve(black, "score_visual")).all()
    # The picture takes part in what is said of the sound, too.
    assert np.abs(curve(seen, "score_audio") - curve(black, "score_audio")).max() > 0.01
    assert Reason.NO_FACE in black.warnings


@pytest.mark.dataset
def test_sound_that_is_moved_inside_a_span_changes_the_discrepancy_there_most(localizer, clip, tmp_path):
    frames, samples = clip
    moved = samples.copy()
    moved[:, 24000:40000] = samples[:, 16000:32000]  # 1.5 to 2.5 s come half a second late
    before = curve(localizer(str(write(tmp_path / "a.mp4", frames, samples))), "discrepancy")
    after = curve(localizer(str(write(tmp_path / "b.mp4", frames, moved))), "discrepancy")
    change = np.abs(after - before)
    inside, outside = np.nanmean(change[38:62]), np.nanmean(np.concatenate((change[:25], change[75:])))
    assert inside > 2 * outside


@pytest.mark.dataset
def test_a_picture_without_sound_takes_its_own_path(localizer, shared_media):
    prediction = localizer(str(shared_media / "odd/odd-face-noaudio.mp4"))
    assert prediction.status is Status.ANALYSED
    assert prediction.analysed.coverage_audio is None and prediction.analysed.coverage_visual > 0.5
    assert all(
        c.name != "score_audio" or np.isnan(curve(prediction, c.name)).all() for c in prediction.curves
    )


@pytest.mark.dataset
def test_neither_sound_nor_face_is_never_nothing_found(localizer, shared_media):
    prediction = localizer(str(shared_media / "odd/odd-h265-noface-10fps.mp4"))
    assert prediction.verdict is Verdict.INCONCLUSIVE
    assert Reason.NO_FACE in prediction.reasons and prediction.score is None


@pytest.mark.dataset
def test_a_file_that_was_cut_off_is_analysed_as_far_as_it_goes_or_refused(localizer, shared_media, tmp_path):
    whole = (shared_media / "genuine/grid-sbwe5n.mpg").read_bytes()
    cut = tmp_path / "cut.mpg"
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    prediction = localizer(str(cut))
    assert prediction.status is Status.ANALYSED and prediction.analysed.duration_s < 2.6
    headless = tmp_path / "headless.mp4"
    headless.write_bytes((shared_media / HELD_OUT[0]).read_bytes()[:20000])
    refused = localizer(str(headless))
    assert refused.status is Status.NOT_ANALYSABLE and refused.reasons == (Reason.TRUNCATED,)


def test_samples_that_are_no_numbers_leave_finite_scores(localizer, tmp_path):
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(48000)).astype(np.float32)
    samples[5000:5010], samples[9000] = np.nan, np.inf
    soundfile.write(tmp_path / "nan.wav", samples, 16000, subtype="FLOAT")
    prediction = localizer(str(tmp_path / "nan.wav"))
    assert prediction.status is Status.ANALYSED and Reason.SANITISED_SAMPLES in prediction.warnings
    assert math.isfinite(prediction.score)


@pytest.mark.dataset
@pytest.mark.parametrize(
    "name", ["-rf.wav", "http:x.wav", "a'b\"c\n<img>.wav", "=cmd();.wav", "é" * 60 + ".wav"]
)
def test_any_name_is_only_a_name(localizer, shared_media, tmp_path, name):
    shutil.copy(shared_media / "telephony/tel-mulaw-1998.wav", tmp_path / name)
    prediction = localizer(str(tmp_path / name))
    assert prediction.status is Status.ANALYSED
    assert prediction.channels[0].path == "audio_telephone"


@pytest.mark.dataset
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("odd-tennis.mp4", {Reason.NO_FACE}),
        ("odd-face-noaudio.mp4", {Reason.UNCALIBRATED}),
        ("odd-face-silentaudio.mp4", {Reason.SILENT, Reason.NO_SPEECH, Reason.PARTIAL_COVERAGE}),
    ],
)
def test_odd_recordings_become_documents(localizer, shared_media, name, told):
    prediction = localizer(shared_media / "odd" / name)
    assert prediction.status is Status.ANALYSED
    assert told <= {*prediction.warnings, *prediction.reasons}
    assert json.loads(to_json(prediction))["input"]["name"] == name


@pytest.mark.dataset
def test_telephone_sound_takes_the_telephone_path(localizer, shared_media):
    prediction = localizer(shared_media / "telephony" / "tel-alaw-2033.wav")
    (channel,) = prediction.channels
    assert channel.path == "audio_telephone" and channel.bandwidth_hz < 4200
    assert Reason.NARROWBAND in prediction.warnings and prediction.analysed.coverage_audio == 1.0


@pytest.mark.dataset
def test_a_recording_gives_the_same_bytes_twice(localizer, shared_media):
    path = shared_media / "telephony" / "fsdd-theo.wav"
    first, second = (json.dumps(to_dict(localizer(path), reproducible=True)) for _ in range(2))
    assert first == second


@pytest.mark.dataset
def test_sound_and_picture_are_compared_by_the_compiled_correlation(localizer, clip, tmp_path, monkeypatch):
    from avloc.models import alignment

    path = write(tmp_path / "clip.mp4", *clip)
    before = curve(localizer(path), "discrepancy")
    true = alignment.band_correlation
    monkeypatch.setattr(alignment, "band_correlation", lambda a, v, lag: -true(a, v, lag))
    assert np.nanmax(np.abs(curve(localizer(path), "discrepancy") - before)) > 0.01


@pytest.mark.dataset
def test_sound_with_cover_art_is_analysed_as_sound_and_the_picture_is_listed(
    localizer, shared_media, tmp_path
):
    path, samples = tmp_path / "song.m4a", read_audio(shared_media / HELD_OUT[0])[:1]
    with av.open(str(path), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = np.full((48, 64, 3), 90, np.uint8)
        container.mux(cover.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux([*sound.encode(frame), *sound.encode(None)])
    prediction = localizer(path)
    assert prediction.analysed.coverage_audio == 1.0 and prediction.analysed.coverage_visual is None
    assert prediction.faces == () and prediction.channels[0].path.startswith("audio")
    listed = to_dict(prediction)["input"]["streams"]
    assert sorted((stream["kind"], stream["used"]) for stream in listed) == [
        ("audio", True),
        ("video", False),
    ]


@pytest.mark.dataset
def test_two_people_side_by_side_and_a_cut_are_told_as_faces_of_their_own(localizer, clip, tmp_path):
    frames, samples = clip
    both = np.concatenate([frames, frames[:, :, ::-1]], axis=2)
    later = np.concatenate([frames[:, ::2, ::2], np.zeros_like(frames[:, ::2, ::2])], axis=2)
    later = np.pad(later, ((0, 0), (0, frames.shape[1] // 2), (0, frames.shape[2]), (0, 0)))
    path = write(tmp_path / "two.mp4", np.concatenate([both, later]), np.tile(samples, 2))
    prediction = localizer(path)
    assert prediction.status is Status.ANALYSED
    ends = [(face.segment.start, face.segment.end) for face in prediction.faces]
    assert ends[:2] == [(0.0, 4.0)] * 2 and all(start >= 4.0 for start, _ in ends[2:])
