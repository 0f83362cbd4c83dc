"""Resynthesis: other samples, the same length, the same words."""

import numpy as np
import pytest
from scipy.signal import lfilter

from avloc.synth.griffin_lim import draw_griffin_lim, griffin_lim
from avloc.synth.harmonic_noise import draw_harmonic_noise, harmonic_noise
from avloc.synth.overlap_add import pitch_marks, psola, wsola
from avloc.synth.phase_vocoder import resample_to, shift_formants, shift_pitch, stretch
from avloc.synth.pole_shift import move_poles, shift_poles
from avloc.synth.rtisi import draw_rtisi, rtisi
from avloc.synth.sola import shift_by_rate, sola
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
        rtisi(rng, speech, **draw_rtisi(rng)),
        harmonic_noise(rng, speech, **draw_harmonic_noise(rng)),
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


def test_silence_and_noise_go_through_every_implementation():
    noise = 0.01 * np.random.default_rng(0).standard_normal(6000).astype(np.float32)
    for samples in (np.zeros(6000, dtype=np.float32), noise):
        rng = np.random.default_rng(1)
        for made in (
            rtisi(rng, samples, **draw_rtisi(rng)),
            harmonic_noise(rng, samples, **draw_harmonic_noise(rng)),
            psola(samples, 2.0),
            wsola(samples, 1.0),
            sola(samples, 1.0),
            shift_by_rate(samples, -2.0),
            shift_poles(samples, 1.1),
        ):
            assert made.shape == samples.shape and np.isfinite(made).all() and np.abs(made).max() < 0.2


@pytest.mark.parametrize("factor", [0.75, 0.94, 1.0, 1.3])
@pytest.mark.parametrize("change", [wsola, sola])
def test_overlapped_pieces_change_the_length_and_neither_pitch_nor_level(speech, change, factor):
    tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
    made = change(tone, factor)
    assert len(made) == round(16000 * factor)
    peak = np.abs(np.fft.rfft(made, 1 << 17)).argmax() * 16000 / (1 << 17)
    assert peak == pytest.approx(440, rel=0.01)
    # A tone goes on where it was: frames that did not fit would beat.
    assert np.sqrt((made[1000:-1000] ** 2).mean()) == pytest.approx(np.sqrt(0.5), rel=0.02)
    assert change(speech, factor).std() == pytest.approx(speech.std(), rel=0.1)


@pytest.mark.parametrize("semitones", [-3.0, 2.0])
def test_a_changed_rate_moves_pitch_and_formant_and_keeps_the_length(semitones):
    tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
    made = shift_by_rate(tone, semitones)
    peak = np.abs(np.fft.rfft(made[2000:-2000], 1 << 17)).argmax() * 16000 / (1 << 17)
    assert len(made) == len(tone) and peak == pytest.approx(440 * 2 ** (semitones / 12), rel=0.01)


def _voice(period: int, n: int = 16000) -> np.ndarray:
    """Pulses through one resonance at 1200 Hz."""
    pulses = (np.arange(n) % period == 0).astype(np.float64)
    angle = 2 * np.pi * 1200 / 16000
    return lfilter([1.0], [1, -1.9 * np.cos(angle), 0.95**2], pulses).astype(np.float32)


@pytest.mark.parametrize("semitones", [-3.0, 3.0])
def test_psola_moves_the_pitch_and_leaves_the_formant(semitones):
    voice = _voice(128)
    made = psola(voice, semitones)
    assert len(made) == len(voice)
    found = pitch(made, 160, 100)[10:90]
    assert np.median(found) == pytest.approx(125 * 2 ** (semitones / 12), rel=0.03)
    hertz = np.linspace(0, 8000, 257)
    assert hertz[_mean_log_power(made).argmax()] == pytest.approx(1200, abs=130)


def test_marks_are_a_period_apart():
    marks, period, voiced = pitch_marks(_voice(128))
    steady = voiced[5:-5]
    assert steady.all() and (period[5:-5] == 128).mean() > 0.9
    assert np.median(np.diff(marks)) == 128 and (marks % 128 == marks[40] % 128).mean() > 0.9


def test_moved_poles_move_the_formant_and_not_the_pitch():
    voice = _voice(128)
    np.testing.assert_allclose(shift_poles(voice, 1.0)[600:-600], voice[600:-600], atol=0.02)
    made = shift_poles(voice, 1.2)
    hertz = np.linspace(0, 8000, 257)
    assert hertz[_mean_log_power(made).argmax()] == pytest.approx(1440, abs=130)
    assert np.median(pitch(made, 160, 100)[10:90]) == pytest.approx(125, rel=0.02)


def test_poles_stay_inside_the_circle_wherever_they_go():
    angle = 2 * np.pi * np.array([500, 7600]) / 16000
    a = np.poly(np.concatenate([0.99 * np.exp(1j * angle), 0.99 * np.exp(-1j * angle), [0.5, -0.5]])).real
    for factor in (0.75, 1.3):
        moved = np.roots(move_poles(a[None], factor)[0])
        assert np.abs(moved).max() < 0.99
        lowest = np.abs(np.angle(moved[np.abs(moved.imag) > 1e-6])).min()
        assert lowest == pytest.approx(angle[0] * factor, rel=1e-3)
