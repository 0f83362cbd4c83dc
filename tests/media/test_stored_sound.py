"""Sound in small files: exact as FLAC, aligned as Opus, and refused where it is something else."""

import sys

import numpy as np
import pytest
import soundfile

from avloc.errors import UnreadableMediaError
from avloc.media.stored_sound import SUFFIXES, decode_sound, encode_sound

RATE = 16000


@pytest.fixture
def samples() -> np.ndarray:
    rng = np.random.default_rng(3)
    time_s = np.arange(3 * RATE + 123) / RATE
    tone = np.sin(2 * np.pi * (300 + 200 * time_s) * time_s) * (0.2 + 0.1 * np.sin(9 * time_s))
    return np.round((tone + 0.001 * rng.standard_normal(len(tone))) * 32768).astype(np.int16)


def stored(tmp_path, samples, codec):
    path = tmp_path / f"sound{SUFFIXES[codec]}"
    path.write_bytes(encode_sound(samples, RATE, codec=codec))
    return path


def test_flac_gives_every_sample_back(samples, tmp_path):
    decoded = decode_sound(stored(tmp_path, samples, "flac"), sample_rate=RATE)
    assert decoded.dtype == np.float32 and decoded.shape == (1, len(samples))
    np.testing.assert_array_equal(np.round(decoded[0] * 32768), samples)


def test_opus_is_small_and_as_long_and_in_time(samples, tmp_path):
    path = stored(tmp_path, samples, "opus")
    assert path.stat().st_size * 8 < 45_000 * 3.1 < 8 * len(encode_sound(samples, RATE, codec="flac"))
    decoded = decode_sound(path, sample_rate=RATE)[0]
    assert len(decoded) == len(samples)
    agreement = [
        np.corrcoef(samples[500:-500], decoded[500 + lag : len(decoded) - 500 + lag])[0, 1]
        for lag in range(-20, 21)
    ]
    assert int(np.argmax(agreement)) - 20 == 0 and max(agreement) > 0.95


@pytest.mark.parametrize(("rate", "n_channels"), [(8000, 1), (16000, 2)])
def test_another_rate_or_a_second_channel_is_refused(samples, tmp_path, rate, n_channels):
    path = tmp_path / "x.flac"
    soundfile.write(path, np.repeat(samples[:, None], n_channels, axis=1), rate)
    with pytest.raises(UnreadableMediaError, match=f"one channel at 16000 Hz, got {n_channels} at {rate} Hz"):
        decode_sound(path, sample_rate=RATE)


def test_what_is_no_sound_is_refused(tmp_path):
    (tmp_path / "x.flac").write_bytes(b"no sound at all")
    for name in ("x.flac", "missing.flac"):
        with pytest.raises(UnreadableMediaError, match=name):
            decode_sound(tmp_path / name, sample_rate=RATE)


def test_what_to_install_is_said(samples, tmp_path, monkeypatch):
    path = stored(tmp_path, samples, "flac")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(UnreadableMediaError, match="pip install soundfile"):
        decode_sound(path, sample_rate=RATE)
