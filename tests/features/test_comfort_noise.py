"""Noise that replaces the background again and again is found, wherever a block ends."""

import numpy as np
import pytest

from avloc.features.comfort_noise import HOP, N_FFT, ComfortNoiseFinder

RATE = 16000


def call(n_pauses: int, *, step_db: float = -10.0) -> np.ndarray:
    """Per 3 s: a second of loud noise, 0.25 s of background, 1.75 s of other noise."""
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.003, n_pauses * 3 * RATE)
    for start in range(0, len(samples), 3 * RATE):
        syllables = np.abs(np.sin(2 * np.pi * 3 * np.arange(RATE) / RATE))
        samples[start : start + RATE] += rng.normal(0, 0.1, RATE) * syllables
        samples[start + 5 * RATE // 4 : start + 3 * RATE] *= 10 ** (step_db / 20)
    return samples


def find(samples: np.ndarray, block: int = 128) -> list[tuple[float, float]]:
    padded = np.pad(samples, (0, block * HOP + N_FFT))
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(N_FFT + 1)[:-1])) ** 2
    finder = ComfortNoiseFinder()
    for start in range(0, len(power) // block * block, block):
        finder.push(power[start : start + block])
    finder.finish()
    return finder.spans()


@pytest.mark.parametrize("block", [4, 32, 128])
def test_spans_begin_with_the_other_noise_and_end_with_speech(block):
    spans = find(call(6), block)
    assert len(spans) == 6
    for index, (start, end) in enumerate(spans):
        assert start == pytest.approx(3 * index + 1.25, abs=0.07)
        assert end == pytest.approx(3 * index + 3.0, abs=0.3)


@pytest.mark.parametrize(
    ("n_pauses", "step_db", "n"), [(2, -10.0, 0), (3, -10.0, 3), (6, -3.0, 0), (6, 10.0, 6)]
)
def test_it_must_recur_and_differ(n_pauses, step_db, n):
    assert len(find(call(n_pauses, step_db=step_db))) == n


def test_noise_that_leads_back_as_often_is_a_splice():
    rng = np.random.default_rng(1)
    parts = [rng.normal(0, 0.003 if index % 2 else 0.001, RATE) for index in range(12)]
    assert find(np.concatenate(parts)) == []
