"""Degradations of sound: nothing moves, and each does what it says."""

import numpy as np
import pytest

from avloc.corruptions.audio import (
    Severity,
    add_noise,
    augment,
    augment_and_tell,
    speech_level,
    telephone,
    telephone_and_tell,
    wide,
)
from avloc.features.lossy import code_lossily, inverse_mdct, mdct

NOTHING = Severity(colour=0, reverberation=0, noise=0, band=0, telephone=0, coding=0, clipping=0, gain=0)


@pytest.fixture
def sound() -> np.ndarray:
    rng = np.random.default_rng(5)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(48000)) * np.linspace(1, 0.05, 24001))
    bursts = np.repeat(rng.uniform(0, 1, 60), 800)
    return (0.2 * noise * bursts / noise.std()).astype(np.float32).clip(-0.9, 0.9)


def _lag(a: np.ndarray, b: np.ndarray) -> int:
    size = 1 << 17
    product = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)))
    best = int(product.argmax())
    return best - size if best > size // 2 else best


@pytest.mark.parametrize("seed", range(25))
def test_no_degradation_moves_the_sound(sound, seed):
    strong = Severity(reverberation=0.5, noise=0.8, telephone=0.3, coding=0.5, clipping=0.3)
    degraded = augment(np.random.default_rng(seed), sound, severity=strong)
    assert degraded.shape == sound.shape and degraded.dtype == np.float32
    assert _lag(degraded, sound) == 0


def test_the_same_seed_gives_the_same_bytes_and_shapes_are_kept(sound):
    first, second = (augment(np.random.default_rng(9), sound[None]) for _ in range(2))
    assert first.shape == (1, 48000)
    np.testing.assert_array_equal(first, second)


def test_without_any_degradation_the_sound_stays_but_for_16_bits(sound):
    same = augment(np.random.default_rng(0), sound, severity=NOTHING)
    np.testing.assert_allclose(same, sound, atol=0.51 / 32768)


def test_noise_has_the_asked_level(sound):
    for snr_db in (5.0, 20.0):
        noise = add_noise(np.random.default_rng(1), sound, snr_db)[0] - sound
        found = 20 * np.log10(speech_level(sound) / np.sqrt((noise**2).mean()))
        assert found == pytest.approx(snr_db, abs=0.1)


def test_a_telephone_line_keeps_the_time_and_only_the_band(sound):
    for seed in range(6):
        line = telephone(np.random.default_rng(seed), sound)
        assert _lag(line, sound) == 0
        power = np.abs(np.fft.rfft(line)) ** 2
        hertz = np.linspace(0, 8000, len(power))
        # What is left is the edge of the cut at the end.
        assert power[hertz > 4100].sum() < 1e-4 * power.sum()
        assert np.corrcoef(line, sound)[0, 1] > 0.6


@pytest.mark.parametrize("n_samples", [1, 7, 4001, 4002, 4003])
def test_odd_lengths_survive_everything(n_samples):
    rng = np.random.default_rng(2)
    short = (0.1 * rng.standard_normal(n_samples)).astype(np.float32)
    assert telephone(rng, short).shape == short.shape
    for _ in range(8):
        degraded = augment(rng, short, severity=Severity(telephone=0.3, coding=0.5))
        assert degraded.shape == short.shape and np.isfinite(degraded).all()


def test_silence_stays_silent():
    zeros = np.zeros((1, 8000), dtype=np.float32)
    for seed in range(10):
        assert np.abs(wide(np.random.default_rng(seed), zeros)[0]).max() == 0


def test_wide_keeps_five_kilohertz():
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal(32000)).astype(np.float32)
    hertz = np.linspace(0, 8000, 16001)
    band = (hertz > 4200) & (hertz < 4900)
    for seed in range(20):
        power = np.abs(np.fft.rfft(wide(np.random.default_rng(seed), noise)[0])) ** 2
        assert power[band].mean() > 1e-3 * power[(hertz > 500) & (hertz < 2000)].mean()


def test_what_was_drawn_is_told(sound):
    every = Severity(1.0, 1.0, 1.0, 1.0, 3000.0, 0.0, 1.0, 1.0, 1.0, (20.0, 20.0))
    _, told = augment_and_tell(np.random.default_rng(0), sound, severity=every)
    assert set(told) == {
        *("colour", "reverberation", "band_hz", "noise", "snr_db", "coding_step", "clipping_db")
    }
    assert told["snr_db"] == 20.0 and 3000 < told["band_hz"] < 7800 and 1 < told["clipping_db"] < 10
    assert augment_and_tell(np.random.default_rng(0), sound, severity=NOTHING)[1] == {}
    assert telephone_and_tell(np.random.default_rng(0), sound)[1]["telephone"] in ("mu", "a")


def test_the_noise_is_as_far_under_the_speech_as_is_told(sound):
    noisy = Severity(0, 0, 1.0, 0, 3000.0, 0, 0, 0, 0)
    for seed in range(5):
        degraded, told = augment_and_tell(np.random.default_rng(seed), 0.2 * sound, severity=noisy)
        noise = degraded - 0.2 * sound
        measured = 20 * np.log10(speech_level(0.2 * sound) / np.sqrt((noise**2).mean()))
        assert measured == pytest.approx(told["snr_db"], abs=0.5)  # 16-bit values, and no peak over 0.99


def test_a_wrong_rate_or_several_channels_are_refused(sound):
    with pytest.raises(ValueError, match="16000 Hz, got 8000"):
        augment(np.random.default_rng(0), sound, 8000)
    with pytest.raises(ValueError, match="channels one by one"):
        augment(np.random.default_rng(0), np.stack([sound, sound]))


@pytest.mark.parametrize("n_samples", [1, 575, 576, 577, 5000])
def test_the_lapped_transform_inverts_exactly(n_samples):
    samples = np.random.default_rng(0).standard_normal(n_samples).astype(np.float32)
    # float32 rounding of two transforms.
    np.testing.assert_allclose(inverse_mdct(mdct(samples), n_samples), samples, atol=1e-5)


def test_lossy_coding_loses_more_with_coarser_steps_and_cuts_the_band(sound):
    errors = [((code_lossily(sound, step=s, mask_db=60) - sound) ** 2).mean() for s in (0.1, 0.4, 1.5)]
    assert errors[0] < errors[1] < errors[2]
    coded = code_lossily(sound, step=0.2, mask_db=60, bandwidth_hz=4000)
    power = np.abs(np.fft.rfft(coded)) ** 2
    assert power[np.linspace(0, 8000, len(power)) > 4300].sum() < 1e-3 * power.sum()
    assert _lag(coded, sound) == 0
