from dataclasses import dataclass, field
from fractions import Fraction
from types import SimpleNamespace

import pytest

from avloc.media import skipping
from avloc.media.skipping import Skipper

SOUND, PICTURE = 0, 1


@dataclass
class Packet:
    index: int
    pts: int | None
    dts: int | None
    is_keyframe: bool = True
    size: int = 10
    is_discard: bool = False
    time_base: Fraction = field(default=Fraction(1, 25))

    @property
    def stream(self):
        return SimpleNamespace(index=self.index)


def pictures(n, *, every, late=2, key=None):
    """Frames in the order of decoding; each is shown ``late`` frames after it is decoded."""
    return [Packet(PICTURE, i + late, i, is_keyframe=i % every == 0) for i in range(n)]


def test_pictures_begin_with_the_last_key_frame_that_is_shown_in_time():
    skipper = Skipper(pictures(100, every=10), Fraction(50, 25), picture=PICTURE)
    kept = [packet.pts for packet in skipper if packet]
    assert kept == list(range(42, 102))  # the one at 52 is decoded at 50 and shown later
    assert skipper.n_before(42) == 40


def test_pictures_that_are_shown_out_of_order_are_counted_in_order():
    order = [(0, True), (3, False), (1, False), (2, False)]
    packets = [
        Packet(PICTURE, 4 * g + p, 4 * g + d - 3, key) for g in range(9) for d, (p, key) in enumerate(order)
    ]
    skipper = Skipper(packets, Fraction(20, 25), picture=PICTURE)
    assert [packet.pts for packet in skipper if packet][0] == 20 and skipper.n_before(20) == 20
    assert skipper.n_before(None) == 0


def test_sound_begins_a_little_earlier_and_is_not_held_up():
    sound = [Packet(SOUND, t, t) for t in range(0, 200, 5)]
    both = sorted(sound + pictures(200, every=50, late=0), key=lambda packet: packet.dts)
    kept = [packet for packet in Skipper(both, Fraction(120, 25), picture=PICTURE) if packet]
    assert next(p.pts for p in kept if p.index == SOUND) == 70
    assert next(p.pts for p in kept if p.index == PICTURE) == 100
    for index in (SOUND, PICTURE):
        times = [p.pts for p in kept if p.index == index]
        assert times == sorted(times) and times[-1] >= 195


def test_signs_of_life_and_packets_without_a_time_pass():
    packets = [None, Packet(SOUND, None, None), Packet(SOUND, 0, 0)]
    assert list(Skipper(packets, Fraction(9), picture=None)) == packets


def test_every_packet_that_is_passed_over_is_a_sign_of_life():
    packets = pictures(100, every=10, late=0) + [Packet(SOUND, t, t) for t in range(100)]
    out = list(Skipper(sorted(packets, key=lambda p: p.dts), Fraction(90, 25), picture=PICTURE))
    assert out.count(None) >= 125


def test_frames_that_an_edit_list_hides_are_not_counted():
    packets = pictures(100, every=10, late=0)
    for packet in packets[:7]:
        packet.is_discard = True
    skipper = Skipper(packets, Fraction(50, 25), picture=PICTURE)
    assert list(skipper) and skipper.n_before(50) == 43


def test_a_recording_that_ends_before_the_part_gives_what_is_left():
    packets = pictures(30, every=10, late=0)
    kept = [p.pts for p in Skipper(packets, Fraction(9), picture=PICTURE) if p]
    assert kept == list(range(20, 30))


def test_without_key_frames_memory_stays_bounded(monkeypatch):
    monkeypatch.setattr(skipping, "LARGEST_HOLD", 95)
    packets = pictures(100, every=1000, late=0)
    skipper = Skipper(packets, Fraction(80, 25), picture=PICTURE)
    iterator = iter(skipper)
    assert next(p for p in iterator if p).pts == 0 and len(skipper._held) == 10
    assert len(list(iterator)) == 99


@pytest.mark.parametrize("time", [Fraction(0), Fraction(-3)])
def test_a_part_from_the_start_is_everything(time):
    packets = pictures(30, every=10, late=0)
    assert list(Skipper(packets, time, picture=PICTURE)) == packets
