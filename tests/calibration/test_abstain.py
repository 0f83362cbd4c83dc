from dataclasses import replace

import pytest

from avloc.calibration.abstain import Facts, abstentions, cautions
from avloc.structures import Reason

CALL = Facts(
    has_audio=True,
    has_video=False,
    audio_analysed=True,
    speech_s=20.0,
    bandwidth_hz=8000.0,
    coverage_audio=1.0,
)
FILM = Facts(has_audio=False, has_video=True, audio_analysed=False, face_s=9.0, coverage_visual=0.9)


def test_a_good_recording_breaks_no_rule():
    assert abstentions(CALL) == () and cautions(CALL) == ()
    assert abstentions(FILM) == () and cautions(FILM) == ()


@pytest.mark.parametrize(
    ("facts", "change", "reason"),
    [
        (CALL, {"speech_s": 0.49}, Reason.NO_SPEECH),
        (CALL, {"low_snr_speech_s": 10.1}, Reason.LOW_SNR),
        (CALL, {"music_s": 10.1}, Reason.MUSIC),
        (CALL, {"cross_talk_s": 10.1}, Reason.CROSS_TALK),
        (CALL, {"bandwidth_hz": 2999.0}, Reason.HEAVY_COMPRESSION),
        (CALL, {"out_of_domain": True}, Reason.OUT_OF_DOMAIN),
        (CALL, {"coverage_audio": 0.49}, Reason.PARTIAL_COVERAGE),
        (FILM, {"face_s": 0.0}, Reason.NO_FACE),
        (FILM, {"small_face_s": 9.1}, Reason.FACE_TOO_SMALL),
        (FILM, {"static_face_s": 4.6}, Reason.FACE_STATIC),
        (FILM, {"sync_unknown": True}, Reason.SYNC_UNKNOWN),
    ],
)
def test_each_rule_holds_just_beyond_its_limit(facts, change, reason):
    assert abstentions(replace(facts, **change)) == (reason,)


@pytest.mark.parametrize(
    ("facts", "change"),
    [
        (CALL, {"speech_s": 0.5}),
        (CALL, {"low_snr_speech_s": 10.0}),
        (CALL, {"bandwidth_hz": 3000.0}),
        (CALL, {"coverage_audio": 0.5}),
        (FILM, {"small_face_s": 9.0}),
        (FILM, {"static_face_s": 4.5}),
    ],
)
def test_no_rule_holds_at_its_limit(facts, change):
    assert abstentions(replace(facts, **change)) == ()


def test_without_speech_a_usable_face_is_enough():
    facts = replace(CALL, has_video=True, speech_s=0.0, face_s=5.0, coverage_visual=0.9)
    assert abstentions(facts) == () and cautions(facts) == (Reason.NO_SPEECH,)


def test_a_missing_face_only_warns_where_the_sound_was_analysed():
    facts = replace(CALL, has_video=True, coverage_visual=0.0)
    assert abstentions(facts) == ()
    assert cautions(facts) == (Reason.NO_FACE, Reason.PARTIAL_COVERAGE)


def test_a_telephone_bandwidth_only_warns():
    facts = replace(CALL, bandwidth_hz=3800.0)
    assert abstentions(facts) == () and cautions(facts) == (Reason.NARROWBAND,)


def test_one_stream_with_enough_coverage_is_enough():
    facts = replace(CALL, has_video=True, face_s=2.0, coverage_visual=0.2)
    assert abstentions(facts) == () and cautions(facts) == (Reason.PARTIAL_COVERAGE,)
