import numpy as np
import pytest

from avloc.calibration.domain import Domain


@pytest.fixture
def embeddings():
    return np.random.default_rng(0).normal([3.0, -1.0, 0.0], [2.0, 0.1, 0.0], (400, 3))


def test_the_centre_is_near_and_the_limit_holds_nearly_all(embeddings):
    domain = Domain.fit(embeddings)
    assert domain.distance(domain.centre) == 0.0
    distances = np.array([domain.distance(row) for row in embeddings])
    assert (distances > domain.limit).sum() == 2  # 0.5 % of 400
    assert np.sqrt(np.mean(distances**2)) == pytest.approx(
        np.sqrt(2 / 3), abs=0.01
    )  # one of three never varies


def test_what_is_far_in_a_channel_that_hardly_varies_is_far(embeddings):
    domain = Domain.fit(embeddings)
    assert domain.distance(domain.centre + [0.0, 1.0, 0.0]) > domain.limit
    assert domain.distance(domain.centre + [1.0, 0.0, 0.0]) < domain.limit
    assert domain.distance(domain.centre + [0.0, 0.0, 0.1]) > domain.limit


def test_a_card_holds_it_and_gives_it_back(embeddings):
    domain = Domain.fit(embeddings)
    again = Domain.from_card(domain.to_card())
    assert again.limit == pytest.approx(domain.limit, abs=1e-6)
    np.testing.assert_allclose(again.centre, domain.centre, atol=1e-6)
    assert Domain.from_card(None) is None
