"""Narrower networks begin with those hidden channels of a wider one that the others cannot make up for."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from avloc.models.hierarchical import build_network
from avloc.models.temporal import ConvBlock
from avloc.training.pruning import prune

WIDTHS = (6, 8, 10)


def network(
    seed: int,
    *,
    hidden: int = 24,
    widths: tuple = WIDTHS,
    expansion: float = 2.0,
    pyramid_channels: int = 8,
    spectral_channels: int = 6,
    width: int = 8,
) -> nn.Module:
    """A small network of sound alone whose normalisations have seen something."""
    torch.manual_seed(seed)
    ear = {"type": "TwoStemEncoder", "width": width, "n_layers": 1, "n_heads": 2, "hidden": hidden}
    ear |= {"recogniser_channels": 6, "spectral_channels": spectral_channels, "spectral_widths": widths}
    pyramid = {
        "channels": pyramid_channels,
        "n_levels": 2,
        "n_stem_blocks": 1,
        "n_heads": 2,
        "expansion": expansion,
    }
    model = {"type": "HierarchicalLocalizer", "audio_encoder": ear, "visual_encoder": None}
    made = build_network(model | {"pyramid": pyramid, "head": {"n_head_layers": 1}})
    for name, values in made.named_buffers():
        if name.endswith(("running_var", "running_mean")):
            values.uniform_(0.5, 2.0)
    for name, values in made.named_parameters():
        if name.endswith(".scale"):
            nn.init.ones_(values)
    return made.eval()


class Sound:
    """A batch of noise."""

    def __init__(self, seed: int) -> None:
        make = torch.Generator().manual_seed(seed)
        self.audio = tuple(torch.randn(shape, generator=make) for shape in ((3, 1, 80, 640), (3, 2, 80, 640)))
        self.audio_mask = torch.ones(3, 160, dtype=torch.bool)


SOUND = [Sound(seed) for seed in range(4)]


def scores(net: nn.Module, batch: Sound) -> torch.Tensor:
    with torch.inference_mode():
        return net(audio=batch.audio, audio_mask=batch.audio_mask).score_logits[0]


def begin(narrow: nn.Module, wide: nn.Module) -> nn.Module:
    """Take over what fits, then the cut layers."""
    fits = {k: v for k, v in wide.state_dict().items() if narrow.state_dict()[k].shape == v.shape}
    narrow.load_state_dict(fits, strict=False)
    loaded = narrow.load_state_dict(prune(wide, narrow.state_dict(), SOUND), strict=False)
    assert not loaded.unexpected_keys
    return narrow


def repeat_channels(layers: list[nn.Module], times: list[int]) -> None:
    """Let hidden channels be copies: channel i of what ``layers`` make is that of ``times[i]``."""
    with torch.no_grad():
        for layer in layers:
            for name in ("weight", "bias", "running_mean", "running_var"):
                if getattr(layer, name, None) is not None:
                    getattr(layer, name).copy_(getattr(layer, name)[times])


@pytest.fixture
def repetitive() -> nn.Module:
    """A network half of whose hidden channels say what others say."""
    wide = network(0)
    block = wide.audio_encoder.recogniser.blocks[0]
    repeat_channels([block.mlp[0]], [i % 12 for i in range(24)])
    stem = wide.audio_encoder.spectral
    for conv, norm, width in zip(stem.convs, stem.norms, WIDTHS, strict=True):
        repeat_channels([conv, norm], [i - i % 2 for i in range(width)])
    for module in wide.pyramid.modules():
        if hasattr(module, "expand"):
            repeat_channels([module.expand], [i // 2 for i in range(16)])
    return wide


def test_channels_that_repeat_others_go_without_a_change(repetitive):
    narrow = network(1, hidden=12, widths=(3, 4, 5), expansion=1.0)
    before = scores(narrow, Sound(9))
    begin(narrow, repetitive)
    new, old = scores(narrow, Sound(9)), scores(repetitive, Sound(9))
    assert (new - old).abs().max() < 0.05 * old.std()
    assert (before - old).abs().max() > old.std()


def test_what_is_kept_makes_up_for_what_goes():
    """A layer fitted anew is nearer to its old output than the same channels with their old weights."""
    wide = network(0)
    narrow = begin(network(1, hidden=12), wide)
    plain = copy.deepcopy(narrow)
    old, new, unfitted = (net.audio_encoder.recogniser.blocks[0].mlp for net in (wide, narrow, plain))
    kept = [int((old[0].weight - row).abs().sum(1).argmin()) for row in new[0].weight]
    assert kept == sorted(set(kept)) and torch.equal(old[0].weight[kept], new[0].weight)
    with torch.no_grad():
        unfitted[2].weight.copy_(old[2].weight[:, kept])
        unfitted[2].bias.copy_(old[2].bias)
    pieces = SOUND[0].audio[0][:, 0]
    with torch.inference_mode():
        target, fitted, cut = (net.audio_encoder.hidden_states(pieces) for net in (wide, narrow, plain))
    assert (fitted - target).square().mean() < 0.5 * (cut - target).square().mean()


def test_only_layers_that_become_narrower_are_given_and_the_wide_network_stays():
    wide = network(0)
    before = copy.deepcopy(wide.state_dict())
    cut = prune(wide, network(1, widths=(6, 4, 10)).state_dict(), SOUND[:1])
    stem = "audio_encoder.spectral"
    layers = {f"{stem}.convs.1", f"{stem}.norms.1", f"{stem}.convs.2"}
    assert {key.rpartition(".")[0] for key in cut} == layers
    assert cut[f"{stem}.convs.2.weight"].shape == (10, 4, 3, 4)
    assert all(torch.equal(wide.state_dict()[key], value) for key, value in before.items())
    assert not wide.training and not any(module.training for module in wide.modules())
    assert not any(module._forward_pre_hooks for module in wide.modules())


def test_parts_with_other_inputs_or_outputs_are_left_out():
    """A narrower pyramid, log spectra of other channels, and blocks of another recogniser start fresh."""
    for change in ({"pyramid_channels": 4}, {"spectral_channels": 4}, {"width": 4}):
        narrow = network(1, hidden=12, widths=(3, 4, 5), expansion=1.0, **change).state_dict()
        cut = prune(network(0), narrow, SOUND[:1])
        assert cut and all(narrow[key].shape == value.shape for key, value in cut.items())
        left_out = {"pyramid_channels": "pyramid.", "spectral_channels": "spectral.", "width": "recogniser."}
        assert not any(left_out[next(iter(change))] in key for key in cut)


@pytest.mark.parametrize("widths", [(3, 12, 10), (3, 9, 10), (6, 4, 20)])
def test_beside_a_layer_that_becomes_wider_nothing_is_cut(widths):
    wide, narrow = network(0), network(1, hidden=12, widths=widths)
    cut = prune(wide, narrow.state_dict(), SOUND[:1])
    assert all("recogniser" in key for key in cut) and cut
    narrow.load_state_dict(cut, strict=False)


def test_what_sound_does_not_reach_is_left_out():
    wide = network(0)
    wide.unheard = ConvBlock(6)
    narrow = network(1, hidden=12)
    narrow.unheard = ConvBlock(6, expansion=1)
    cut = prune(wide, narrow.state_dict(), SOUND[:1])
    assert {key.split(".")[0] for key in cut} == {"audio_encoder"}


@pytest.mark.parametrize("sizes", [{}, {"hidden": 40, "widths": (8, 8, 10), "expansion": 3.0}])
def test_for_a_network_as_wide_or_wider_nothing_is_read(sizes):
    def no_sound():
        raise AssertionError("read")
        yield

    assert prune(network(0), network(1, **sizes).state_dict(), no_sound()) == {}


def test_the_same_sound_gives_the_same_channels():
    wide, shapes = network(0), network(1, hidden=10).state_dict()
    one, other = prune(wide, shapes, SOUND), prune(wide, shapes, SOUND)
    assert all(np.array_equal(one[key], other[key]) for key in one)
