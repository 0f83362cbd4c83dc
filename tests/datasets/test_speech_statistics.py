import numpy as np
import pytest

from avloc.datasets.speech_statistics import SpeechStatistics, measure_speech


def bursts(level: float = 0.1, floor: float = 0.001) -> np.ndarray:
    """Four seconds: noise of ``level`` in the second and fourth, of ``floor`` elsewhere."""
    noise = np.random.default_rng(5).standard_normal(64000)
    loud = (np.arange(64000) // 16000) % 2 == 1
    return (noise * np.where(loud, level, floor)).astype(np.float32)


def test_level_and_floor_are_those_of_the_bursts_and_of_the_pauses():
    found = measure_speech(bursts())
    assert found.level[0] == pytest.approx(0.1, rel=0.05)
    assert 0.001 < found.threshold[0] < 0.1
    assert found.speech[0].mean() == pytest.approx(0.1**2, rel=0.1)
    assert found.floor[0].mean() == pytest.approx(0.001**2, rel=0.5)


def test_an_offset_is_told_and_does_not_count_as_level():
    plain, moved = measure_speech(bursts()), measure_speech(bursts() + np.float32(0.02))
    assert moved.offset[0] - plain.offset[0] == pytest.approx(0.02, abs=1e-5)
    assert moved.level[0] == pytest.approx(plain.level[0], rel=1e-3)


@pytest.mark.parametrize("edge_hz", [3400.0, 5500.0])
def test_a_cliff_in_the_spectrum_is_the_bandwidth(edge_hz):
    spectrum = np.fft.rfft(bursts())
    spectrum[np.fft.rfftfreq(64000, 1 / 16000) > edge_hz] = 0
    cut = np.fft.irfft(spectrum).astype(np.float32)
    assert measure_speech(cut).bandwidth_hz[0] == pytest.approx(edge_hz, abs=100)
    assert measure_speech(bursts()).bandwidth_hz[0] == 8000.0


@pytest.mark.parametrize("n", [0, 1, 100, 1024])
def test_the_shortest_and_silent_waveforms_have_finite_statistics(n):
    found = measure_speech(np.zeros(n, dtype=np.float32))
    for values in (found.level, found.threshold, found.speech, found.floor, found.bandwidth_hz):
        assert values.shape[0] == 1 and np.isfinite(values).all()


def test_a_table_is_read_as_it_was_written(tmp_path):
    table = SpeechStatistics.stack([measure_speech(bursts(level)) for level in (0.05, 0.1)])
    table.save(tmp_path / "speech.npz")
    read = SpeechStatistics.load(tmp_path / "speech.npz")
    assert read.speech.shape == (2, 257)
    np.testing.assert_array_equal(read.level, table.level)
    np.testing.assert_array_equal(read.floor, table.floor)
