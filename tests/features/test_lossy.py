import numpy as np
import pytest

from avloc.features.lossy import code_lossily, inverse_mdct, mdct


def noise(n: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(3).standard_normal(n)).astype(np.float32)


@pytest.mark.parametrize("n", [1, 575, 576, 577, 16000])
def test_the_transform_is_inverted_exactly(n):
    samples = noise(n)
    coefficients = mdct(samples)
    assert coefficients.shape[1] == 576
    np.testing.assert_allclose(inverse_mdct(coefficients, n), samples, atol=1e-6)


def test_the_transform_keeps_energy_and_places_a_tone():
    samples = np.sin(2 * np.pi * 1000 * np.arange(57600) / 16000).astype(np.float32)
    coefficients = mdct(samples)
    assert np.sum(coefficients**2) == pytest.approx(np.sum(samples**2), rel=1e-3)
    assert abs(int(np.argmax((coefficients**2).sum(axis=0))) - 1000 / 8000 * 576) <= 1


def test_coarser_steps_lose_more_and_nothing_moves():
    samples = np.convolve(noise(32000), np.ones(8) / 8, mode="same").astype(np.float32)
    errors = []
    for step in (0.1, 0.5, 2.0):
        coded = code_lossily(samples, step=step, mask_db=60.0)
        assert coded.shape == samples.shape and coded.dtype == np.float32
        errors.append(float(np.mean((coded - samples) ** 2) / np.mean(samples**2)))
        lag = np.argmax(np.correlate(samples[1000:9000], coded[1000:9000], mode="full")) - 7999
        assert lag == 0
    assert errors[0] < errors[1] < errors[2] and errors[0] < 0.02


def test_nothing_is_left_above_the_bandwidth():
    coded = code_lossily(noise(32000), step=0.3, mask_db=60.0, bandwidth_hz=3400.0)
    power = np.abs(np.fft.rfft(coded * np.hanning(len(coded)))) ** 2
    hz = np.fft.rfftfreq(len(coded), 1 / 16000)
    assert power[hz > 3600].mean() < 1e-6 * power[hz < 3300].mean()


def test_bands_far_below_the_loudest_become_holes():
    time = np.arange(32000) / 16000
    loud, soft = np.sin(2 * np.pi * 500 * time), 1e-3 * np.sin(2 * np.pi * 5000 * time)  # 60 dB apart
    kept = {
        mask_db: code_lossily((loud + soft).astype(np.float32), step=0.1, mask_db=mask_db)
        for mask_db in (30.0, 90.0)
    }
    hz = np.fft.rfftfreq(32000, 1 / 16000)
    near = np.abs(hz - 5000) < 50
    power = {m: (np.abs(np.fft.rfft(x * np.hanning(32000))) ** 2)[near].max() for m, x in kept.items()}
    assert power[30.0] < 1e-3 * power[90.0]
