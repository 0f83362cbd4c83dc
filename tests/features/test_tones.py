"""Sinusoids of known frequency and level are measured, and bursts hold only steady ones."""

import numpy as np
import pytest

from avloc.features.tones import BurstFinder, find_sinusoids, stretches

RATE, N_FFT, HOP = 16000, 512, 128


def spectra(samples: np.ndarray) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::HOP]
    return np.abs(np.fft.rfft(frames * np.hanning(N_FFT + 1)[:-1])) ** 2


def sine(frequency_hz: float, seconds: float = 0.5, amplitude: float = 0.1) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * RATE)) / RATE)


def bursts(samples: np.ndarray, n_blocks: int = 1, **options: object) -> list:
    finder = BurstFinder(n_fft=N_FFT, hop=HOP, components=(1, 2), min_frames=3, **options)
    for block in np.array_split(spectra(samples), n_blocks):
        finder.push(block)
    finder.finish()
    return finder.bursts


@pytest.mark.parametrize("frequency_hz", [440.0, 697.3, 1000.0, 1633.1, 2750.0])
def test_frequency_and_energy_of_a_lone_sinusoid_are_exact(frequency_hz):
    frequency, energy, total = find_sinusoids(spectra(sine(frequency_hz)), N_FFT, 1)
    np.testing.assert_allclose(frequency[:, 0], frequency_hz, atol=0.5)
    np.testing.assert_allclose(energy[:, 0] / (3 * N_FFT**2 / 16), 0.005, rtol=0.02)
    np.testing.assert_allclose(energy[:, 0], total, rtol=0.02)


def test_a_burst_says_where_what_and_how_loud():
    quiet = np.zeros(RATE // 2)
    (found,) = bursts(np.concatenate([quiet, sine(852) + sine(1477, amplitude=0.05), quiet]))
    assert (found.start_s, found.end_s) == pytest.approx((0.5, 1.0), abs=0.008)
    assert found.frequencies_hz == pytest.approx((852, 1477), abs=1.0)
    assert found.levels_db == pytest.approx((-23.0, -29.0), abs=0.3)


@pytest.mark.parametrize("n_blocks", [2, 5, 17])
def test_blocks_do_not_split_bursts(n_blocks):
    samples = np.concatenate([np.zeros(3000), sine(1000, 0.8), np.zeros(3000), sine(1400, 0.3)])
    whole, cut = bursts(samples), bursts(samples, n_blocks)
    assert len(whole) == 2
    for one, other in zip(whole, cut, strict=True):
        assert (one.start_s, one.end_s) == (other.start_s, other.end_s)
        np.testing.assert_allclose(one.frequencies_hz, other.frequencies_hz)


def test_what_drifts_swells_or_is_impure_is_no_burst():
    at = np.arange(RATE // 2) / RATE
    drifting = 0.1 * np.sin(2 * np.pi * (800 * at + 60 * at**2))
    swelling = sine(800) * np.exp(4 * at)
    impure = sine(800) + np.random.default_rng(0).normal(0, 0.06, len(at))
    faint = sine(800, amplitude=0.003)
    for samples in (drifting, swelling, impure, faint):
        assert bursts(samples) == []


def test_stretches_are_half_open():
    assert stretches(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert stretches(np.zeros(0, dtype=bool)) == []


def test_short_stretches_are_left_out_unless_they_may_go_on():
    flags = np.array([True, False, True, False, True, True, True, False, True, True])
    assert stretches(flags, 3) == [(0, 1), (4, 7), (8, 10)]
    assert stretches(flags[1:-2], 3) == [(3, 6)]
    assert stretches(flags[:1], 3) == [(0, 1)]


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_frames_that_are_not_examined_hold_no_sinusoids(n_components):
    rng = np.random.default_rng(0)
    finder = BurstFinder(n_fft=N_FFT, hop=HOP, components=(1, n_components), min_frames=3)
    # Few strong bins, many weak ones: energy in lobes from nearly none to all.
    power = rng.exponential(1.0, (20000, N_FFT // 2 + 1)) ** rng.uniform(1, 12, (20000, 1))
    power *= 10 ** rng.uniform(-3, 5, (20000, 1)) / power.max(axis=1, keepdims=True)
    power[:2] = 1.0
    power[0, 10:12] = (1e6, 1e4)  # the strongest bin of a lobe lies outside where peaks are searched
    for index in range(n_components):
        power[1, 20 + 10 * index : 25 + 10 * index] = (1e5, 1e5, 1.1e5, 1e5, 1e5)  # as wide as a lobe can be
    power = power.astype(np.float32)
    held = finder._describe(*find_sinusoids(power, N_FFT, n_components))[0]
    examined = finder._promising(power)
    assert held[:2].tolist() == [0, 1]
    assert 500 < len(held) <= len(examined) < 15000
    assert set(held.tolist()) <= set(examined.tolist())
