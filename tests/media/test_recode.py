"""Real coders in memory: aligned, lossy, the same each time."""

import numpy as np
import pytest

from avloc.media.recode import CODECS, recode


@pytest.fixture(scope="module")
def speechlike() -> np.ndarray:
    rng = np.random.default_rng(0)
    time = np.arange(30011) / 16000
    voice = sum(np.sin(2 * np.pi * f * time + f) / f for f in range(120, 3000, 120)) * 20
    return (voice * (np.sin(2 * np.pi * 3 * time) > -0.3) * 0.1 + 1e-3 * rng.standard_normal(30011)).astype(
        np.float32
    )


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_sound_comes_back_in_its_place_changed_a_little(speechlike, codec):
    coded = recode(speechlike, 16000, codec=codec, bit_rate=24_000)
    assert coded.shape == speechlike.shape and coded.dtype == np.float32
    size = 1 << 16
    spectra = np.conj(np.fft.rfft(speechlike, size)) * np.fft.rfft(coded, size)
    lag = int(np.fft.irfft(spectra).argmax())
    assert min(lag, size - lag) <= 2
    error = ((coded - speechlike) ** 2).mean() / (speechlike**2).mean()
    assert 1e-6 < error < 0.2
    np.testing.assert_array_equal(coded, recode(speechlike, 16000, codec=codec, bit_rate=24_000))


def test_very_short_sound_keeps_its_length():
    for n in (0, 1, 700):
        assert len(recode(np.zeros(n, dtype=np.float32), 16000, codec="mp3", bit_rate=32_000)) == n


def test_what_cannot_be_coded_is_refused(speechlike):
    with pytest.raises(ValueError, match="codec must be one of"):
        recode(speechlike, 16000, codec="flac", bit_rate=24_000)
    with pytest.raises(ValueError, match="channels one by one"):
        recode(speechlike[None], 16000, codec="mp3", bit_rate=24_000)
