"""Joints: as loud on both sides as natural speech is, and never on a grid."""

import numpy as np
import pytest

from avloc.metrics.recording import auc
from avloc.synth.compose import forge_sound
from avloc.synth.host import Host
from avloc.synth.joints import cut_words, levels_db, nearest_level
from avloc.synth.spans import EDGE, HOP, choose_span, draw_length, frame_envelope


def _steps(samples: np.ndarray, place: int, n: int = 320) -> float:
    after, before = ((part**2).mean() for part in (samples[place : place + n], samples[place - n : place]))
    return float(abs(10 * np.log10((after + 1e-9) / (before + 1e-9))))


@pytest.mark.parametrize("family", ["insert_other", "insert_same", "insert_tts", "pitch_shift", "self_blend"])
@pytest.mark.dataset
def test_the_step_of_level_at_a_joint_does_not_tell_it_from_a_place_of_natural_speech(real_pool, family):
    rng, joints, natural = np.random.default_rng(0), [], []
    long_enough = [i for i in real_pool.natural if real_pool.n_samples(i) > 64000]
    while len(joints) < 300:
        host = Host.cut(real_pool, int(rng.choice(long_enough)), 0, 64000)
        bounds, length = (EDGE, 64000 - EDGE), draw_length(rng, 2.0)
        span = choose_span(rng, host.envelope, host.sound.threshold, bounds=bounds, length=length)
        forged = forge_sound(rng, host, family, 64000)
        if forged is None or span is None:
            continue
        inside = [s for s in forged.spans if s[1] < len(forged.samples) - 400]
        joints += [_steps(forged.samples, place) for s in inside for place in s]
        natural += [_steps(host.samples, place) for place in span]
    area = auc(np.array(joints + natural), np.arange(len(joints) + len(natural)) < len(joints))
    # Without choosing the cuts by their level it is 0.70 to 0.77; the standard error of this area is 0.024.
    assert abs(area - 0.5) < 0.15


def test_words_are_cut_where_they_are_as_loud_as_what_they_replace():
    rng = np.random.default_rng(0)
    host = np.repeat(10 ** rng.uniform(-3, -0.5, 40), 10)
    source = np.repeat(10 ** rng.uniform(-3, -0.5, 60), 10)
    chosen, drawn = [], []
    for _ in range(60):
        start = int(rng.integers(20, 200)) * HOP
        span = (start, start + 80 * HOP)
        bounds = (3 * HOP, 590 * HOP)
        cut = cut_words(rng, source, 1e-4, bounds=bounds, host=host, span=span, gain=1.0)
        assert bounds[0] <= cut[0] < cut[1] <= bounds[1] and abs(cut[1] - cut[0] - 80 * HOP) <= 26 * HOP
        wanted = levels_db(host)[start // HOP]
        chosen.append(abs(levels_db(source)[cut[0] // HOP] - wanted))
        drawn.append(abs(levels_db(source)[int(rng.integers(600))] - wanted))
    assert np.median(chosen) < 3 < 9 < np.median(drawn)


def test_a_place_moves_to_the_nearest_level_within_its_bounds():
    rng = np.random.default_rng(0)
    host = np.full(100, 0.1)
    host[58:62] = 0.001
    places = [nearest_level(rng, host, 55 * HOP, -60.0, bounds=(0, 100 * HOP)) for _ in range(20)]
    assert {place // HOP for place in places} <= {60, 61, 62} and len({p % HOP for p in places}) > 5
    assert nearest_level(rng, host, 55 * HOP, -60.0, bounds=(50 * HOP, 57 * HOP)) <= 57 * HOP
    assert nearest_level(rng, host, 99 * HOP, -60.0, bounds=(100 * HOP, 100 * HOP)) == 100 * HOP


def test_levels_are_those_of_the_envelope():
    samples = 0.1 * np.random.default_rng(0).standard_normal(3200)
    levels = levels_db(frame_envelope(samples), gain=10.0)
    assert levels[0] == pytest.approx(10 * np.log10((samples[:320] ** 2).mean()) + 20, abs=1e-6)
