import numpy as np
import pytest

from avloc.metrics.ranking import stable_order


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 2, 30_000])
def test_the_order_is_that_of_a_stable_sort(n, dtype):
    generator = np.random.default_rng(n)
    values = np.round(generator.normal(size=n), 2).astype(dtype)  # many ties
    values[::5] = 0.0
    values[::10] = -0.0
    assert np.array_equal(stable_order(values), np.argsort(values, kind="stable"))


def test_extreme_values_are_ordered():
    values = np.array([1e-45, 0, -1e-45, -0.0, 3.4e38, -3.4e38, np.inf, -np.inf], dtype=np.float32)
    assert stable_order(values).tolist() == [7, 5, 2, 1, 3, 0, 4, 6]
