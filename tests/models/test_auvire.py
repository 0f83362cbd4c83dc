"""AuViRe: sizes, levels, what is reconstructed, refusals."""

import pytest
import torch

from avloc.models.auvire import AuViRe

SMALL = dict(max_length=16, width=8, kernel=5, n_halvings=2)
AV_DEEPFAKE1M = dict(n_halvings=1, n_retain=1, n_downsample=1)


def small(**changes) -> AuViRe:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AuViRe(**(SMALL | changes)).eval()


def embeddings(n_frames: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, 768, n_frames, generator=generator) for _ in range(2))


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (dict(), (12_101_516, 3_688_320, 6_178_304, 1_116_676, 1_118_216)),
        (AV_DEEPFAKE1M, (8_934_790, 2_557_312, 5_194_496, 591_106, 591_876)),
    ],
)
def test_the_published_sizes_have_the_published_number_of_parameters(sizes, expected):
    with torch.device("meta"):
        network = AuViRe(**sizes)
    parts = (network.reconstruction_model, network.encoder_model, network.classification, network.regression)
    assert (count(network), *map(count, parts)) == expected


@pytest.mark.parametrize(
    ("sizes", "factors"), [(dict(), (1, 1, 2, 4)), (AV_DEEPFAKE1M, (1, 2)), (dict(pyramid=False), (1,))]
)
def test_levels_and_their_shapes(sizes, factors):
    network = small(**sizes)
    outputs = network(*embeddings())
    assert network.level_factors == factors
    assert [tuple(z.shape) for z in outputs.logits] == [(2, 16 // f) for f in factors]
    assert [tuple(o.shape) for o in outputs.offsets] == [(2, 16 // f, 2) for f in factors]
    assert all((o >= 0).all() for o in outputs.offsets)


def test_the_reconstruction_is_never_negative_and_compared_by_its_mean_difference():
    visual, audio = embeddings()
    outputs = small()(visual, audio)
    made = outputs.reconstructions
    assert all((x >= 0).all() and x.shape == (2, 768, 16) for x in made.values())
    pairs = ((made["a"], visual), (made["a"], audio), (made["v"], visual))
    expected = sum((a - b).abs().mean(1) for a, b in pairs)
    torch.testing.assert_close(outputs.dissimilarity, expected)


def test_only_what_a_pair_reads_is_reconstructed():
    assert small(pairs=("av", "aa"))(*embeddings()).reconstructions.keys() == {"a"}


def test_a_published_state_dict_has_the_names_of_the_network():
    keys = set(small().state_dict())
    for key in (
        "reconstruction_model.model.projection_pre.projection.0.conv.weight",
        "reconstruction_model.model.decoder.1.deconv.bias",
        "encoder_model.model.model.3.norm.weight",
        "encoder_model.model.pyramid.inner_blocks.2.0.weight",
        "classification.model.3.module.2.bias",
    ):
        assert key in keys


@pytest.mark.parametrize("wrong", [dict(pairs=("ax",)), dict(pairs=()), dict(operation="division")])
def test_impossible_comparisons_are_refused(wrong):
    with pytest.raises(ValueError, match="pairs are of"):
        small(**wrong)
