"""DiMoDif: sizes, the mask, the order of the sequence, and the quirks that flags name."""

import pytest
import torch

from avloc.models.dimodif import DiMoDif, blocked_pairs

SMALL = dict(max_length=12, width=16, n_heads=2, hidden=16, n_layers=2, attention_window=5)


def small(**changes) -> DiMoDif:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DiMoDif(**(SMALL | changes)).eval()


def embeddings(n_frames: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, 768, n_frames, generator=generator) for _ in range(2))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (dict(), 6_978_051),
        (dict(task="dfd", width=64, n_heads=4, hidden=64), 371_842),
        (dict(task="dfd", width=64, n_heads=4, hidden=64, n_layers=3), 321_410),
    ],
)
def test_the_published_sizes_have_the_published_number_of_parameters(sizes, expected):
    with torch.device("meta"):
        network = DiMoDif(**sizes)
    assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize(("n_before", "n_open"), [(0, 31), (1, 32)])
def test_a_frame_attends_to_its_neighbourhood_in_both_modalities(n_before, n_open):
    blocked = blocked_pairs(600, 15, n_before=n_before)
    is_open = (~blocked[n_before + 50]).nonzero()[:, 0].tolist()
    frames = list(range(43, 58))
    expected = [*range(n_before), *(n_before + f for f in frames), n_before + 600]
    assert is_open == expected + [n_before + 601 + f for f in frames] and len(is_open) == n_open
    assert not blocked[n_before + 600].any()


def test_without_a_window_everything_is_open():
    assert blocked_pairs(600, 0, n_before=0) is None


def test_levels_and_their_shapes():
    network = small()
    outputs = network(*embeddings(12))
    assert outputs.logits.shape == (2, 2, 24) and outputs.offsets.shape == (2, 2, 24, 2)
    assert (outputs.offsets >= 0).all() and [tuple(t.shape) for t in outputs.tokens] == [(2, 24, 16)] * 2
    detected = small(task="dfd")(*embeddings(12))
    assert detected.logits.shape == (2, 2, 2) and detected.offsets is None
    last = small(pyramid=False)(*embeddings(12))
    assert torch.equal(last.logits[:, 0], outputs.logits[:, 1])


def test_a_shorter_input_is_filled_up_with_zeros_and_a_longer_one_is_cut():
    network, (visual, audio) = small(), embeddings(20)
    cut = network(visual[..., :12], audio[..., :12])
    assert torch.equal(network(visual, audio).logits, cut.logits)
    zeros = torch.zeros(2, 768, 5)
    filled = network(torch.cat((visual[..., :7], zeros), 2), torch.cat((audio[..., :7], zeros), 2))
    assert torch.equal(network(visual[..., :7], audio[..., :7]).logits, filled.logits)


@pytest.mark.parametrize("given", [{}, {"attention_window": 0}])
def test_padding_is_attended_to_unless_it_is_masked(given):
    visual, audio = embeddings(12)
    n_valid = torch.tensor([7, 12])
    other = visual.clone()
    other[0, :, 9:] += 3.0  # beyond the two frames that the projection reaches
    public, masked = small(**given), small(mask_padding=True, **given)
    for network, same in ((public, False), (masked, True)):
        with torch.inference_mode():
            a, b = (network(x, audio, n_valid=n_valid).tokens[-1] for x in (visual, other))
        assert torch.equal(a[0, :7], b[0, :7]) is same
    with torch.inference_mode():
        a, b = (net(visual, audio, n_valid=n_valid).logits for net in (public, masked))
    torch.testing.assert_close(a[1], b[1], atol=1e-6, rtol=0)  # a row without padding


def test_the_initial_values_are_those_of_the_public_code():
    network = small()
    for tensor in (network.sep.weight, network.projection[0].bias, network.projection[2].weight):
        assert tensor.abs().max() <= 0.1 < 12 * tensor.std()


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="one of .'tfl', 'dfd'., got 'both'"):
        DiMoDif(task="both")
