"""Losses of the public networks: values by hand; the published numbers are the parity fixtures'."""

import math

import pytest
import torch

from avloc.models.published_losses import (
    auvire_loss,
    detection_loss,
    dimodif_loss,
    distance_iou,
    focal,
    localization_loss,
    reconstruction_loss,
    smooth_l1,
)


def test_the_focal_loss_of_an_even_point():
    found = focal(torch.zeros(2), torch.tensor([1.0, 0.0]))
    expected = 0.25 * math.log(2)  # (1 - 0.5) squared
    assert found.tolist() == pytest.approx([0.98 * expected, 0.02 * expected])


@pytest.mark.parametrize(
    ("predicted", "target", "expected"),
    [
        ([3.0, 5.0], [3.0, 5.0], 0.0),
        ([0.0, 0.0], [0.0, 0.0], 1.0),  # no union counts as no overlap
        ([2.0, 2.0], [4.0, 0.0], 1 - 2 / 6 + (2 / 6) ** 2),
    ],
)
def test_distance_iou_by_hand(predicted, target, expected):
    assert distance_iou(torch.tensor(predicted), torch.tensor(target)).item() == pytest.approx(expected)


def test_smooth_l1_counts_in_seconds():
    found = smooth_l1(torch.tensor([25.0, 75.0]), torch.tensor([0.0, 0.0]))
    assert found.item() == pytest.approx((0.5 + 2.5) / 2)


def test_a_level_without_positives_is_divided_by_one():
    logits, offsets, targets = torch.zeros(1, 4), torch.ones(1, 4, 2), torch.zeros(1, 4, 3)
    assert localization_loss(logits, offsets, targets).item() == pytest.approx(4 * 0.02 * 0.25 * math.log(2))


def test_only_genuine_rows_are_to_be_reconstructed():
    found = reconstruction_loss(torch.tensor([[1.0, 3.0], [5.0, 5.0]]), torch.tensor([0.0, 1.0]))
    assert found.tolist() == [2.0, 0.0]


def test_the_detection_looks_at_the_highest_points():
    found = detection_loss(torch.tensor([[9.0, -9.0, -9.0]]), torch.tensor([1.0]))
    assert found.item() == pytest.approx(math.log1p(math.exp(-9)), rel=1e-3)


def test_gradients_reach_what_the_losses_read():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, generator=generator, requires_grad=True)
    offsets = torch.rand(2, 3, 8, 2, generator=generator).requires_grad_()
    targets = torch.zeros(2, 8, 3)
    targets[0, 2:5] = torch.tensor([1.0, 2.0, 2.0])
    dimodif_loss(logits, offsets, targets).backward()
    assert logits.grad.abs().min() > 0 and offsets.grad[0, :, 2:5].abs().sum() > 0
    assert offsets.grad[1].abs().sum() == 0
    seen = torch.rand(2, 8, generator=generator).requires_grad_()
    levels = [torch.zeros(2, 8, requires_grad=True), torch.zeros(2, 4, requires_grad=True)]
    spans = [torch.ones(2, 8, 2), torch.ones(2, 4, 2)]
    auvire_loss(levels, spans, seen, targets, factors=(1, 2), detects=True).backward()
    assert seen.grad[1].abs().sum() > 0 == seen.grad[0].abs().sum()
    assert all(level.grad.abs().sum() > 0 for level in levels)
