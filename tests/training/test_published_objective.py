"""The loss of a batch is that of the parity fixtures' code, whatever the precision of the network."""

import pytest
import torch

from avloc.models.auvire import AuViRe
from avloc.models.dimodif import DiMoDif
from avloc.models.published_losses import auvire_loss, dimodif_loss
from avloc.training.published_features import FeatureBatch
from avloc.training.published_objective import PublishedObjective

N_FRAMES = 32


def make(kind: str) -> tuple[torch.nn.Module, FeatureBatch]:
    generator = torch.Generator().manual_seed(0)
    n_points = 2 * N_FRAMES if kind == "dimodif" else N_FRAMES
    targets = torch.zeros(3, n_points, 3)
    targets[0, 4:9] = torch.tensor([1.0, 2.0, 2.0])
    visual, audio = torch.randn(2, 3, 768, N_FRAMES, generator=generator)
    batch = FeatureBatch(
        visual, audio, torch.tensor([32, 20, 32]), targets, 0.5, ("audio", "genuine", "genuine")
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "dimodif":
            small = dict(width=16, n_heads=2, hidden=16, n_layers=2, dropout=0.0, mask_padding=True)
            return DiMoDif(max_length=N_FRAMES, **small), batch
        return AuViRe(max_length=N_FRAMES, width=8, n_halvings=1), batch


@pytest.mark.parametrize("kind", ["dimodif", "auvire"])
def test_the_loss_is_that_of_the_network_by_its_share(kind):
    network, batch = make(kind)
    outputs = network(batch.visual, batch.audio, n_valid=batch.n_valid)
    if kind == "dimodif":
        expected = dimodif_loss(outputs.logits, outputs.offsets, batch.targets, alpha=0.7)
    else:
        given = (outputs.logits, outputs.offsets, outputs.dissimilarity, batch.targets)
        expected = auvire_loss(*given, factors=network.level_factors, alpha=0.7)
    losses = PublishedObjective(network, alpha=0.7)(batch)
    assert losses.keys() == {"loss_published"}
    torch.testing.assert_close(losses["loss_published"], 0.5 * expected)


@pytest.mark.parametrize("kind", ["dimodif", "auvire"])
def test_in_bfloat16_offsets_and_losses_are_float32(kind):
    network, batch = make(kind)
    whole = PublishedObjective(network, alpha=0.98)(batch)["loss_published"]
    mixed = PublishedObjective(network, alpha=0.98, bfloat16=True)(batch)["loss_published"]
    assert mixed.dtype == torch.float32 and mixed.item() == pytest.approx(whole.item(), rel=0.05)
    assert mixed.item() != whole.item()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(batch.visual, batch.audio)
    offsets = [outputs.offsets] if kind == "dimodif" else outputs.offsets
    assert {x.dtype for x in offsets} == {torch.float32}
    mixed.backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_padding_that_is_masked_is_so_in_evaluation_too():
    """Attention has a path of its own there."""
    network, batch = make("dimodif")
    given = (batch.visual, batch.audio)
    learning = network.train()(*given, n_valid=batch.n_valid).logits
    with torch.inference_mode():
        telling = network.eval()(*given, n_valid=batch.n_valid).logits
        unmasked = network(*given).logits
    torch.testing.assert_close(telling, learning.detach(), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(unmasked[1], telling[1], atol=1e-4)
