"""Rules of abstention through the whole pipeline: what triggers each, and what just does not."""

import pytest

from avloc.structures import Reason, Verdict


@pytest.mark.parametrize(("limit", "is_far"), [(0.9, True), (1.1, False)])
def test_sound_that_is_unlike_the_training_is_out_of_domain(
    localize_made, make_media, make_noise, make_card, network, limit, is_far
):
    """The made network tells the mean level as the embedding; the card's limit is set around its distance."""
    media = make_media(make_noise(12.0))
    localize_made(media)
    level = network.levels[-1]
    card = make_card(domain={"centre": [level - 1.0], "scale": [1.0], "limit": limit})
    prediction = localize_made(media, card=card, threshold=0.9)
    assert (Reason.OUT_OF_DOMAIN in prediction.reasons) == is_far
    found = localize_made(make_media(make_noise(12.0, (4.0, 5.0))), card=card)
    assert found.verdict is Verdict.FORGED_SEGMENTS_FOUND and not found.reasons
