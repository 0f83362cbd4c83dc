"""Holes lie where samples were taken out, wherever a block ends."""

import numpy as np
import pytest

from avloc.features.gaps import LOOKAHEAD, LOOKBACK, GapFinder

RATE = 16000


def noisy_syllables(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    loud = np.sin(2 * np.pi * 1.1 * np.arange(n) / RATE) > 0
    return (rng.normal(0, 0.05, n) * loud + rng.normal(0, 0.001, n)).astype(np.float32)


def find(samples: np.ndarray, block: int) -> GapFinder:
    finder = GapFinder()
    padded = np.pad(samples, (LOOKBACK, -len(samples) % block + LOOKAHEAD))
    for start in range(0, len(samples), block):
        finder.push(padded[start : start + LOOKBACK + block + LOOKAHEAD])
    return finder


@pytest.mark.parametrize("block", [1024, 2048, 16384])
def test_holes_across_the_ends_of_blocks_are_whole(block):
    samples = noisy_syllables(8.0)
    samples[16384 - 160 : 16384 + 160] = 0.0
    samples[49152 - 2000 : 49152 + 2000] = 0.0
    samples[81920 - 80 : 81920 + 80] = samples[81920 - 240 : 81920 - 80]
    finder = find(samples, block)
    lost = [(round(start * RATE), round(end * RATE)) for start, end in finder.losses()]
    assert lost[0] == (16384 - 160, 16384 + 160)
    assert lost[1] == pytest.approx((81920 - 80, 81920 + 80), abs=32)
    assert len(lost) == 2
    ((start, end),) = finder.redactions()
    assert (round(start * RATE), round(end * RATE)) == (49152 - 2000, 49152 + 2000)


@pytest.mark.parametrize("milliseconds", [10, 20, 30])
def test_repeated_frames_are_found_wherever_they_begin(milliseconds):
    n, samples = 16 * milliseconds, noisy_syllables(8.0)
    starts = 2000 + np.arange(5) * 29120 + np.arange(5) * 107  # in syllables, at any sample of a step
    for start in starts.tolist():
        samples[start : start + n] = samples[start - n : start]
    lost = np.array(find(samples, 16384).losses()) * RATE
    np.testing.assert_allclose(lost, np.stack([starts, starts + n], axis=1), atol=32)


@pytest.mark.parametrize(("value", "n"), [(0.0, 1), (0.001, 1), (0.5, 0)])
def test_a_constant_may_hold_a_small_offset_and_no_clipped_peak(value, n):
    samples = noisy_syllables(8.0)
    samples[48000:51200] = value
    assert len(find(samples, 16384).redactions()) == n


def test_as_many_pauses_as_muted_spans_must_hold_noise():
    samples = noisy_syllables(8.0)
    starts = range(4000, 124000, 14545)  # one in each of the nine pauses and syllables
    for start in starts:
        samples[start : start + 3200] = 0.0
    finder = find(samples, 16384)
    assert len(finder.redactions()) == 0
    assert len(find(np.concatenate([samples, noisy_syllables(12.0)]), 16384).redactions()) == len(starts)


def test_what_is_kept_of_silence_is_only_its_levels():
    finder = find(np.zeros(20 * 16384, dtype=np.float32), 16384)
    assert (finder.losses(), finder.redactions()) == ([], [])
    assert len(finder._holes) == 0
    assert len(finder._levels) == 20 * 64
