import numpy as np
import pytest
import torch

from avloc.pipelines.pairing import CHOICE_FRAMES, OFF_SCREEN_FRAMES, choose_faces
from avloc.pipelines.pictures import Picture
from avloc.structures import Reason

N = 300
ALL = np.ones(N, bool)


def picture(*faces):
    """Faces (id, first, last) of one picture."""
    face = np.full(N, -1)
    for identity, first, last in faces:
        face[first:last] = identity
    return Picture(np.zeros((N, 96, 96), np.uint8), face)


def band(cosine, *, lag=2, floor=0.0):
    """Cosine (number or (n,)) at one lag, ``floor`` at all others."""
    values = np.full((31, N), floor, np.float32)
    values[15 + lag] = cosine
    return values


def test_the_only_face_speaks_unless_it_agrees_at_no_lag():
    face, off_screen = choose_faces([picture((4, 20, 280))], [band(0.2)], ALL)
    assert (face[20:280] == 4).all() and (face[:20] == -1).all() and not off_screen.any()
    face, off_screen = choose_faces([picture((4, 20, 280))], [band(0.35, floor=0.3)], ALL)
    assert (face == -1).all() and off_screen[20:280].all() and off_screen.sum() == 260


def test_little_evidence_does_not_make_a_face_a_listener():
    little = np.arange(N) < OFF_SCREEN_FRAMES - 1
    for heard, spoken in ((little, True), (np.arange(N) < OFF_SCREEN_FRAMES, False)):
        face, off_screen = choose_faces([picture((0, 0, N))], [band(0.0)], heard)
        assert (face == 0).all() == spoken and off_screen.sum() == (0 if spoken else OFF_SCREEN_FRAMES)


def test_of_two_faces_the_one_that_agrees_clearly_better_speaks():
    both = [picture((0, 0, N)), picture((1, 0, N))]
    face, off_screen = choose_faces(both, [band(0.2), band(0.31)], ALL)
    assert (face == 1).all() and not off_screen.any()
    face, off_screen = choose_faces(both, [band(0.25), band(0.31)], ALL)
    assert (face == -1).all() and off_screen.all()


@pytest.mark.parametrize("lag", [-15, -6, 0, 9, 15])
def test_the_choice_does_not_depend_on_a_constant_offset(lag):
    face, _ = choose_faces([picture((0, 0, N)), picture((1, 0, N))], [band(0.4, lag=lag), band(0.1)], ALL)
    assert (face == 0).all()


def test_a_choice_between_faces_needs_two_seconds_of_sound():
    both = [picture((0, 0, N)), picture((1, 0, N))]
    for n_heard, expected in ((CHOICE_FRAMES - 1, -1), (CHOICE_FRAMES, 0)):
        face, _ = choose_faces(both, [band(0.5), band(0.1)], np.arange(N) < n_heard)
        assert (face == expected).all()


def test_the_choice_is_made_anew_where_faces_come_and_go():
    pictures = [picture((0, 0, 200)), picture((1, 100, 300))]
    face, off_screen = choose_faces(pictures, [band(0.5), band(0.3)], ALL)
    assert (face[:200] == 0).all() and (face[200:] == 1).all() and not off_screen.any()
    face, off_screen = choose_faces(pictures, [band(0.31), band(0.3)], ALL)
    assert (face[:100] == 0).all() and (face[100:200] == -1).all() and (face[200:] == 1).all()
    np.testing.assert_array_equal(np.flatnonzero(off_screen)[[0, -1]], [100, 199])


def test_without_sound_nobody_is_a_listener():
    face, off_screen = choose_faces([picture((0, 0, N))], [band(0.0)], ~ALL)
    assert (face == 0).all() and not off_screen.any()


def test_without_faces_nobody_is_chosen():
    face, off_screen = choose_faces([], [], ALL)
    assert (face == -1).all() and not off_screen.any()


def test_a_network_that_does_not_compare_takes_the_only_face():
    assert (choose_faces([picture((0, 0, 90))], [None], ALL)[0][:90] == 0).all()


# through the whole pipeline: faces brighter than 100 do not go with the sound


@pytest.fixture
def choosy(network):
    network.agreement = lambda brightness: torch.where(brightness < -0.2, 0.6, 0.05)
    return network


def spans(prediction, kind):
    return [(s.segment.start, s.segment.end) for s in prediction.spans if s.kind == kind]


def test_a_listener_beside_the_speaker_is_seen_and_not_compared(
    localize_made, make_media, make_noise, choosy
):
    media = make_media(make_noise(20.0, (12.0, 13.0)), np.full(500, 40.0), others={1: np.full(500, 120.0)})
    media.others[1][100:150] = 250.0
    prediction = localize_made(media, curves=True)
    by_start = sorted(prediction.detections, key=lambda d: d.segment.start)
    assert [(round(d.segment.start), d.face, d.modality.value) for d in by_start] == [
        (4, 1, "visual"),
        (12, 0, "audio"),
    ]
    heard, alone = choosy.calls[0], choosy.calls[-1]
    assert heard["audio_mask"] is not None and alone["audio_mask"] is None and len(choosy.calls) == 3
    assert {(c.name, c.face) for c in prediction.curves if c.face is not None} == {
        ("score_visual", 0),
        ("score_visual", 1),
    }
    assert Reason.SEVERAL_FACES in prediction.warnings and not spans(prediction, "off_screen_speech")
    assert [f.id for f in prediction.faces] == [0, 1] and prediction.analysed.coverage_visual == 1.0
    assert [c.path for c in prediction.channels] == ["audio_visual"]


def test_a_narrator_over_a_face_is_off_screen_and_no_evidence(
    localize_made, make_media, shared_media, choosy
):
    from avloc.media.whole import read_audio

    speech = read_audio(shared_media / "genuine" / "hdtf-aoc.mp4")[:1, : 9 * 16000]
    prediction = localize_made(make_media(speech, np.full(225, 120.0)), curves=True)
    told = spans(prediction, "off_screen_speech")
    np.testing.assert_allclose(told, spans(prediction, "speech"), atol=0.04)  # whole frames of sound
    assert Reason.OFF_SCREEN_SPEECH in prediction.warnings
    masks = [(call["audio_mask"] is not None, call["visual_mask"] is not None) for call in choosy.calls]
    assert masks == [(True, True), (True, False), (False, True)]
    (discrepancy,) = [c for c in prediction.curves if c.name == "discrepancy"]
    assert set(discrepancy.values) == {None}
    assert {c.name for c in prediction.curves if c.face == 0} == {"score_visual"}
    assert prediction.analysed.coverage_visual == prediction.analysed.coverage_audio == 1.0
    assert prediction.sync.offset_s is None


def test_one_face_is_one_run_of_the_network_a_window(localize_made, make_media, make_noise, network):
    localize_made(make_media(make_noise(20.0), np.full(500, 90.0)))
    assert len(network.calls) == 1


def test_each_channel_may_go_with_another_face(localize_made, make_media, make_noise, network):
    """Only what was heard decides: both channels take the face that agrees, the other is a picture alone."""
    network.agreement = lambda brightness: torch.where(brightness < -0.2, 0.6, 0.05)
    samples = np.concatenate([make_noise(20.0), make_noise(20.0, seed=1)])
    media = make_media(samples, np.full(500, 40.0), others={1: np.full(500, 120.0)})
    table = localize_made(media, channels="each", frames=True).frames
    assert len(table) == 1500
    for channel, face in ((0, 0), (1, 0), (-1, 1)):
        assert ((table.channel == channel) & (table.face == face)).sum() == 500


def test_faces_keep_their_lanes_from_window_to_window(localize_made, make_media):
    """The lower face is hidden where the second window begins: copies of a segment at the seam are one."""
    first, second = np.full(1000, 40.0), np.full(1000, 60.0)
    first[360:372] = np.nan
    first[490:510] = second[485:515] = 250.0  # around the seam of the windows, at frame 500
    prediction = localize_made(make_media(mouth=first, others={5: second}))
    assert sorted((round(d.segment.start, 1), d.face) for d in prediction.detections) == [
        (19.4, 5),
        (19.6, 0),
    ]


def test_a_face_keeps_its_lane_when_the_first_has_left(localize_made, make_media):
    first, second = np.full(1000, 40.0), np.full(1000, 60.0)
    first[300:] = np.nan
    second[485:515] = 250.0  # at the seam
    prediction = localize_made(make_media(mouth=first, others={5: second}), curves=True)
    assert [(d.face, round(d.segment.start, 1)) for d in prediction.detections] == [(5, 19.4)]
    assert sorted(c.face for c in prediction.curves if c.name == "score_visual") == [0, 5]


def test_at_most_so_many_segments_are_listed_of_a_mix_and_its_faces(localize_made, make_media, make_noise):
    from avloc.decoding.select import Selection

    media = make_media(make_noise(20.0, (12.0, 13.0)), np.full(500, 40.0), others={1: np.full(500, 60.0)})
    media.others[1][100:150] = media.others[1][300:350] = 250.0
    assert len(localize_made(media).detections) > 2
    assert len(localize_made(media, selection=Selection(max_segments=2)).detections) == 2


def test_two_faces_without_sound_have_their_own_segments(localize_made, make_media):
    first, second = np.full(500, 40.0), np.full(500, 60.0)
    first[100:150] = second[300:350] = 250.0
    prediction = localize_made(make_media(mouth=first, others={5: second}))
    found = sorted((round(d.segment.start), d.face) for d in prediction.detections)
    assert found == [(4, 0), (12, 5)]
