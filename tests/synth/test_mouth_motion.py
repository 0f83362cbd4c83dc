"""A mouth does what phones ask of it: lips meet where they must, and lead the sound as the talker says."""

from dataclasses import fields, replace

import numpy as np
import pytest

from avloc.datasets.corpus import PHONES
from avloc.synth.mouth_motion import (
    LEAST_LEAD_S,
    LIKE,
    MOST_LEAD_S,
    VISEMES,
    MouthShapes,
    draw_style,
    trace_mouth,
)

EXACT = {"habit": 0.0, "slip": 0.0, "wander": 0.0, "rest": 0.0, "lead_s": 0.0}


def say(*names: str, each_s: float = 0.12, start_s: float = 1.0) -> list[tuple[float, float, str]]:
    return [(start_s + k * each_s, start_s + (k + 1) * each_s, name) for k, name in enumerate(names)]


def as_rows(shapes: MouthShapes) -> np.ndarray:
    return np.stack([getattr(shapes, field.name) for field in fields(MouthShapes)])


@pytest.mark.parametrize("phone", ["B", "M", "P"])
@pytest.mark.parametrize("seed", range(6))
def test_lips_meet_for_bilabials_in_at_least_one_frame_however_frames_fall(phone, seed):
    style = draw_style(np.random.default_rng(seed))
    phones = say("AA", phone, "AA", each_s=0.1)
    middle = 1.15 - style.lead_s
    for shift in np.arange(0, 0.04, 0.007):
        shapes = trace_mouth(style, phones, np.arange(middle - 0.4 + shift, middle + 0.4, 0.04))
        near = slice(9, 12)
        assert shapes.opening[near].min() == 0.0 and shapes.press[near].max() > 0.5
        assert shapes.opening.max() > 0.15


def test_lips_do_not_meet_where_no_phone_asks_for_it():
    style = replace(draw_style(np.random.default_rng(0)), **EXACT)
    shapes = trace_mouth(style, say("AA", "T", "AA", "K", "AE"), np.arange(1.05, 1.5, 0.01))
    assert shapes.opening.min() > 0.05 and shapes.press.max() == 0.0


@pytest.mark.parametrize("lead_s", [LEAST_LEAD_S, 0.025, MOST_LEAD_S])
def test_lips_lead_the_sound_by_what_the_talker_says(lead_s):
    style = draw_style(np.random.default_rng(3))
    phones = say("HH", "AH", "L", "OW", "W", "ER", "L", "D", "P", "IY", "P", "AH", "L")
    times = np.arange(0.5, 3.5, 0.04)
    early = trace_mouth(replace(style, lead_s=lead_s), phones, times)
    late = trace_mouth(replace(style, lead_s=0.0), phones, times + lead_s)
    np.testing.assert_allclose(as_rows(early), as_rows(late), atol=1e-4)
    opened = trace_mouth(replace(style, **EXACT | {"lead_s": lead_s}), say("AA"), np.arange(0.5, 2, 0.001))
    middle_s = 0.5 + 0.001 * np.average(np.arange(1500), weights=opened.opening)
    assert middle_s == pytest.approx(1.06 - lead_s, abs=0.01)


def test_a_part_of_a_recording_moves_as_the_whole_does():
    style, phones = draw_style(np.random.default_rng(1)), say(*list(PHONES))
    whole = as_rows(trace_mouth(style, phones, np.arange(150) / 25))
    part = as_rows(trace_mouth(style, phones, np.arange(60, 100) / 25))
    np.testing.assert_allclose(part, whole[:, 60:100], atol=1e-4)


def test_silence_is_a_closed_mouth_but_for_what_is_not_speech():
    style = draw_style(np.random.default_rng(5))
    still = trace_mouth(replace(style, **EXACT), [], np.arange(50) / 25)
    assert not as_rows(still).any()
    times = np.arange(500) / 25
    moved = trace_mouth(replace(style, **EXACT | {"wander": 0.5}), [], times)
    assert moved.opening.max() > 0 and np.ptp(moved.width) > 0.3
    ajar = trace_mouth(replace(style, **EXACT | {"rest": 0.1}), [], times)
    assert ajar.opening.min() > 0.05
    assert all(len(row) == 0 for row in as_rows(trace_mouth(style, [], np.zeros(0))))


def test_lips_take_the_form_of_the_vowel_and_of_their_teeth():
    style = replace(draw_style(np.random.default_rng(2)), **EXACT, shape=1.0)

    def at_middle(name: str) -> MouthShapes:
        return trace_mouth(style, say("HH", name, "HH", each_s=0.2), np.array([1.3]))

    aa, iy, uw, f = (at_middle(name) for name in ("AA", "IY", "UW", "F"))
    assert aa.opening > iy.opening > uw.opening and aa.jaw > iy.jaw
    assert iy.width > 0.4 > aa.width > uw.width and uw.rounding > 0.6 > iy.rounding
    assert f.tuck == pytest.approx(1.0) and aa.tuck == 0.0


def test_talkers_differ_and_one_moves_alike_each_time():
    phones, times = say("AA", "B", "IY", "S"), np.arange(1, 1.6, 0.04)
    styles = [draw_style(np.random.default_rng(k)) for k in (0, 0, 1)]
    first, same, other = (as_rows(trace_mouth(style, phones, times)) for style in styles)
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.05
    assert all(LEAST_LEAD_S <= style.lead_s <= MOST_LEAD_S for style in styles)


def test_every_phone_of_a_manifest_has_a_viseme():
    shapes = trace_mouth(draw_style(np.random.default_rng(0)), say(*PHONES), np.arange(0, 6, 0.04))
    assert np.isfinite(as_rows(shapes)).all()
    assert set(LIKE.values()) <= set(VISEMES)
