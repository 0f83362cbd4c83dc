"""Partials that stay and then move on are music, however the spectra are cut into blocks."""

import numpy as np
import pytest

from avloc.features.music import HOP, N_FFT, MusicFinder


def spectra(samples: np.ndarray) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::HOP]
    return np.abs(np.fft.rfft(frames * np.hanning(N_FFT + 1)[:-1])) ** 2


def chords(*roots_hz: float, seconds: float = 1.0, n_partials: int = 3) -> np.ndarray:
    at = np.arange(round(seconds * 16000)) / 16000
    return np.concatenate(
        [sum(0.05 * np.sin(2 * np.pi * root * k * at) for k in range(1, n_partials + 1)) for root in roots_hz]
    )


def spans(samples: np.ndarray, block: int = 32) -> list[tuple[float, float]]:
    finder, power = MusicFinder(), spectra(samples)
    for start in range(0, len(power), block):
        finder.push(power[start : start + block])
    finder.finish()
    return finder.spans


@pytest.mark.parametrize("block", [10, 32])
def test_changing_chords_are_music(block):
    ((start, end),) = spans(chords(400, 500, 600, 450, 550, 650), block)
    assert (start, end) == pytest.approx((0.0, 6.0), abs=0.3)


@pytest.mark.parametrize("block", [96, 128, 1024])
def test_many_frames_at_once_are_judged_as_few(block):
    rng = np.random.default_rng(0)
    samples = np.concatenate([rng.normal(0, 0.05, 50000), chords(400, 500, 600, 450), np.zeros(30000)])
    assert spans(samples, block) == spans(samples, 32) != []


def test_a_chord_that_never_changes_is_none():
    assert spans(chords(400, 400, 400, 400, 400, 400)) == []


def test_one_partial_or_short_notes_are_none():
    assert spans(chords(400, 500, 600, 450, 550, 650, n_partials=1)) == []
    roots = 300.0 + 41.0 * (np.arange(60) * 7 % 13)
    assert spans(chords(*roots, seconds=0.1)) == []


def test_too_quiet_to_tell_is_none():
    assert spans(0.0003 * chords(400, 500, 600, 450, 550, 650)) == []
