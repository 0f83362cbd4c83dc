"""What a user chooses of the channels, and the table of frames, through the whole pipeline."""

import numpy as np
import pytest

from avloc.structures import Reason, Status, Verdict


def starts(prediction):
    return sorted((round(d.segment.start), d.channel) for d in prediction.detections)


@pytest.fixture
def call(make_media, make_noise):
    """Two parties, a burst in each."""
    return make_media(np.concatenate([make_noise(12.0, (4.0, 5.0)), make_noise(12.0, (8.0, 9.0), seed=1)]))


def test_channels_are_mixed_on_request(localize_made, call):
    prediction = localize_made(call, channels="mix")
    assert starts(prediction) == [(4, None), (8, None)]
    assert [c.score for c in prediction.channels] == [prediction.score] * 2
    assert [c.coverage for c in prediction.channels] == [1.0, 1.0]
    assert {s.channel for s in prediction.spans if s.kind == "analysed"} == {None}


def test_one_channel_is_analysed_alone(localize_made, call, network):
    prediction = localize_made(call, channels=1)
    assert starts(prediction) == [(8, 1)] and len(network.calls) == 1
    other, chosen = prediction.channels
    assert (other.path, other.score, other.coverage, other.relation) == (None, None, None, "distinct")
    assert chosen.score == prediction.score and chosen.coverage == 1.0


def test_a_copy_is_analysed_when_it_is_the_one_that_was_chosen(localize_made, make_media, make_noise):
    one = make_noise(12.0, (4.0, 5.0))
    prediction = localize_made(make_media(np.concatenate([one, one])), channels=1)
    assert starts(prediction) == [(4, 1)] and prediction.channels[1].relation == "identical"


def test_a_silent_chosen_channel_is_silent(localize_made, make_media, make_noise):
    samples = np.concatenate([make_noise(12.0), np.zeros((1, 12 * 16000), np.float32)])
    prediction = localize_made(make_media(samples), channels=1)
    assert (prediction.status, prediction.reasons) == (Status.NOT_ANALYSABLE, (Reason.SILENT,))


def test_a_channel_that_is_not_there_is_said(localize_made, call):
    prediction = localize_made(call, channels=2)
    assert (prediction.status, prediction.reasons) == (Status.NOT_ANALYSABLE, (Reason.NO_SAMPLES,))
    assert prediction.message == "channel 2 was asked for, and there are 2, counted from 0"


def test_roles_name_channels(localize_made, call):
    prediction = localize_made(call, roles={1: "customer", 7: "nobody"})
    assert [c.role for c in prediction.channels] == ["ch0", "customer"]
    assert prediction.message == "there is no channel 7 ('nobody')"
    assert localize_made(call, roles={0: "agent", 1: "customer"}).message is None


def test_a_chosen_channel_beside_a_picture_without_sound_is_said(localize_made, make_media):
    prediction = localize_made(make_media(mouth=np.full(300, 90.0)), channels=1)
    assert prediction.status is Status.ANALYSED and prediction.message == "there is no channel 1"


def test_each_channel_is_compared_with_the_picture_on_request(localize_made, call, network):
    call.mouth = np.full(300, 90.0)
    call.mouth[250:275] = 220.0
    prediction = localize_made(call, channels="each")
    assert starts(prediction) == [(4, 0), (8, 1), (10, 0), (10, 1)]
    assert all(c["visual_mask"] is not None and c["audio_mask"] is not None for c in network.calls)
    assert prediction.analysed.coverage_visual == 1.0  # and not 2


def test_a_picture_goes_on_where_the_chosen_channels_are_silent(localize_made, make_media):
    mouth = np.full(300, 90.0)
    mouth[250:275] = 220.0
    media = make_media(np.zeros((2, 12 * 16000), np.float32), mouth)
    for channels in ("each", 1):
        prediction = localize_made(media, channels=channels)
        assert starts(prediction) == [(10, None)]
        assert [c.score for c in prediction.channels] == [None, None]


def test_frames_hold_what_was_found_channel_by_channel(localize_made, call):
    assert localize_made(call).frames is None
    prediction = localize_made(call, frames=True)
    table = prediction.frames
    assert len(table) == 600 and (table.source_frame == -1).all() and (table.face == -1).all()
    assert np.unique(table.channel).tolist() == [0, 1] and np.isnan(table.score_visual).all()
    for channel, (start, end) in ((0, (4.0, 5.0)), (1, (8.0, 9.0))):
        rows = table.channel == channel
        inside = table.time_s[rows & table.in_segment]
        assert (inside[0], inside[-1]) == (pytest.approx(start), pytest.approx(end - 0.04))
        np.testing.assert_array_equal(table.score[rows & table.in_segment] > 0.5, True)
    np.testing.assert_array_equal(table.score, table.score_audio)


def test_frames_name_the_source_frame_and_the_face(localize_made, make_media, make_noise):
    mouth = np.full(300, 90.0)
    mouth[:50] = np.nan
    mouth[250:275] = 220.0
    table = localize_made(make_media(make_noise(12.0, (4.0, 5.0)), mouth), frames=True).frames
    assert table.source_frame.tolist() == list(range(300)) and (table.channel == -1).all()
    assert (table.face[:50] == -1).all() and (table.face[50:] == 0).all()
    assert np.isnan(table.score_visual[:50]).all() and not np.isnan(table.score_audio).any()
    np.testing.assert_array_equal(table.score, np.fmax(table.score_audio, table.score_visual))
    assert table.in_segment[100:125].all() and table.in_segment[250:275].all()
    assert table.in_segment.sum() == 50


def test_only_listed_segments_count_in_the_table_of_frames(localize_made, call):
    prediction = localize_made(call, frames=True, threshold=1.0)
    assert prediction.verdict is not Verdict.FORGED_SEGMENTS_FOUND and not prediction.frames.in_segment.any()


def test_a_recording_of_nothing_but_a_picture_without_a_face_has_no_rows(localize_made, make_media):
    table = localize_made(make_media(mouth=np.full(100, np.nan)), frames=True).frames
    assert len(table) == 0
