"""Quality measures against signals whose answer is known, and against real recordings of known bands."""

from pathlib import Path

import av
import numpy as np
import pytest

from avloc.features.quality import channel_relations, clipping_fraction, measure_bandwidth, measure_snr


def low_passed(edge_hz: float, sample_rate: int = 16000, seconds: int = 4) -> np.ndarray:
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(0, 0.1, sample_rate * seconds))
    spectrum[np.fft.rfftfreq(sample_rate * seconds, 1 / sample_rate) > edge_hz] = 0
    return np.fft.irfft(spectrum).astype(np.float32)


def read(path: Path, sample_rate: int) -> np.ndarray:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", rate=sample_rate)
        blocks = [b.to_ndarray() for f in container.decode(audio=0) for b in resampler.resample(f)]
    return np.concatenate(blocks, axis=1)[0]


def in_16_bits(waveform: np.ndarray) -> np.ndarray:
    return np.round(waveform * 32768).astype(np.float32) / 32768


@pytest.mark.parametrize("edge_hz", [2800.0, 3400.0, 3950.0, 5900.0, 7000.0])
@pytest.mark.parametrize("gain", [1.0, 0.05])
def test_a_hard_cut_is_found_where_it_is_whatever_the_level(edge_hz, gain):
    found = measure_bandwidth(in_16_bits(gain * low_passed(edge_hz)), 16000)
    assert edge_hz - 1 <= found <= edge_hz + 150  # resolution and smoothing


def test_the_resolution_does_not_depend_on_the_sample_rate():
    assert measure_bandwidth(low_passed(3000.0, 8000), 8000) == pytest.approx(3050, abs=100)
    assert measure_bandwidth(low_passed(14000.0, 48000), 48000) == pytest.approx(14050, abs=100)


def test_a_full_band_is_nyquist_and_silence_is_zero():
    assert measure_bandwidth(low_passed(8000.0), 16000) == 8000.0
    assert measure_bandwidth(low_passed(4000.0, 8000), 8000) == 4000.0
    assert measure_bandwidth(np.zeros(16000, np.float32), 16000) == 0.0
    assert measure_bandwidth(np.zeros(0, np.float32), 16000) == 0.0


def test_the_gentle_slope_of_speech_is_no_edge():
    spectrum = np.fft.rfft(np.random.default_rng(1).normal(0, 0.1, 64000))
    octaves = np.log2(np.maximum(np.fft.rfftfreq(64000, 1 / 16000), 100.0) / 100.0)
    assert measure_bandwidth(np.fft.irfft(spectrum * 10 ** (-12 * octaves / 20)), 16000) == 8000.0


def test_mirror_images_of_a_telephone_band_are_no_band():
    band = low_passed(3800.0)
    image = band * np.where(np.arange(len(band)) % 2, -1, 1)  # mirrors at 4 kHz
    spectrum = np.fft.rfft(image)
    spectrum[np.fft.rfftfreq(len(band), 1 / 16000) > 4450] = 0
    assert measure_bandwidth(band + 0.1 * np.fft.irfft(spectrum), 16000) == 4000.0


def test_silence_between_words_does_not_widen_the_band():
    waveform = low_passed(3400.0)
    waveform[16000:48000] = np.random.default_rng(2).normal(0, 1e-5, 32000)
    assert measure_bandwidth(waveform, 16000) < 3600


def test_bands_of_real_recordings_are_told_apart(shared_media, shared_corpus):
    coded = sorted((shared_corpus / "speech").glob("librispeech-*.mp3"))[::300]
    assert coded
    for path in coded:
        assert 5700 < measure_bandwidth(read(path, 16000), 16000) < 6000
    for name in (
        "tel-alaw-2033.wav",
        "tel-gsm-2609.wav",
        "tel-mulaw-1998.wav",
        "fsdd-theo.wav",
        "lca49-agent.flac",
    ):
        assert 3000 < measure_bandwidth(read(shared_media / "telephony" / name, 16000), 16000) <= 4000
    for name in ("ls-3112-9554-0000.flac", "ls-1116-132847-0000.flac"):
        assert measure_bandwidth(read(shared_media / "speech" / name, 16000), 16000) == 8000.0


def test_several_channels_at_once_are_refused():
    with pytest.raises(ValueError, match="one channel at a time"):
        measure_bandwidth(np.zeros((2, 16000)), 16000)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0, 45.0])
def test_the_ratio_of_known_speech_and_noise_is_found(snr_db):
    rng = np.random.default_rng(3)
    mask = np.arange(160000) // 16000 % 2 == 0
    noise = rng.normal(0, 0.01, 160000)
    waveform = noise + np.where(mask, rng.normal(0, 0.01 * 10 ** (snr_db / 20), 160000), 0)
    assert measure_snr(waveform, mask) == pytest.approx(snr_db, abs=0.5)  # of 50 thousand random samples each


def test_a_slam_between_words_does_not_count_as_noise():
    rng = np.random.default_rng(4)
    mask = np.arange(160000) < 80000
    waveform = rng.normal(0, 0.001, 160000) + np.where(mask, rng.normal(0, 0.1, 160000), 0)
    waveform[100000:104000] = 0.9
    assert measure_snr(waveform, mask) == pytest.approx(40.0, abs=0.5)


@pytest.mark.parametrize("offset", [0.1, -0.5])
def test_a_constant_offset_is_neither_speech_nor_noise(offset):
    rng = np.random.default_rng(3)
    mask = np.arange(160000) // 16000 % 2 == 0
    waveform = rng.normal(0, 0.01, 160000) + np.where(mask, rng.normal(0, 0.04, 160000), 0)
    assert measure_snr(waveform + offset, mask) == pytest.approx(measure_snr(waveform, mask), abs=0.02)


def test_an_offset_does_not_make_silence_loud():
    waveform = low_passed(3400.0)
    waveform[16000:48000] = np.random.default_rng(2).normal(0, 1e-5, 32000)
    assert measure_bandwidth(waveform + np.float32(0.3), 16000) < 3600
    assert measure_bandwidth(np.full(16000, 0.3, np.float32), 16000) == 0.0


def test_a_ratio_needs_speech_and_silence():
    waveform = np.random.default_rng(5).normal(0, 0.1, 16000)
    assert measure_snr(waveform, np.ones(16000, bool)) is None
    assert measure_snr(waveform, np.zeros(16000, bool)) is None
    assert measure_snr(np.zeros(16000), np.arange(16000) < 8000) is None
    assert measure_snr(np.zeros(0), np.zeros(0, bool)) is None
    half_silent = np.where(np.arange(16000) < 8000, waveform, 0.0)
    assert measure_snr(half_silent, np.arange(16000) < 8000) == pytest.approx(100.0)
    with pytest.raises(ValueError, match="two arrays"):
        measure_snr(waveform, np.ones(10, bool))


def test_clipping_counts_the_samples_at_full_scale():
    waveform = np.sin(np.arange(16000) * 0.05) * 0.9
    assert clipping_fraction(waveform) == 0.0 and clipping_fraction(np.zeros(0)) == 0.0
    clipped = np.clip(2.0 * waveform, -1, 1)
    expected = 1 - 2 / np.pi * np.arcsin(0.999 / 1.8)
    assert clipping_fraction(clipped) == pytest.approx(expected, abs=1e-3)


def test_channels_are_compared_whatever_their_gain_and_offset():
    rng = np.random.default_rng(6)
    first, second = rng.normal(0, 0.1, (2, 16000)).astype(np.float32)
    silent = np.full(16000, 0.2, np.float32)
    samples = np.stack(
        [silent, first, second, 0.3 * first + 0.1, -first, -0.5 * second, first + 0.5 * second]
    )
    assert channel_relations(samples) == [
        "silent", "distinct", "distinct", "identical", "inverted", "inverted", "distinct",
    ]  # fmt: skip


def test_channels_without_samples_are_silent_and_a_flat_array_is_refused():
    assert channel_relations(np.zeros((2, 0))) == ["silent", "silent"]
    assert channel_relations(np.zeros((0, 10))) == []
    with pytest.raises(ValueError, match=r"\(C, N\)"):
        channel_relations(np.zeros(10))
