import numpy as np
import pytest

from avloc.metrics import bootstrap_intervals


@pytest.mark.parametrize(("options", "deviations"), [({}, 1.96), ({"level": 0.8}, 1.2816)])
def test_the_interval_of_a_mean_agrees_with_the_normal_approximation(options, deviations):
    values = np.random.default_rng(0).normal(size=400)
    intervals = bootstrap_intervals(
        lambda w: {"mean": float((w * values).sum() / w.sum())},
        [str(i) for i in range(400)],
        n_replicates=500,
        **options,
    )
    half = deviations * values.std() / np.sqrt(400)
    # a quarter of the half width: Monte Carlo error of two tail quantiles of 500 draws
    assert intervals["mean"] == pytest.approx((values.mean() - half, values.mean() + half), abs=half / 4)


def test_recordings_of_one_source_are_drawn_together():
    seen = []
    bootstrap_intervals(lambda w: seen.append(w) or {"x": 0.0}, ["s", "t", "s"], n_replicates=20)
    assert all(w[0] == w[2] and w[0] + w[1] == 2 for w in seen)


def test_one_seed_gives_one_answer_and_another_seed_another():
    def run(seed):
        return bootstrap_intervals(
            lambda w: {"x": float(w[0] + w[2])}, list("abcdefgh"), n_replicates=7, seed=seed
        )

    assert run(1) == run(1)
    draws = [[], []]
    for seed, seen in enumerate(draws):
        bootstrap_intervals(
            lambda w, seen=seen: seen.append(w) or {}, list("abcd"), n_replicates=5, seed=seed
        )
    assert not np.array_equal(draws[0], draws[1])


def test_replicates_where_a_figure_does_not_exist_are_left_out():
    intervals = bootstrap_intervals(
        lambda w: {"sometimes": 1.0 if w[0] else float("nan"), "never": float("nan")},
        ["a", "b"],
        n_replicates=30,
    )
    assert intervals == {"sometimes": (1.0, 1.0), "never": None}


def test_no_replicates_are_refused_and_no_recordings_have_no_interval():
    with pytest.raises(ValueError, match="at least 1"):
        bootstrap_intervals(lambda w: {}, ["a"], n_replicates=0)
    assert bootstrap_intervals(lambda w: {}, [], n_replicates=3) == {}
