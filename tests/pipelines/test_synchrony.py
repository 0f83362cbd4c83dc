import numpy as np
import pytest

from avloc.pipelines.synchrony import Agreement, measure_agreement, measure_offset


def weights(**at: float) -> np.ndarray:
    """Lags -15 to 15 with the given weights at ``lag_N`` or ``lag_mN`` (minus N), the rest spread evenly."""
    values = np.zeros(31, dtype=np.float32)
    for name, weight in at.items():
        values[int(name.removeprefix("lag_").replace("m", "-")) + 15] = weight
    return values + (1 - values.sum()) / 31


LONG = {"speech_s": 9.0}


def test_agreeing_windows_give_the_offset_near_the_likeliest_lag():
    assert measure_offset([weights(lag_3=1.0)], **LONG) == pytest.approx(3.0)
    assert measure_offset([weights(lag_m10=0.5, lag_m9=0.5)], **LONG) == pytest.approx(-9.5)
    found = measure_offset([weights(lag_4=0.9), weights(lag_5=0.6)], **LONG)
    assert found == pytest.approx(4.4, abs=0.1)


def test_far_lags_do_not_pull_the_offset():
    assert measure_offset([weights(lag_10=0.8, lag_m15=0.2)], **LONG) == pytest.approx(10.0, abs=1e-6)


def test_spread_or_missing_evidence_gives_none():
    assert measure_offset([], **LONG) is None
    assert measure_offset([np.full(31, 1 / 31, dtype=np.float32)], **LONG) is None
    assert measure_offset([weights(lag_10=0.4, lag_m5=0.4)], **LONG) is None
    beyond_all_lags, disagreeing = [weights(lag_10=0.6)], [weights(lag_10=0.9), weights(lag_m5=0.9)]
    assert measure_offset(beyond_all_lags, **LONG) is None
    assert measure_offset(disagreeing, **LONG) is None


def test_a_short_speech_tells_no_offset():
    certain = [weights(lag_3=1.0)]
    assert measure_offset(certain, speech_s=3.9) is None and measure_offset(certain, speech_s=4.0) is not None


def test_agreement_is_the_best_lag_against_the_far_ones():
    band = np.full((31, 80), 0.1, np.float32)
    band[20] = np.where(np.arange(80) < 40, 0.9, 0.5)
    found = measure_agreement(band, np.ones(80, bool))
    assert (
        found.peak == pytest.approx(0.7) and found.confidence == pytest.approx(0.6) and found.n_frames == 80
    )
    assert measure_agreement(band, np.arange(80) < 40).peak == pytest.approx(0.9)


def test_neighbours_of_the_best_lag_do_not_lower_the_confidence():
    band = np.zeros((31, 10))
    band[12:19] = 0.5
    assert measure_agreement(band, np.ones(10, bool)).confidence == pytest.approx(0.5)


def test_nothing_compared_is_no_agreement():
    assert measure_agreement(None, np.ones(3, bool)) == Agreement()
    assert measure_agreement(np.ones((31, 3)), np.zeros(3, bool)) == Agreement(0.0, 0.0, 0)
