import pytest
import torch
from torch.nn import functional

from avloc.models.alignment import Aligned
from avloc.models.discrepancy import DiscrepancyMap

N_FRAMES, SIZE, MAX_LAG = 60, 6, 4


def make_aligned(*, disagree: slice | None = None, masked_from: int = N_FRAMES) -> Aligned:
    """Unit vectors, equal but where they disagree."""
    generator = torch.Generator().manual_seed(0)
    visual = functional.normalize(torch.randn(2, SIZE, N_FRAMES, generator=generator), dim=1)
    matched = visual.clone()
    if disagree is not None:
        matched[:, :, disagree] = -visual[:, :, disagree]
    correlation = torch.zeros(2, 2 * MAX_LAG + 1, N_FRAMES)
    correlation[:, MAX_LAG] = (matched * visual).sum(1)
    mask = (torch.arange(N_FRAMES) < masked_from).expand(2, -1)
    weights = torch.full((2, 2 * MAX_LAG + 1), 1 / (2 * MAX_LAG + 1))
    return Aligned(matched, visual, matched, correlation, correlation, weights, torch.zeros(2), mask)


@pytest.fixture
def discrepancy() -> DiscrepancyMap:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DiscrepancyMap(embedding_channels=SIZE, max_lag=MAX_LAG, channels=10, n_blocks=1)


def test_map_curve_and_residual_have_their_shapes(discrepancy):
    features, logit, residual = discrepancy(make_aligned())
    assert features.shape == (2, 10, N_FRAMES) and discrepancy.channels == 10
    assert logit.shape == (2, N_FRAMES) and residual.shape == (2, SIZE, N_FRAMES)


def test_the_residual_is_what_the_sound_does_not_predict(discrepancy):
    aligned = make_aligned()
    _, _, residual = discrepancy(aligned)
    torch.testing.assert_close(residual, aligned.visual - discrepancy.predict_visual(aligned.matched))
    for parameter in discrepancy.predict_visual.parameters():
        torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(discrepancy(aligned)[2], aligned.visual)


def test_a_disagreement_is_seen_where_it_is_and_nowhere_else(discrepancy):
    with torch.inference_mode():
        _, same, _ = discrepancy(make_aligned())
        _, other, _ = discrepancy(make_aligned(disagree=slice(30, 35)))
    changed = (same != other)[0].nonzero()[:, 0]
    # Two frames of the prediction and four of the one block to each side.
    assert int(changed.min()) >= 30 - 6 and int(changed.max()) < 35 + 6
    assert set(range(30, 35)) <= set(changed.tolist())


def test_masked_frames_hold_nothing_and_are_not_heard(discrepancy):
    short = make_aligned(masked_from=40)
    loud = make_aligned(masked_from=40, disagree=slice(42, 60))
    with torch.inference_mode():
        features, logit, residual = discrepancy(short)
        other, _, _ = discrepancy(loud)
    assert bool((features[:, :, 40:] == 0).all()) and bool((residual[:, :, 40:] == 0).all())
    # The prediction's convolution reaches two frames; a window is padded with what alignment left there.
    assert torch.equal(features[:, :, :34], other[:, :, :34])


def test_disagreement_can_be_learnt(discrepancy):
    truth = torch.zeros(2, N_FRAMES)
    truth[:, 20:30] = 1.0
    aligned = make_aligned(disagree=slice(20, 30))
    told_by = [p for name, p in discrepancy.named_parameters() if "predict" not in name]
    for _ in range(150):
        loss = functional.binary_cross_entropy_with_logits(discrepancy(aligned)[1], truth)
        with torch.no_grad():
            for parameter, slope in zip(told_by, torch.autograd.grad(loss, told_by), strict=True):
                parameter -= 0.5 * slope
    told = discrepancy(aligned)[1].sigmoid()
    assert float(told[:, 21:29].min()) > 0.7 and float(told[:, :18].max()) < 0.3
