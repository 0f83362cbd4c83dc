from fractions import Fraction
from types import SimpleNamespace

import pytest

from avloc.media.headers import ATTACHED_PICTURE, DEFAULT, choose_streams, is_extension_wrong, read_times
from avloc.media.supervisor import Limits


def stream(index, kind, disposition=0, codec="x", **facts):
    context = SimpleNamespace(
        codec=SimpleNamespace(name=codec), sample_rate=8000, channels=1, width=8, height=8
    )
    context.__dict__.update(facts)
    return SimpleNamespace(
        index=index,
        type=kind,
        disposition=disposition,
        codec_context=context if codec else None,
        average_rate=Fraction(25),
        guessed_rate=None,
    )


def choose(*streams, **limits):
    return choose_streams(SimpleNamespace(streams=streams), Limits(**limits).to_dict())


def test_default_streams_come_before_others_and_cover_art_is_never_used():
    choice = choose(
        stream(0, "video", ATTACHED_PICTURE | DEFAULT),
        stream(1, "audio"),
        stream(2, "video"),
        stream(3, "video", DEFAULT),
        stream(4, "audio", DEFAULT),
        stream(5, "subtitle"),
    )
    assert (choice.audio, choice.video, choice.used) == (4, 3, [4, 3])
    assert [facts["index"] for facts in choice.listed] == [0, 1, 2, 3, 4]


def test_a_stream_without_a_decoder_is_passed_over():
    choice = choose(stream(0, "audio", codec=None), stream(1, "audio"))
    assert (choice.audio, choice.undecodable) == (1, ["stream 0"])


@pytest.mark.parametrize(
    ("facts", "limits", "name"),
    [
        ({"channels": 65}, {}, "channels"),
        ({"sample_rate": 3999}, {}, "sample_rate_min"),
        ({"sample_rate": 768_001}, {}, "sample_rate_max"),
        ({"sample_rate": 16_000}, {"sample_rate_max": 8_000}, "sample_rate_max"),
    ],
)
def test_a_stream_over_a_cap_is_named_and_the_next_one_taken(facts, limits, name):
    choice = choose(stream(0, "audio", **facts), stream(1, "audio"), **limits)
    assert choice.audio == 1
    assert choice.notes[0].startswith(f"{name}:")


def test_the_number_of_analysed_streams_is_a_cap_that_keeps_the_sound():
    choice = choose(stream(0, "video"), stream(1, "audio"), streams_analysed=1)
    assert choice.used == [1]


@pytest.mark.parametrize(
    ("path", "format_name", "is_wrong"),
    [
        ("a.mp4", "mov,mp4,m4a,3gp,3g2,mj2", False),
        ("a.m4a", "mov,mp4,m4a,3gp,3g2,mj2", False),
        ("a.mp4", "wav", True),
        ("a.WAV", "wav", False),
        ("folder.mp4/a", "wav", False),
        ("a.bin", "wav", False),
        ("a.mp3", "unheard_of", False),
    ],
)
def test_a_wrong_extension_is_one_of_another_container(path, format_name, is_wrong):
    assert is_extension_wrong(path, format_name) is is_wrong


def packet(index, pts, duration=1024, skip=None, is_discard=False, kind="audio"):
    return SimpleNamespace(
        stream_index=index,
        pts=pts,
        dts=pts,
        duration=duration,
        size=10,
        time_base=Fraction(1, 16000),
        is_discard=is_discard,
        stream=SimpleNamespace(type=kind, codec_context=SimpleNamespace(sample_rate=16000)),
        has_sidedata=lambda name: skip is not None,
        get_sidedata=lambda name: skip.to_bytes(4, "little"),
    )


def test_priming_that_the_decoder_drops_is_not_presented():
    packets = [packet(0, -1024, skip=1024, is_discard=True), packet(0, 0), packet(0, 1024)]
    times, complete = read_times(iter(packets), [0], whole=False)
    assert complete
    assert (times[0].first, times[0].end) == (0, Fraction(2048, 16000))


def test_a_long_file_is_read_to_its_end_only_when_asked():
    def endless():
        pts = 0
        while pts < 40_000 * 1024:
            yield packet(0, pts)
            pts += 1024

    times, complete = read_times(endless(), [0], whole=False)
    assert not complete
    assert times[0].n_packets < 40_000
    times, complete = read_times(endless(), [0], whole=True)
    assert complete
    assert times[0].end == Fraction(40_000 * 1024, 16000)
