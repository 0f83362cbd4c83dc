"""Narrower networks begin with the strongest hidden channels of wider ones."""

import pytest
import torch
from torch import nn

from avloc.models.encoders.two_stem import TwoStemEncoder
from avloc.models.temporal import ConvBlock
from avloc.training.pruning import prune

WIDE = {"width": 8, "n_layers": 1, "n_heads": 2, "recogniser_channels": 4, "spectral_channels": 4}


def two_stem(seed: int, **sizes) -> TwoStemEncoder:
    torch.manual_seed(seed)
    encoder = TwoStemEncoder(**WIDE, **sizes)
    for name, values in encoder.named_buffers():
        if name.endswith("running_var"):
            values.uniform_(0.5, 2.0)
    return encoder.eval()


def inside(name: str, module: nn.Module) -> dict[str, torch.Tensor]:
    """Give a module's entries as the network above it names them."""
    return {f"{name}.{key}": value for key, value in module.state_dict().items()}


def silence(layer: nn.Module, channels: list[int]) -> None:
    """Let a layer read nothing of some input channels."""
    with torch.no_grad():
        layer.weight[:, channels] = 0.0


def test_what_nothing_reads_can_be_cut_without_a_change():
    wide = two_stem(0, hidden=12, spectral_widths=(6, 8, 4))
    narrow = two_stem(1, hidden=9, spectral_widths=(4, 5, 4))
    silence(wide.recogniser.blocks[0].mlp[2], [0, 5, 11])
    silence(wide.spectral.convs[1], [1, 4])
    silence(wide.spectral.convs[2], [0, 6, 7])
    cut = prune(inside("ear", wide), inside("ear", narrow))
    narrow.load_state_dict({key.removeprefix("ear."): value for key, value in cut.items()})
    inputs = (torch.randn(2, 1, 80, 640), torch.randn(2, 2, 80, 640))
    mask = torch.ones(2, 160, dtype=torch.bool)
    with torch.no_grad():
        assert torch.allclose(wide(inputs, mask)[0], narrow(inputs, mask)[0], atol=1e-5)


def test_the_strongest_stay_in_their_order():
    wide, narrow = ConvBlock(4, expansion=2), ConvBlock(4, expansion=1)
    with torch.no_grad():
        wide.expand.weight[:] = torch.arange(8.0)[:, None] + 1
        wide.reduce.weight[:] = 1.0
        wide.reduce.weight[:, 6:] = 0.01  # large in, small out
    cut = prune(inside("pyramid", wide), inside("pyramid", narrow))
    assert cut["pyramid.expand.weight"][:, 0].tolist() == [3.0, 4.0, 5.0, 6.0]
    assert torch.equal(cut["pyramid.expand.bias"], wide.expand.bias[2:6])
    assert torch.equal(cut["pyramid.depthwise.weight"], wide.depthwise.weight)


def test_batch_normalisation_counts_as_part_of_the_weight():
    wide = two_stem(0, spectral_widths=(6, 8, 4)).spectral
    narrow = two_stem(1, spectral_widths=(3, 8, 4)).spectral
    with torch.no_grad():
        wide.norms[0].weight.zero_()
        wide.norms[0].weight[[1, 3, 4]] = 1.0
    cut = prune(inside("ear.spectral", wide), inside("ear.spectral", narrow))
    assert torch.equal(cut["ear.spectral.convs.0.weight"], wide.convs[0].weight[[1, 3, 4]])
    assert torch.equal(cut["ear.spectral.norms.0.running_var"], wide.norms[0].running_var[[1, 3, 4]])
    assert cut["ear.spectral.norms.0.num_batches_tracked"].dim() == 0


@pytest.mark.parametrize("sizes", [{}, {"hidden": 40, "spectral_widths": (40, 48, 64)}])
def test_nothing_is_cut_for_a_network_that_is_as_wide_or_wider(sizes):
    wide, other = two_stem(0), two_stem(1, **sizes)
    pruned = prune(wide.state_dict(), other.state_dict())
    assert all(torch.equal(pruned[key], value) for key, value in wide.state_dict().items())
