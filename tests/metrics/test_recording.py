import numpy as np
import pytest

from avloc.metrics import auc, average_precision_of_items, equal_error_rate


def random_items(seed, decimals=1):
    generator = np.random.default_rng(seed)
    is_forged = generator.uniform(size=40) < 0.4
    is_forged[:2] = [True, False]
    return np.round(generator.normal(size=40) + is_forged, decimals), is_forged


@pytest.mark.parametrize("seed", range(10))
def test_auc_is_the_share_of_pairs_in_the_right_order(seed):
    scores, is_forged = random_items(seed)
    pairs = [(f > g) + 0.5 * (f == g) for f in scores[is_forged] for g in scores[~is_forged]]
    assert auc(scores, is_forged) == pytest.approx(np.mean(pairs), abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_average_precision_is_the_step_sum_over_distinct_scores(seed):
    scores, is_forged = random_items(seed)
    area, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = scores >= threshold
        recall = is_forged[chosen].sum() / is_forged.sum()
        area += (recall - before) * is_forged[chosen].mean()
        before = recall
    assert average_precision_of_items(scores, is_forged) == pytest.approx(area, abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_equal_error_rate_lies_where_the_roc_line_meets_the_diagonal(seed):
    scores, is_forged = random_items(seed)
    thresholds = [np.inf, *sorted(set(scores), reverse=True)]
    misses = np.array([(scores[is_forged] < t).mean() for t in thresholds])
    alarms = np.array([(scores[~is_forged] >= t).mean() for t in thresholds])
    position = np.linspace(0, len(thresholds) - 1, 200_001)
    steps = np.arange(len(thresholds))
    gap = np.abs(np.interp(position, steps, misses) - np.interp(position, steps, alarms))
    dense = np.interp(position, steps, alarms)[gap.argmin()]
    # 1e-3: the oracle walks the line in steps of 40 scores / 200,000
    assert equal_error_rate(scores, is_forged) == pytest.approx(dense, abs=1e-3)


@pytest.mark.parametrize("figure", [auc, average_precision_of_items, equal_error_rate])
def test_weights_count_items_several_times(figure):
    scores, is_forged = random_items(0)
    weights = np.random.default_rng(0).integers(0, 4, len(scores))
    repeated = np.repeat(scores, weights), np.repeat(is_forged, weights)
    assert figure(scores, is_forged, weights) == pytest.approx(figure(*repeated), abs=1e-12)


def test_perfect_and_reversed_scores_give_the_ends_of_the_scale():
    is_forged = np.array([False, False, True])
    assert auc(np.array([1, 2, 3]), is_forged) == 1.0 and auc(np.array([3, 2, 1]), is_forged) == 0.0
    assert equal_error_rate(np.array([1, 2, 3]), is_forged) == 0.0
    assert equal_error_rate(np.array([3, 2, 1]), is_forged) == 1.0
    assert average_precision_of_items(np.array([1, 2, 3]), is_forged) == 1.0


def test_equal_scores_are_a_coin_toss():
    same, is_forged = np.zeros(4), np.array([True, False, True, False])
    assert auc(same, is_forged) == 0.5 and equal_error_rate(same, is_forged) == 0.5


def test_recordings_without_proposals_rank_last():
    assert auc(np.array([-np.inf, 0.0]), np.array([False, True])) == 1.0
    assert auc(np.array([-np.inf, -np.inf]), np.array([False, True])) == 0.5


@pytest.mark.parametrize("figure", [auc, average_precision_of_items, equal_error_rate])
def test_one_kind_alone_gives_no_figure_and_nan_is_refused(figure):
    assert np.isnan(figure(np.array([0.5]), np.array([False])))
    with pytest.raises(ValueError, match="must not be NaN"):
        figure(np.array([np.nan, 1.0]), np.array([True, False]))
    with pytest.raises(ValueError, match="must both be"):
        figure(np.zeros(2), np.array([True]))
