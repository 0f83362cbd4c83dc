"""Risk against coverage: by hand, against a slow loop, and ties."""

import numpy as np
import pytest

from avloc.metrics.selective import COVERAGES, risk_coverage


def literal(scores, is_forged, threshold):
    """Mean risk of the k most certain over all orders of those that tie, by drawing orders."""
    generator, n = np.random.default_rng(0), len(scores)
    sums = np.zeros(n)
    for _ in range(4000):
        order = sorted(generator.permutation(n), key=lambda i: -abs(scores[i] - threshold))
        wrong = [(scores[i] >= threshold) != is_forged[i] for i in order]
        sums += [sum(wrong[: k + 1]) / (k + 1) for k in range(n)]
    return sums / 4000


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_is_that_of_a_loop_over_orders(seed):
    generator = np.random.default_rng(seed)
    scores, is_forged = generator.integers(0, 5, 12) / 4, generator.random(12) < 0.5
    risk = literal(scores, is_forged, 0.5)
    found = risk_coverage(scores, is_forged, 0.5)
    assert found["coverage"] == list(COVERAGES)
    expected = [risk[int(np.ceil(c * 12 - 1e-9)) - 1] for c in COVERAGES]
    np.testing.assert_allclose(found["risk"], expected, atol=0.03)  # 4,000 drawn orders
    assert found["risk"][-1] == np.mean((scores >= 0.5) != is_forged)
    assert found["area"] == pytest.approx(risk.mean(), abs=0.02)


def test_the_order_of_recordings_changes_nothing():
    scores, is_forged = np.array([0.2, 0.2, 0.8, 0.8, 0.5]), np.array([0, 1, 1, 0, 1], dtype=bool)
    one = risk_coverage(scores, is_forged, 0.5)
    assert risk_coverage(scores[::-1], is_forged[::-1], 0.5) == one


def test_a_recording_without_a_proposal_is_as_certain_as_a_score_of_0():
    is_forged = np.array([False, True, True])
    found = risk_coverage(np.array([-np.inf, 0.9, 0.6]), is_forged, 0.5)
    assert found == risk_coverage(np.array([0.0, 0.9, 0.6]), is_forged, 0.5)
    found = risk_coverage(np.array([-np.inf, -3.0, 6.0]), is_forged, 0.5)
    assert found == risk_coverage(np.array([-3.0, -3.0, 6.0]), is_forged, 0.5)


def test_nothing_has_no_curve():
    assert risk_coverage(np.zeros(0), np.zeros(0, dtype=bool), 0.5) is None
    assert risk_coverage(np.array([-np.inf]), np.array([True]), 0.5)["area"] == 1.0
