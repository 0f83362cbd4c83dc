import logging
from fractions import Fraction

import numpy as np
import pytest
import torch

from avloc import ops
from avloc.decoding.select import Selection
from avloc.errors import AnnotationError
from avloc.media.encode import write_audio, write_video
from avloc.media.probe import open_recording
from avloc.media.supervisor import Limits
from avloc.media.whole import read_audio
from avloc.report.schema import from_dict, json_schema, to_dict
from avloc.structures import Modality, Reason, Status, Verdict
from avloc.structures.landmarks import LandmarkTrack

FRAME_S = 0.04


def spans_of(prediction, channel=None):
    rows = [d for d in prediction.detections if channel is None or d.channel == channel]
    return sorted((d.segment.start, d.segment.end) for d in rows)


def assert_spans(found, expected):
    np.testing.assert_allclose(found, expected, atol=FRAME_S + 1e-6)  # loudness is read frame by frame


def bandlimited(duration_s, *bursts, cutoff_hz):
    from scipy.signal import butter, sosfilt

    rng = np.random.default_rng(3)
    samples = rng.normal(0, 1e-3, round(duration_s * 16000))
    samples = sosfilt(butter(12, cutoff_hz, fs=16000, output="sos"), samples).astype(np.float32)
    for start, end in bursts:
        samples[round(start * 16000) : round(end * 16000)] *= 200
    return samples[None]


@pytest.mark.parametrize("start_s", [0.0, 11.0, 19.4, 33.3, 47.0, 68.0])
def test_a_forged_span_comes_out_once_at_its_place(localize_made, make_media, make_noise, start_s):
    prediction = localize_made(make_media(make_noise(70.0, (start_s, start_s + 1.6))))
    assert prediction.status is Status.ANALYSED and prediction.verdict is Verdict.FORGED_SEGMENTS_FOUND
    assert_spans(spans_of(prediction), [(start_s, start_s + 1.6)])
    (detection,) = prediction.detections
    assert detection.modality is Modality.AUDIO and detection.channel == 0 and detection.face is None
    assert prediction.score > 0.9 and prediction.analysed.coverage_audio == 1.0


def test_a_wav_file_goes_through_the_real_decoder(localizer_of, make_noise, tmp_path):
    path = tmp_path / "call, 'of' a\nday.wav"
    write_audio(path, make_noise(31.0, (4.0, 5.0), (27.0, 28.0)), 16000)
    prediction = localizer_of()(path, id="call")
    assert_spans(spans_of(prediction), [(4.0, 5.0), (27.0, 28.0)])
    assert prediction.recording.id == "call" and len(prediction.recording.sha256) == 64
    assert prediction.analysed.duration_s == pytest.approx(31.0)
    assert prediction.timing.wall_s > 0 and prediction.provenance.kernels == ops.kernels()


def test_the_document_of_a_prediction_fits_its_schema(localize_made, make_media, make_noise):
    jsonschema = pytest.importorskip("jsonschema")
    media = make_media(make_noise(8.0, (2.0, 3.0), channels=2), np.full(200, 90.0))
    prediction = localize_made(media, curves=True, min_score=0.0, all_proposals=5)
    document = to_dict(prediction)
    jsonschema.validate(document, json_schema())
    assert to_dict(from_dict(document)) == document


def test_a_clean_recording_gives_none_found(localize_made, make_media):
    prediction = localize_made(make_media(speechlike(6.0)))
    assert prediction.verdict is Verdict.NONE_FOUND or prediction.reasons == (Reason.NO_SPEECH,)
    assert prediction.detections == ()


def speechlike(duration_s):
    rng = np.random.default_rng(5)
    return rng.normal(0, 0.05, (1, round(duration_s * 16000))).astype(np.float32)


def test_the_threshold_decides_the_verdict_and_min_score_only_the_list(localize_made, make_media, make_noise):
    media = make_media(make_noise(8.0, (2.0, 3.0)))
    strict = localize_made(media, threshold=1.0)
    assert strict.verdict is not Verdict.FORGED_SEGMENTS_FOUND and strict.detections == ()
    assert strict.threshold == 1.0
    listed = localize_made(media, threshold=1.0, min_score=0.0)
    assert listed.verdict is strict.verdict and len(listed.detections) >= 1
    hidden = localize_made(media, min_score=1.0)
    assert hidden.verdict is Verdict.FORGED_SEGMENTS_FOUND and hidden.detections == ()
    assert listed.score == strict.score == hidden.score


def test_segments_are_listed_by_falling_score_then_start(localize_made, make_media, make_noise):
    bursts = [(t, t + 0.8) for t in (2.0, 6.0, 9.0, 14.0)]
    prediction = localize_made(make_media(make_noise(18.0, *bursts)), min_score=0.0)
    keys = [(-d.score, d.segment.start) for d in prediction.detections]
    assert keys == sorted(keys) and len(keys) >= 4
    fewer = localize_made(make_media(make_noise(18.0, *bursts)), selection=Selection(max_segments=2))
    assert len(fewer.detections) == 2


def test_proposals_before_suppression_are_given_on_request_alone(localize_made, make_media, make_noise):
    media = make_media(make_noise(8.0, (2.0, 3.0)))
    assert localize_made(media).proposals is None
    ((score, start, end),) = localize_made(media, all_proposals=1).proposals
    assert score > 0.5 and start == pytest.approx(2.0, abs=FRAME_S) and end == pytest.approx(3.0, abs=FRAME_S)


@pytest.mark.parametrize("op", ["score_segments", "soft_segment_nms"])
def test_localize_goes_through_the_compiled_ops(monkeypatch, localize_made, make_media, make_noise, op):
    media = make_media(make_noise(8.0, (2.0, 3.0)))
    before = localize_made(media).detections
    true, calls = getattr(ops, op), []

    def altered(*arguments, **options):
        calls.append(op)
        result = true(*arguments, **options)
        return result * 0.5 if op == "score_segments" else (result[0], result[1] * 0.7)

    monkeypatch.setattr(ops, op, altered)
    after = localize_made(media).detections
    assert len(calls) == 1  # once over the recording and channel
    assert after[0].score < before[0].score


# channels


def test_identical_channels_are_analysed_once(localize_made, make_media, make_noise):
    one = make_noise(30.0, (8.0, 9.0))
    prediction = localize_made(make_media(np.concatenate([one, one])))
    first, second = prediction.channels
    assert (first.relation, second.relation) == ("distinct", "identical")
    assert first.path == "audio_wide" and first.coverage == 1.0 and first.score > 0.9
    assert (second.path, second.threshold, second.score, second.coverage) == (None,) * 4
    assert_spans(spans_of(prediction), [(8.0, 9.0)])


def test_a_silent_channel_is_set_aside(localize_made, make_media, make_noise):
    one = make_noise(10.0, (4.0, 5.0))
    prediction = localize_made(make_media(np.concatenate([np.zeros_like(one), one])))
    assert [c.relation for c in prediction.channels] == ["silent", "distinct"]
    assert prediction.channels[0].score is None
    assert spans_of(prediction, channel=1) and not spans_of(prediction, channel=0)


def test_each_distinct_channel_has_its_own_segments(localize_made, make_media, make_noise):
    samples = np.concatenate([make_noise(30.0, (4.0, 5.0)), make_noise(30.0, (21.0, 23.0), seed=1)])
    prediction = localize_made(make_media(samples))
    assert_spans(spans_of(prediction, channel=0), [(4.0, 5.0)])
    assert_spans(spans_of(prediction, channel=1), [(21.0, 23.0)])
    assert {span.channel for span in prediction.spans if span.kind == "analysed"} == {0, 1}


def test_a_channel_that_joins_after_the_first_window_is_still_analysed(localize_made, make_media, make_noise):
    late = make_noise(70.0, (52.0, 53.0), seed=1)
    late[:, : 40 * 16000] *= 0.03  # under -80 dB
    prediction = localize_made(make_media(np.concatenate([make_noise(70.0), late])))
    assert_spans(spans_of(prediction, channel=1), [(52.0, 53.0)])
    assert prediction.channels[1].coverage == 1.0


def test_a_narrow_channel_takes_the_telephone_threshold_and_warns(localize_made, make_media):
    wide, narrow = (bandlimited(12.0, (4.0, 8.0), cutoff_hz=hz) for hz in (7800, 3400))
    (channel,) = localize_made(make_media(wide)).channels
    assert (channel.path, channel.threshold) == ("audio_wide", 0.5)
    prediction = localize_made(make_media(narrow))
    (channel,) = prediction.channels
    assert (channel.path, channel.threshold) == ("audio_telephone", 0.6)
    assert {Reason.NARROWBAND, Reason.UNCALIBRATED} <= set(prediction.warnings)
    both = localize_made(make_media(np.concatenate([wide, narrow])))
    assert both.threshold is None and [c.threshold for c in both.channels] == [0.5, 0.6]


def test_a_given_threshold_does_not_warn_uncalibrated(localize_made, make_media):
    prediction = localize_made(make_media(bandlimited(6.0, (2.0, 4.0), cutoff_hz=3400)), threshold=0.3)
    assert Reason.UNCALIBRATED not in prediction.warnings and prediction.threshold == 0.3


# pictures


def test_with_a_picture_channels_are_mixed_and_both_streams_are_analysed(
    localize_made, make_media, make_noise
):
    mouth = np.full(500, 90.0)
    mouth[100:150] = 220.0
    samples = np.concatenate([make_noise(20.0, (12.0, 13.0)), -make_noise(20.0, (12.0, 13.0))])
    prediction = localize_made(make_media(samples, mouth), curves=True)
    assert_spans(spans_of(prediction), [(4.0, 6.0), (12.0, 13.0)])
    by_start = sorted(prediction.detections, key=lambda d: d.segment.start)
    assert [d.modality for d in by_start] == [Modality.VISUAL, Modality.AUDIO]
    assert all(d.channel is None and d.face == 0 for d in by_start)
    assert [c.relation for c in prediction.channels] == ["distinct", "inverted"]
    assert [c.path for c in prediction.channels] == ["audio_visual", "audio_visual"]
    assert prediction.sync.offset_s is None  # noise is no speech to tell it by
    assert {c.name for c in prediction.curves} == {
        "score_audio",
        "score_visual",
        "discrepancy",
        "boundary",
    }


@pytest.mark.parametrize(("length_s", "is_told"), [(9, True), (3, False)])
def test_a_constant_offset_rests_on_seconds_of_speech(
    localize_made, make_media, shared_media, length_s, is_told
):
    speech = read_audio(shared_media / "genuine" / "hdtf-aoc.mp4")[:1, : length_s * 16000]
    prediction = localize_made(make_media(speech, np.full(length_s * 25, 90.0)))
    assert (Reason.SYNC_UNKNOWN in prediction.warnings) != is_told
    assert (Reason.CONSTANT_OFFSET in prediction.warnings) == is_told
    assert prediction.sync.offset_s == (pytest.approx(3 / 25) if is_told else None)


def test_a_blackened_picture_leaves_no_visual_score_and_no_coverage(localize_made, make_media, make_noise):
    sound = make_noise(20.0, (12.0, 13.0))
    seen = localize_made(make_media(sound, np.full(500, 90.0)), curves=True)
    black = localize_made(make_media(sound, np.full(500, np.nan)), curves=True)
    curves = [[c for c in p.curves if c.name == "score_visual"] for p in (seen, black)]
    assert None not in curves[0][0].values and set(curves[1][0].values) == {None}
    assert seen.analysed.coverage_visual == 1.0 and black.analysed.coverage_visual == 0.0
    assert black.channels[0].path == "audio_wide" and seen.channels[0].path == "audio_visual"
    assert {Reason.NO_FACE, Reason.PARTIAL_COVERAGE} <= set(black.warnings)
    assert black.faces == () and black.sync.offset_s is None


def test_where_a_face_is_absent_the_visual_curve_has_no_value(localize_made, make_media, make_noise):
    mouth = np.full(500, 90.0)
    mouth[200:300] = np.nan
    face = np.where(np.arange(500) < 250, 0, 1)
    prediction = localize_made(make_media(make_noise(20.0), mouth, face=face), curves=True)
    first, second = [c for c in prediction.curves if c.name == "score_visual"]
    assert (first.face, first.start, len(first.values)) == (0, 0.0, 200)
    assert (second.face, second.start, len(second.values)) == (1, 12.0, 200)
    assert [(s.face, s.segment.start, s.segment.end) for s in prediction.spans if s.kind == "face"] == [
        (0, 0.0, 8.0),
        (1, 12.0, 20.0),
    ]
    assert prediction.analysed.coverage_visual == pytest.approx(0.8)
    assert [f.id for f in prediction.faces] == [0, 1] and prediction.faces[0].box == (100, 50, 200, 200)


def test_a_video_without_sound_is_analysed_by_its_picture(localize_made, make_media, network):
    mouth = np.full(500, 90.0)
    mouth[100:150] = 220.0
    prediction = localize_made(make_media(mouth=mouth), curves=True)
    assert_spans(spans_of(prediction), [(4.0, 6.0)])
    assert prediction.detections[0].modality is Modality.VISUAL
    assert prediction.threshold == 0.45 and Reason.UNCALIBRATED in prediction.warnings
    assert prediction.channels == () and prediction.analysed.coverage_audio is None
    assert all(call["audio_mask"] is None for call in network.calls)
    assert {c.name for c in prediction.curves} == {"score_visual", "boundary"}


@pytest.mark.parametrize("inputs", [("mouth96_box", "face112"), ("face112",)])
def test_a_network_gets_the_crops_that_it_names(localize_made, make_media, network, inputs, monkeypatch):
    given, true = [], type(network).forward
    network.inputs = {"audio": ("log_mel",), "visual": inputs}

    def forward(self, *, visual, **rest):
        given.append([tuple(crop.shape) for crop in visual])
        return true(self, visual=visual[-1:], **rest)

    monkeypatch.setattr(type(network), "forward", forward)
    mouth = np.full(500, 90.0)
    mouth[100:150] = 220.0
    prediction = localize_made(make_media(mouth=mouth, others={1: np.full(500, 60.0)}))
    assert_spans(spans_of(prediction), [(4.0, 6.0)])
    sizes = {"mouth96_box": 96, "face112": 112}
    assert given and all(
        shapes == [(1, 520, sizes[name], sizes[name]) for name in inputs] for shapes in given
    )


def test_a_network_without_eyes_still_tells_of_faces(localize_made, make_media, make_noise, network):
    network.inputs = {"audio": ("log_mel",)}
    prediction = localize_made(make_media(make_noise(4.0), np.full(100, 90.0)))
    assert [f.id for f in prediction.faces] == [0]
    assert all(call["visual_mask"] is None for call in network.calls)


def test_a_recording_without_pictures_never_gives_the_network_a_visual_stream(
    localize_made, make_media, make_noise, network
):
    localize_made(make_media(make_noise(3.0)))
    assert [call["visual_mask"] for call in network.calls] == [None]


def test_silent_sound_beside_a_picture_is_told_and_not_covered(localize_made, make_media):
    prediction = localize_made(make_media(np.zeros((2, 64000), np.float32), np.full(100, 90.0)))
    assert prediction.status is Status.ANALYSED and Reason.SILENT in prediction.warnings
    assert prediction.analysed.coverage_audio == 0.0 and prediction.analysed.coverage_visual == 1.0
    assert [c.score for c in prediction.channels] == [None, None] and prediction.score is not None


def test_a_video_without_sound_and_face_is_inconclusive(localize_made, make_media, network):
    prediction = localize_made(make_media(mouth=np.full(100, np.nan)))
    assert prediction.status is Status.ANALYSED and prediction.verdict is Verdict.INCONCLUSIVE
    assert Reason.NO_FACE in prediction.reasons and prediction.score is None
    assert prediction.analysed.coverage_visual == 0.0 and network.calls == []


def test_a_small_face_gets_no_score(localize_made, make_media):
    prediction = localize_made(make_media(mouth=np.full(100, 90.0), box=(0, 0, 40, 40)))
    assert prediction.verdict is Verdict.INCONCLUSIVE and Reason.FACE_TOO_SMALL in prediction.reasons


# what cannot be analysed


def test_a_short_recording_is_filled_up_and_never_scored_on_the_repetition(
    localize_made, make_media, make_noise, network
):
    prediction = localize_made(make_media(make_noise(0.8, (0.2, 0.44))), min_score=0.0)
    (call,) = network.calls
    assert call["n_frames"] == 160 and int(call["audio_mask"].sum()) == 20
    assert prediction.status is Status.ANALYSED
    assert all(d.segment.end <= 0.8 for d in prediction.detections) and prediction.detections


def test_under_half_a_second_is_too_short(localize_made, make_media, make_noise):
    prediction = localize_made(make_media(make_noise(0.3)))
    assert prediction.status is Status.NOT_ANALYSABLE and prediction.reasons == (Reason.TOO_SHORT,)
    assert prediction.score is None and prediction.verdict is None and prediction.message


def test_digital_silence_is_not_analysable(localize_made, make_media):
    prediction = localize_made(make_media(np.zeros((2, 32000), np.float32)))
    assert prediction.status is Status.NOT_ANALYSABLE and prediction.reasons == (Reason.SILENT,)


def test_no_stream_means_no_samples(localize_made, make_media):
    assert localize_made(make_media()).reasons == (Reason.NO_SAMPLES,)


def test_a_truncated_recording_has_less_than_full_coverage(localize_made, make_media, make_noise):
    media = make_media(make_noise(6.0, (2.0, 3.0)), told_s=10.0, warnings=(Reason.TRUNCATED,))
    prediction = localize_made(media)
    assert prediction.analysed.coverage_audio == pytest.approx(0.6)
    assert prediction.analysed.duration_s == 10.0 and Reason.TRUNCATED in prediction.warnings
    assert all(d.segment.end <= 6.0 for d in prediction.detections)


def test_a_cap_that_is_reached_while_the_analysis_goes_on_is_named(
    localize_made, localizer_of, make_media, make_noise, tmp_path
):
    path = tmp_path / "clip.mp4"
    write_video(path, np.zeros((50, 64, 64, 3), np.uint8), Fraction(25), make_noise(2.0, (0.5, 1.0)), 16000)
    localizer = localizer_of()
    localizer._limits = Limits(pixels=100)  # the recording is opened under a larger cap than decoded
    for opened in (open_recording(path), open_recording(path, limits=Limits(pixels=100))):
        prediction = localizer(opened)
        assert prediction.status is Status.ANALYSED and Reason.LIMIT_REACHED in prediction.warnings
        assert prediction.message.startswith("pixels: ")
    assert opened.notes == (prediction.message,) and opened.video is None
    assert localize_made(make_media(make_noise(2.0))).message is None


def test_missing_sound_is_masked_and_lowers_no_coverage(localize_made, make_media, make_noise):
    present = np.ones(10 * 16000, bool)
    present[: 2 * 16000] = False
    samples = make_noise(10.0, (5.0, 6.0))
    samples[:, : 2 * 16000] = 0
    prediction = localize_made(make_media(samples, present=present), curves=True)
    (curve,) = [c for c in prediction.curves if c.name == "score_audio"]
    assert set(curve.values[:50]) == {None} and None not in curve.values[50:]
    assert prediction.analysed.audio_s == pytest.approx(8.0)
    assert prediction.analysed.coverage_audio == 1.0


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", Reason.EMPTY), (None, Reason.NOT_FOUND), (b"%PDF-1.4 text" * 99, None)]
)
def test_a_bad_file_is_a_row(localizer_of, tmp_path, content, reason):
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    prediction = localizer_of()(path, id="bad")
    assert prediction.status is (Status.ERROR if content is None else Status.NOT_ANALYSABLE)
    assert reason is None or prediction.reasons == (reason,)
    assert prediction.message and prediction.recording.id == "bad" and prediction.provenance is not None
    to_dict(prediction)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ZeroDivisionError("seven"), Reason.INTERNAL_ERROR),
        (MemoryError(), Reason.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), Reason.OUT_OF_MEMORY),
    ],
)
def test_a_defect_becomes_the_row_of_its_recording(
    localize_made, make_media, make_noise, network, monkeypatch, caplog, error, reason
):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(network, "forward", fail)
    with caplog.at_level(logging.ERROR):
        prediction = localize_made(make_media(make_noise(2.0)))
    assert prediction.status is Status.ERROR and prediction.reasons == (reason,)
    assert type(error).__name__ in prediction.message
    assert caplog.records[0].exc_info is not None


def test_scores_stay_finite_when_the_network_is_not(localize_made, make_media, make_noise, network):
    true = network.forward

    def poisoned(**arguments):
        outputs = true(**arguments)
        outputs.score_logits[0][:] = float("nan")
        outputs.inside_logits[:] = float("nan")
        outputs.recording_logit[:] = float("nan")
        return outputs

    network.forward = poisoned
    prediction = localize_made(make_media(make_noise(4.0, (1.0, 2.0))), curves=True, min_score=0.0)
    assert prediction.score == 0.0 and prediction.detections == ()
    to_dict(prediction)


def test_the_number_of_threads_is_restored(localize_made, make_media, make_noise, network):
    before = torch.get_num_threads()
    seen = []
    true = network.forward
    network.forward = lambda **arguments: (seen.append(torch.get_num_threads()), true(**arguments))[1]
    localize_made(make_media(make_noise(2.0)), threads=before + 1)
    assert seen == [before + 1] and torch.get_num_threads() == before


def test_a_setting_out_of_range_is_refused(localizer_of):
    with pytest.raises(ValueError, match="threshold"):
        localizer_of(threshold=1.2)
    with pytest.raises(ValueError, match="threads"):
        localizer_of(threads=0)
    for value in ("left", -1, True, 1.0):
        with pytest.raises(ValueError, match=f"channels must be .* got {value!r}"):
            localizer_of(channels=value)
    for value in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match=f"all_proposals must be .* got {value!r}"):
            localizer_of(all_proposals=value)


def test_the_same_recording_gives_the_same_document(localize_made, make_media, make_noise):
    media = make_media(make_noise(30.0, (4.0, 5.0), channels=2), np.full(750, 90.0))
    first, second = (to_dict(localize_made(media, curves=True), reproducible=True) for _ in range(2))
    assert first == second


def test_landmarks_are_taken_as_a_value_or_as_a_file(localizer_of, tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (50, 96, 128, 3)).astype(np.uint8)
    path = tmp_path / "a.mp4"
    write_video(path, frames, Fraction(25), np.zeros((1, 32000), np.float32), 16000)
    points = np.array([[50.0, 30], [74, 30], [62, 42], [62, 54]])
    given = {"points": np.tile(points, (40, 1, 1)), "frame": np.arange(5, 45)}
    np.savez(tmp_path / "a.npz", **given)
    localizer = localizer_of()
    assert localizer(path).faces == ()
    for tracks in (LandmarkTrack(**given), tmp_path / "a.npz"):
        (face,) = localizer(path, tracks=tracks).faces
        assert (face.segment.start, face.segment.end) == (pytest.approx(0.2), pytest.approx(1.8))
    with pytest.raises(AnnotationError, match=r"b\.npz"):
        localizer(path, tracks=tmp_path / "b.npz")
    write_audio(tmp_path / "a.wav", np.zeros((1, 32000), np.float32), 16000)
    refused = localizer(tmp_path / "a.wav", tracks=LandmarkTrack(**given))
    assert (refused.status, refused.reasons) == (Status.NOT_ANALYSABLE, (Reason.NO_SAMPLES,))
    assert "there is no video stream" in refused.message
