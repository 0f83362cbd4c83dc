"""Resynthesis: other samples, the same length, the same words."""

import numpy as np
import pytest

from avloc.synth.griffin_lim import draw_griffin_lim, griffin_lim
from avloc.synth.phase_vocoder import resample_to, shift_formants, shift_pitch, stretch
from avloc.synth.source_filter import draw_source_filter, pitch, source_filter
from avloc.synth.stft import Stft


@pytest.fixture(scope="module")
def speech(pool) -> np.ndarray:
    return pool.read(0, 0, 24000)


def _log_spectrum(samples: np.ndarray) -> np.ndarray:
    power = np.abs(Stft(512, 160, len(samples)).forward(samples)) ** 2
    bands = np.add.reduceat(power, np.arange(0, 257, 12), axis=1)
    return np.log(bands + 1e-4)


def _resemblance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(_log_spectrum(a).ravel(), _log_spectrum(b).ravel())[0, 1])


@pytest.mark.parametrize("n_fft, hop", [(512, 128), (640, 128), (800, 200), (512, 102), (1024, 256)])
@pytest.mark.parametrize("n_samples", [1, 500, 5000])
def test_the_transform_inverts(n_fft, hop, n_samples):
    samples = np.random.default_rng(0).standard_normal(n_samples).astype(np.float32)
    transform = Stft(n_fft, hop, n_samples)
    # float32 rounding of two transforms and a division.
    np.testing.assert_allclose(transform.inverse(transform.forward(samples)), samples, atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_vocoders_keep_the_words_but_not_the_samples(speech, seed):
    rng = np.random.default_rng(seed)
    for made in (
        griffin_lim(rng, speech, **draw_griffin_lim(rng)),
        source_filter(rng, speech, **draw_source_filter(rng)),
    ):
        assert made.shape == speech.shape and np.isfinite(made).all()
        assert _resemblance(made, speech) > 0.8
        assert np.abs(made - speech).max() > 0.01


def test_pitch_of_a_pulse_train_is_found_and_noise_has_none():
    times = np.arange(16000)
    voiced = ((times % 128) < 2).astype(np.float32)
    found = pitch(voiced, 160, 100)[10:90]
    assert np.median(found) == pytest.approx(125, rel=0.02)
    noise = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    assert (pitch(noise, 160, 100) > 0).mean() < 0.3


def test_pitch_shift_moves_a_tone_and_stretch_does_not():
    tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)

    def frequency(samples: np.ndarray) -> float:
        return float(np.abs(np.fft.rfft(samples, 1 << 17)).argmax()) * 16000 / (1 << 17)

    assert frequency(shift_pitch(tone, 3.0)) == pytest.approx(440 * 2**0.25, rel=0.01)
    longer = stretch(tone, 1.25)
    assert len(longer) == 20000 and frequency(longer) == pytest.approx(440, rel=0.01)


def test_no_shift_is_no_change(speech):
    np.testing.assert_allclose(shift_formants(speech, 1.0), speech, atol=1e-4)
    np.testing.assert_array_equal(resample_to(speech, len(speech)), speech)


def test_formants_move_and_the_pitch_stays(speech):
    moved = shift_formants(speech, 1.2)
    hertz = np.linspace(0, 8000, 257)
    before, after = (np.exp(_mean_log_power(s)) for s in (speech, moved))
    assert (hertz * after).sum() / after.sum() > 1.05 * (hertz * before).sum() / before.sum()


def _mean_log_power(samples: np.ndarray) -> np.ndarray:
    return np.log(np.abs(Stft(512, 160, len(samples)).forward(samples)) ** 2 + 1e-6).mean(axis=0)
