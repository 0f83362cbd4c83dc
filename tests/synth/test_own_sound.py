"""The recording's own sound, moved or blended with a moved copy."""

import numpy as np

from avloc.synth.compose import compose
from avloc.synth.host import Host
from avloc.synth.own_sound import GATE, lag_shift, self_blend


def _host(pool) -> Host:
    return Host.cut(pool, 2, 4000, 80000)


def test_a_lag_goes_both_ways_and_moves_the_sound_by_what_it_says(pool):
    host, rng, signs = _host(pool), np.random.default_rng(0), set()
    for first in range(20000, 50000, 1000):
        material = lag_shift(rng, host, first, first + 10000)
        if material is not None:
            lag = round(material.parameters["lag_s"] * 16000)
            signs.add(int(np.sign(lag)))
            there = host.read(4000 + first - lag, 14000 + first - lag)
            np.testing.assert_array_equal(material.samples[160:-160], there)
    assert signs == {-1, 1}


def test_a_lag_is_not_taken_from_outside_the_recording(pool):
    host = Host.cut(pool, 2, 0, 20000)
    rng = np.random.default_rng(0)
    for _ in range(30):
        material = lag_shift(rng, host, 1000, 9000)
        assert material is None or material.parameters["lag_s"] < 0  # what came before is not there


def test_a_blend_is_the_weighted_sum_with_a_moved_copy_at_the_hosts_level(pool):
    host, rng, signs = _host(pool), np.random.default_rng(0), set()
    for _ in range(20):
        material = self_blend(rng, host, 30000, 40000)
        lag, share = round(material.parameters["lag_s"] * 16000), material.parameters["share"]
        signs.add(int(np.sign(lag)))
        original = host.around(30000, 40000, GATE)
        mixed = (1 - share) * original + share * host.around(30000 - lag, 40000 - lag, GATE)
        gain = material.samples / np.where(np.abs(mixed) > 1e-3, mixed, np.nan)
        assert np.nanmax(gain) - np.nanmin(gain) < 1e-3 and 160 <= abs(lag) <= 960 and 0.5 <= share <= 1
        assert np.isclose((material.samples**2).mean(), (original**2).mean(), rtol=1e-3)
    assert signs == {-1, 1}


def test_the_truth_of_a_blend_is_where_its_gate_is_above_a_half(pool):
    rng, change = np.random.default_rng(5), np.zeros(2 * GATE)
    for _ in range(20):
        item = compose(rng, pool, family="self_blend")
        index = next(i for i, e in enumerate(pool.entries) if e.id == item.attributes["host"])
        start = round(item.attributes["host_start_s"] * 16000)
        difference = np.abs(item.waveform[0] - pool.read(index, start, start + item.waveform.shape[1]))
        for segment in item.audio.segments:
            first, last = round(segment.start * 16000), round(segment.end * 16000)
            assert not difference[first - GATE - 300 : first - GATE].any()
            assert not difference[last + GATE : last + GATE + 300].any()
            change += difference[first - GATE : first + GATE]
    # A slope of the gate is 50 to 100 ms long, its middle at the edge.
    before, after = change[GATE - 400 : GATE].sum(), change[GATE : GATE + 400].sum()
    assert change[:200].sum() < 0.2 * change[-200:].sum() and before < 0.6 * after
