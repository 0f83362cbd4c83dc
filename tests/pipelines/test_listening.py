import numpy as np
import pytest

from avloc.features.events import Event
from avloc.media.whole import read_audio
from avloc.pipelines.listening import Listener, explained_frames, explained_share
from avloc.structures import Reason, Segment, Timeline, Verdict

RATE = 16_000


def beep(duration_s=0.5, hz=1400):
    return (0.1 * np.sin(2 * np.pi * hz * np.arange(round(duration_s * RATE)) / RATE)).astype(np.float32)


def event(code, start, end):
    return Event(Segment(start, end), code)


def test_events_and_speech_are_told_in_the_time_of_the_recording():
    listener = Listener(250)
    quiet = np.random.default_rng(0).normal(0, 1e-4, 2 * RATE).astype(np.float32)
    for block in np.array_split(np.concatenate([quiet, beep(), quiet]), 7):
        assert listener.push(block).shape == block.shape
    listener.finish()
    (found,) = listener.events(60.0)
    assert found.code == "beep" and (found.span.start, found.span.end) == pytest.approx(
        (12.0, 12.5), abs=0.05
    )
    assert listener.events(12.2)[0].span.end == 12.2 and listener.events(11.0) == ()
    assert listener.speech(60.0).segments == ()


def test_plain_events_explain_their_frames_and_a_little_more():
    for code in ("hold_tone", "dtmf", "ring_back", "beep", "redaction"):
        explained = explained_frames((event(code, 1.0, 2.0),), Timeline(), 100)
        assert np.flatnonzero(explained)[[0, -1]].tolist() == [23, 51]
    explained = explained_frames((event("packet_loss", 1.0, 2.0),), Timeline(), 100)
    assert np.flatnonzero(explained)[[0, -1]].tolist() == [25, 49]
    assert not explained_frames((event("comfort_noise", 1.0, 2.0),), Timeline(), 100).any()
    assert not explained_frames((), Timeline(), 100).any()


@pytest.mark.parametrize("code", ["music", "hold_tone", "dtmf", "ring_back", "beep"])
def test_signals_explain_only_where_nobody_speaks(code):
    speech = Timeline.from_pairs([(1.2, 1.6)])
    explained = explained_frames((event(code, 1.0, 2.0),), speech, 100)
    assert explained[25:30].all() and not explained[30:40].any() and explained[40:50].all()


def test_a_muted_word_is_explained_although_speech_goes_on_around_it():
    speech = Timeline.from_pairs([(0.0, 4.0)])
    assert explained_frames((event("redaction", 1.0, 2.0),), speech, 100)[23:52].all()


def test_lost_packets_do_not_hide_what_is_forged_between_them():
    losses = tuple(event("packet_loss", t, t + 0.02) for t in np.arange(0.0, 4.0, 0.2))
    explained = explained_frames(losses, Timeline(), 100)
    assert explained_share(np.array([[1.0, 2.0]]), explained)[0] < 0.45


@pytest.mark.parametrize(
    ("segment", "share"),
    [((1.0, 2.0), 1.0), ((1.5, 2.5), 0.5), ((3.0, 3.4), 0.0), ((1.5, 1.501), 1.0), ((3.99, 9.0), 0.0)],
)
def test_the_share_of_a_segment_that_is_explained(segment, share):
    explained = np.zeros(100, bool)
    explained[25:50] = True
    assert explained_share(np.array([segment]), explained) == pytest.approx([share], abs=0.05)


# through the whole pipeline: the made network calls loud frames forged


def test_a_beep_is_an_event_and_no_forgery(localize_made, make_media, make_noise):
    samples = make_noise(20.0, (12.0, 13.0))
    samples[0, 4 * RATE : 4 * RATE + 8000] = 3 * beep()
    prediction = localize_made(make_media(samples))
    assert [round(d.segment.start) for d in prediction.detections] == [12]
    (told,) = [s for s in prediction.spans if s.kind == "event"]
    assert (told.code, told.channel) == ("beep", 0)
    assert (told.segment.start, told.segment.end) == pytest.approx((4.0, 4.5), abs=0.05)


def test_events_belong_to_the_channel_that_holds_them(localize_made, make_media, make_noise):
    samples = make_noise(20.0, channels=2)
    samples[1, 4 * RATE : 4 * RATE + 8000] = 3 * beep()
    prediction = localize_made(make_media(samples))
    assert [(s.code, s.channel) for s in prediction.spans if s.kind == "event"] == [("beep", 1)]
    assert prediction.verdict is not Verdict.FORGED_SEGMENTS_FOUND


def test_a_picture_forged_during_a_beep_stays_forged(localize_made, make_media, make_noise):
    samples = make_noise(20.0)
    samples[0, 4 * RATE : 4 * RATE + 8000] = 3 * beep()
    mouth = np.full(500, 90.0)
    mouth[100:113] = 220.0
    prediction = localize_made(make_media(samples, mouth))
    assert prediction.verdict is Verdict.FORGED_SEGMENTS_FOUND


@pytest.fixture
def speech(shared_media):
    return read_audio(shared_media / "genuine" / "hdtf-aoc.mp4")[:1, : 8 * RATE]


def melody(duration_s):
    """Notes of half a second with five partials each."""
    at = np.arange(RATE // 2) / RATE
    roots = [400, 500, 600, 450, 550, 650, 480, 520]
    notes = [sum(np.sin(2 * np.pi * root * k * at) / k for k in range(1, 6)) for root in roots]
    whole = np.concatenate([notes[k % 8] for k in range(round(2 * duration_s))])
    return (0.05 * whole).astype(np.float32)


@pytest.mark.parametrize(("level", "is_music"), [(0.3, True), (0.0, False)])
def test_music_over_most_of_the_speech_abstains(localize_made, make_media, speech, level, is_music):
    mixed = (
        0.2 * speech / np.abs(speech).max() + level * melody(speech.shape[1] / RATE + 1)[: speech.shape[1]]
    )
    prediction = localize_made(make_media(mixed), threshold=1.0)
    assert (Reason.MUSIC in prediction.reasons) == is_music
    assert any(s.code == "music" for s in prediction.spans) == is_music


@pytest.mark.parametrize(("shift_s", "at_once"), [(0.0, True), (8.0, False)])
def test_parties_of_a_mix_that_speak_at_once_abstain(
    localize_made, make_media, speech, shared_media, shift_s, at_once
):
    other = read_audio(shared_media / "genuine" / "marlin02.mp4")[:1, : 8 * RATE]
    both = np.zeros((2, 16 * RATE), np.float32)
    both[0, : 8 * RATE] = speech[0]
    both[1, round(shift_s * RATE) :][: other.shape[1]] = other[0]
    prediction = localize_made(make_media(both), channels="mix", threshold=1.0)
    assert (Reason.CROSS_TALK in prediction.reasons) == at_once
    assert Reason.CROSS_TALK not in localize_made(make_media(both), threshold=1.0).reasons


def test_one_voice_in_stereo_is_no_cross_talk(localize_made, make_media, speech):
    room = np.random.default_rng(0).normal(0, 0.05 * speech.std(), (2, speech.shape[1]))
    stereo = (np.concatenate([speech, 0.6 * np.roll(speech, 1)]) + room).astype(np.float32)
    prediction = localize_made(make_media(stereo, np.full(200, 90.0)), threshold=1.0)
    assert {c.relation for c in prediction.channels} == {"distinct"}
    assert Reason.CROSS_TALK not in prediction.reasons


def test_shots_are_told(localize_made, make_media, make_noise):
    media = make_media(make_noise(8.0), np.full(200, 90.0), cuts=(60, 130))
    shots = [(s.segment.start, s.segment.end) for s in localize_made(media).spans if s.kind == "shot"]
    assert shots == [(0.0, 2.4), (2.4, 5.2), (5.2, 8.0)]
    assert not [s for s in localize_made(make_media(make_noise(8.0))).spans if s.kind == "shot"]
