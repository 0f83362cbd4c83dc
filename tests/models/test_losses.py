import pytest
import torch

from avloc.models.losses import distance_iou, masked_bce, quality_focal, roughness, synchrony_contrast


def test_distance_iou_of_a_hand_worked_pair():
    # [−2, 2) against [−1, 5) around the same point: shared 3, union 7, enclosing 7, centres 0 and 2
    iou, loss = distance_iou(torch.tensor([[2.0, 2.0]]), torch.tensor([[1.0, 5.0]]))
    assert float(iou) == pytest.approx(3 / 7)
    assert float(loss) == pytest.approx(1 - 3 / 7 + (2 / 7) ** 2)


def test_equal_segments_have_no_loss():
    iou, loss = distance_iou(torch.tensor([[3.0, 1.0]]), torch.tensor([[3.0, 1.0]]))
    assert float(iou) == pytest.approx(1.0) and float(loss) == pytest.approx(0.0, abs=1e-6)


def test_quality_focal_is_least_where_the_score_is_the_quality():
    grid = torch.linspace(-4, 4, 161)
    loss = quality_focal(grid, torch.full_like(grid, 0.7))
    assert float(grid[loss.argmin()].sigmoid()) == pytest.approx(0.7, abs=0.02)


def test_masked_bce_ignores_what_has_no_weight():
    logits, target = torch.tensor([0.0, 50.0]), torch.tensor([1.0, 0.0])
    assert float(masked_bce(logits, target, torch.tensor([1.0, 0.0]))) == pytest.approx(0.6931, abs=1e-4)
    assert float(masked_bce(logits, target, torch.zeros(2))) == 0.0


def test_contrast_prefers_the_true_lag():
    source = torch.nn.functional.normalize(
        torch.randn(1, 16, 150, generator=torch.Generator().manual_seed(0)), dim=1
    )
    visual, audio = source[:, :, 10:110], source[:, :, 6:106]  # the sound is 4 frames late
    usable = torch.ones(1, 100, dtype=torch.bool)
    sharp = torch.tensor(20.0)
    right, wrong = (
        float(synchrony_contrast(audio, visual, usable, torch.tensor([lag]), max_lag=10, sharpness=sharp))
        for lag in (4.0, 0.0)
    )
    assert right < wrong - 1


def test_contrast_of_nothing_usable_is_zero_and_differentiable():
    audio = torch.randn(1, 4, 60, requires_grad=True)
    loss = synchrony_contrast(
        audio,
        audio.detach(),
        torch.zeros(1, 60, dtype=torch.bool),
        torch.zeros(1),
        max_lag=5,
        sharpness=torch.tensor(1.0),
    )
    loss.backward()
    assert loss.item() == 0.0


def test_roughness_is_of_bends_between_frames_that_count():
    straight = torch.linspace(0.1, 0.9, 9).logit().expand(1, 2, 9)
    everywhere = torch.ones(1, 2, 9)
    assert float(roughness(straight, everywhere)) < 1e-10
    scores = torch.full((1, 1, 5), 0.2)
    scores[0, 0, 2] = 0.8  # second differences of 0.6, -1.2 and 0.6
    torch.testing.assert_close(
        roughness(scores.logit(), torch.ones(1, 1, 5)), torch.tensor((0.36 + 1.44 + 0.36) / 3)
    )
    torch.testing.assert_close(
        roughness(scores.logit(), torch.tensor([[[1.0, 1.0, 1.0, 0.0, 0.0]]])), torch.tensor(0.36)
    )
    assert float(roughness(scores.logit(), torch.zeros(1, 1, 5))) == 0.0
