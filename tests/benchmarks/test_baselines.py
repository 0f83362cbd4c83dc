import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import baselines

RATE = 16_000


def noise_with_a_coloured_span(start_s=2.0, end_s=3.0, duration_s=6.0, seed=0):
    generator = np.random.default_rng(seed)
    sound = generator.normal(size=round(duration_s * RATE)) * 0.1
    span = slice(round(start_s * RATE), round(end_s * RATE))
    sound[span] = np.convolve(sound[span], np.ones(8) / 2.8, mode="same")  # same loudness, other colour
    return sound


def test_random_segments_keep_to_the_recording_and_to_the_seed():
    rows = baselines.random_segments(10.0, np.random.default_rng(1))
    assert len(rows) == 5 and rows == baselines.random_segments(10.0, np.random.default_rng(1))
    assert all(0 <= s < e <= 10 and 0.2 <= e - s <= 5.0001 and 0 <= p < 1 for p, s, e in rows)
    ((_, start, end),) = baselines.random_segments(0.1, np.random.default_rng(0))
    assert 0 <= start < end <= 0.1 + 1e-9


def test_novelty_finds_the_edges_of_another_colour():
    score, start, end = baselines.novelty_segments(noise_with_a_coloured_span(), RATE)[0]
    # 0.05 s: half of the 0.1 s means that novelty compares
    assert (start, end) == pytest.approx((2.0, 3.0), abs=0.05) and 0 < score < 1


def test_loudness_alone_makes_no_edge():
    sound = np.random.default_rng(0).normal(size=4 * RATE) * 0.05
    louder = sound.copy()
    louder[RATE : 2 * RATE] *= 1.5
    plain, loud = (baselines.spectral_novelty(s, RATE)[:95] for s in (sound, louder))
    np.testing.assert_allclose(plain[20:85], loud[20:85], atol=1e-9)
    edge = baselines.spectral_novelty(louder, RATE)[98:103].max()
    assert edge < 2 * np.median(baselines.spectral_novelty(sound, RATE)[15:385])


def test_silence_and_very_short_sound_have_no_segments():
    assert baselines.novelty_segments(np.zeros(RATE), RATE) == []
    assert baselines.novelty_segments(np.zeros(100), RATE) == []


def moving_mouth(shift_from=None, shift_to=None, n=250, seed=0):
    """Sound whose loudness is the mouth's motion, in another second's order inside the shifted span."""
    generator = np.random.default_rng(seed)
    amount = np.convolve(generator.uniform(0, 1, n + 4), np.ones(5) / 5, mode="valid") ** 4 * 40
    phase = np.cumsum(amount)
    crops = np.clip(phase[:, None, None] % 256 + np.zeros((n, 96, 96)), 0, 255).astype(np.uint8)
    motion = np.zeros(n)
    motion[1:] = np.abs(np.diff(crops.astype(float), axis=0)).mean(axis=(1, 2))
    loudness = np.exp(motion / max(motion.std(), 1e-9) * 0.5) * 0.01
    if shift_from is not None:
        loudness[shift_from:shift_to] = np.roll(loudness, 37)[shift_from:shift_to]
    sound = generator.choice([-1.0, 1.0], n * 640) * np.repeat(loudness, 640)
    return sound, crops, np.ones(n, dtype=bool)


def test_sound_that_does_not_follow_the_mouth_stands_out():
    curve = baselines.motion_discrepancy(*_ordered(moving_mouth(100, 175)))
    assert np.nanmean(curve[110:165]) > np.nanmean(np.r_[curve[15:85], curve[190:235]]) + 0.1
    score, start, end = baselines.discrepancy_segments(curve)[0]
    assert 3.5 <= start < end <= 7.5 and score > 0.2


def _ordered(parts):
    sound, crops, present = parts
    return sound, RATE, crops, present


def test_no_face_gives_no_curve_and_no_segment():
    sound, crops, present = moving_mouth(n=60)
    curve = baselines.motion_discrepancy(sound, RATE, crops, np.zeros_like(present))
    assert np.isnan(curve).all() and baselines.discrepancy_segments(curve) == []


def test_kept_rows_overlap_less_than_the_threshold_and_the_best_stays():
    rows = [(0.5, 0.0, 1.0), (0.9, 0.1, 1.1), (0.4, 1.0, 2.0)]
    assert baselines.keep_apart(rows) == [(0.9, 0.1, 1.1), (0.4, 1.0, 2.0)]


def test_frames_take_the_largest_score_of_the_segments_that_hold_them():
    frames = baselines.rows_to_frames([(0.5, 0.0, 0.08), (0.9, 0.04, 0.08)], 0.16)
    assert frames.tolist() == [0.5, 0.9, 0.0, 0.0]
