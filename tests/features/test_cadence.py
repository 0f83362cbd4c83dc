"""Bursts of known times and frequencies get the names that the standards give them."""

import pytest

from avloc.features.cadence import name_digits, name_tones
from avloc.features.tones import Burst


def burst(start_s: float, seconds: float, *frequencies_hz: float, twist_db: float = 0.0) -> Burst:
    levels = [-20.0] * (len(frequencies_hz) - 1) + [-20.0 + twist_db]
    return Burst(start_s, start_s + seconds, frequencies_hz, tuple(levels))


def chain(pattern: tuple[float, ...], *frequencies_hz: float) -> list[Burst]:
    at, bursts = 0.0, []
    for index, seconds in enumerate(pattern):
        if index % 2 == 0:
            bursts.append(burst(at, seconds, *frequencies_hz))
        at += seconds
    return bursts


@pytest.mark.parametrize(("twist_db", "n"), [(-9.1, 0), (-8.0, 1), (0.0, 1), (4.0, 1), (5.1, 0)])
def test_twist_within_what_receivers_must_take(twist_db, n):
    assert len(name_digits([burst(0.0, 0.1, 770, 1336, twist_db=twist_db)])) == n


@pytest.mark.parametrize(("factor", "n"), [(0.97, 0), (0.985, 1), (1.015, 1), (1.03, 0)])
def test_frequency_within_what_receivers_must_take(factor, n):
    assert len(name_digits([burst(0.0, 0.1, 852 * factor, 1477)])) == n
    assert len(name_digits([burst(0.0, 0.1, 852, 1477 * factor)])) == n


def test_a_dropout_does_not_split_a_digit_and_another_digit_does():
    same = [burst(0.0, 0.05, 697, 1209), burst(0.06, 0.05, 697, 1209)]
    other = [burst(0.0, 0.05, 697, 1209), burst(0.06, 0.05, 697, 1336)]
    assert name_digits(same) == [("dtmf", 0.0, pytest.approx(0.11))]
    assert len(name_digits(other)) == 2


@pytest.mark.parametrize(
    ("pattern", "frequencies", "code"),
    [
        ((1.0, 4.0, 1.0, 4.0, 1.0), (425,), "ring_back"),
        ((1.0,), (425,), "ring_back"),
        ((0.3, 4.0, 1.0), (425,), "ring_back"),  # the recording begins inside a burst
        ((2.0, 4.0, 2.0), (440, 480), "ring_back"),
        ((0.4, 0.2, 0.4, 2.0, 0.4), (400, 450), "ring_back"),
        ((0.5, 0.5, 0.5), (440, 480), "beep"),  # pauses of no ringing tone
        ((1.0, 4.0, 1.0), (500,), "beep"),
        ((2.0, 4.0, 2.0), (425,), "hold_tone"),
        ((0.5, 0.5, 0.5, 0.5, 0.5), (480, 620), "hold_tone"),
        ((0.5, 0.5, 0.5), (480, 620), "beep"),
        ((0.5, 0.2, 0.5, 0.9, 0.5), (1000,), "beep"),  # nothing even in it
        ((1.49,), (1000,), "beep"),
        ((1.51,), (1000,), "hold_tone"),
    ],
)
def test_cadence_and_frequencies_give_the_code(pattern, frequencies, code):
    named = name_tones(chain(pattern, *frequencies))
    assert {row[0] for row in named} == {code}
    assert named[0][1] == 0.0
    assert max(row[2] for row in named) == pytest.approx(sum(pattern))


def test_a_low_beep_must_last_longer_than_a_sung_vowel():
    assert name_tones([burst(0.0, 0.27, 440)]) == []
    assert [row[0] for row in name_tones([burst(0.0, 0.3, 440)])] == ["beep"]
    assert [row[0] for row in name_tones([burst(0.0, 0.05, 1400)])] == ["beep"]
    assert name_tones([burst(0.0, 0.03, 1400)]) == []


def test_chains_of_different_frequencies_do_not_mix():
    bursts = chain((1.0, 4.0, 1.0), 425) + [burst(2.0, 0.5, 1400)]
    assert [row[0] for row in name_tones(bursts)] == ["ring_back", "beep"]


def test_digits_are_no_tones():
    assert name_tones([burst(0.0, 0.5, 770, 1336)]) == []
