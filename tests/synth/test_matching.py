"""Matching: level, band, floor and rumble of what goes in are the host's."""

import numpy as np
import pytest

from avloc.datasets.speech_statistics import measure_speech
from avloc.synth.matching import Sound, fit_to_host


def _sound(waveform: np.ndarray) -> Sound:
    return Sound.of(measure_speech(waveform.astype(np.float32)), 0)


@pytest.fixture(scope="module")
def host() -> np.ndarray:
    rng = np.random.default_rng(1)
    spectrum = np.fft.rfft(rng.standard_normal(48000))
    spectrum[np.linspace(0, 8000, len(spectrum)) > 5000] *= 1e-4
    bursts = np.repeat(np.tile([0.05, 0.001], 15), 1600)
    rumble = 0.02 * np.sin(2 * np.pi * 30 * np.arange(48000) / 16000) + 0.003
    return (np.fft.irfft(spectrum) * bursts + rumble).astype(np.float32)


@pytest.fixture(scope="module")
def source() -> np.ndarray:
    rng = np.random.default_rng(2)
    return (rng.standard_normal(48000) * np.repeat(np.tile([0.3, 0.0001], 15), 1600)).astype(np.float32)


def test_level_and_band_of_the_host_are_met(host, source):
    rng = np.random.default_rng(3)
    fitted = fit_to_host(rng, source, host, _sound(host), _sound(source))
    loud = np.sqrt((fitted[:1600] ** 2).mean())
    assert 0.5 < loud / np.sqrt((host[:1600] ** 2).mean()) < 2
    power = np.abs(np.fft.rfft(fitted)) ** 2
    assert power[np.linspace(0, 8000, len(power)) > 5400].sum() < 1e-4 * power.sum()


def test_pauses_get_the_noise_of_the_host(host, source):
    fitted = fit_to_host(np.random.default_rng(3), source, host, _sound(host), _sound(source))
    quiet = slice(1700, 3100)
    # The rumble is in both: what is left is the floor.
    ratio = np.diff(fitted[quiet]).std() / np.diff(host[quiet]).std()
    assert 0.5 < ratio < 2


def test_rumble_and_offset_of_the_host_stay(host, source):
    fitted = fit_to_host(np.random.default_rng(3), source, host, _sound(host), _sound(source))
    assert fitted.mean() == pytest.approx(host.mean(), abs=5e-4)
    size, place = 1 << 17, round(30 * (1 << 17) / 16000)
    found, wanted = (np.abs(np.fft.rfft(s * np.hanning(48000), size))[place] for s in (fitted, host))
    assert found == pytest.approx(wanted, rel=0.1)
