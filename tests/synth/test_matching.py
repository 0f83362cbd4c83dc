"""Matching: level, band, floor and rumble of what goes in are the host's."""

from dataclasses import replace

import numpy as np
import pytest

from avloc.datasets.speech_statistics import measure_speech
from avloc.features.lossy import mdct
from avloc.synth.matching import Sound, fit_to_host, noise_over


def _sound(waveform: np.ndarray) -> Sound:
    return Sound.of(measure_speech(waveform.astype(np.float32)), 0)


@pytest.fixture(scope="module")
def host() -> np.ndarray:
    rng = np.random.default_rng(1)
    spectrum = np.fft.rfft(rng.standard_normal(48000))
    spectrum[np.linspace(0, 8000, len(spectrum)) > 4600] *= 1e-4  # lower than coders cut
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


def test_a_hole_in_resynthesized_sound_is_filled_with_the_noise_of_the_host(host):
    rng = np.random.default_rng(4)
    noisy = host + 0.004 * rng.standard_normal(len(host)).astype(np.float32)
    spectrum = np.fft.rfft(noisy[:16000])
    spectrum[np.linspace(0, 8000, len(spectrum)) > 4000] = 0  # what a lower pitch leaves
    made = np.fft.irfft(spectrum).astype(np.float32)
    fitted = fit_to_host(rng, made, noisy[:16000], _sound(noisy), None)
    power, wanted = (np.abs(np.fft.rfft(s * np.hanning(16000))) ** 2 for s in (fitted, noisy[:16000]))
    top = np.linspace(0, 8000, len(power)) > 6000
    assert 0.3 < power[top].sum() / wanted[top].sum() < 2
    assert (fitted**2).mean() == pytest.approx((made**2).mean(), rel=0.3)


def test_noise_of_a_source_is_compared_at_the_level_of_the_host(host, source):
    assert noise_over(_sound(host), _sound(host)) == pytest.approx(0, abs=1e-6)
    louder = noise_over(_sound(3 * source), _sound(source))
    assert louder == pytest.approx(0, abs=0.1)  # its speech is louder as well
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(source))
    assert noise_over(_sound(source + noise), _sound(source)) > 10


@pytest.mark.parametrize(("bandwidth_hz", "coded"), [(8000.0, False), (6000.0, True), (3400.0, False)])
def test_material_gets_the_holes_of_a_coder_where_the_band_of_the_host_ends_as_a_coders(bandwidth_hz, coded):
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(48000))
    spectrum[np.linspace(0, 8000, len(spectrum)) > 2000] *= 10 ** (-60 / 20)
    dull = (0.1 * np.fft.irfft(spectrum)).astype(np.float32)
    host = replace(_sound(dull), bandwidth_hz=bandwidth_hz)
    fitted = fit_to_host(rng, dull, np.zeros_like(dull), host, _sound(dull), tilt_strength=0.0)
    holes = np.abs(mdct(fitted))[5:-5, 230:245] < 1e-6  # 3.2 to 3.4 kHz, far under what is loud
    # Noise fitted after the coder would fill them.
    assert holes.mean() > 0.9 if coded else holes.mean() < 0.05
