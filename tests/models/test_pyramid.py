import pytest
import torch

from avloc.models.pyramid import FeaturePyramid, halve_mask


@pytest.fixture
def pyramid() -> FeaturePyramid:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return FeaturePyramid(channels=8, n_levels=4, n_stem_blocks=1, attention_from=3, n_heads=2).eval()


def make_input(n_frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(2, 8, n_frames, generator=torch.Generator().manual_seed(1))
    return x, torch.ones(2, n_frames, dtype=torch.bool)


@pytest.mark.parametrize(
    "mask, halved", [([1, 0, 0, 0], [1, 0]), ([0, 1, 0, 0, 1], [1, 0, 1]), ([0, 0, 0], [0, 0]), ([1], [1])]
)
def test_a_coarse_frame_is_real_where_any_of_its_two_is(mask, halved):
    assert halve_mask(torch.tensor([mask], dtype=torch.bool)).tolist() == [[bool(v) for v in halved]]


@pytest.mark.parametrize("n_frames", [1, 7, 16, 29])
def test_levels_halve_and_cover_every_frame(pyramid, n_frames):
    levels, masks = pyramid(*make_input(n_frames))
    lengths = [-(-n_frames // 2**level) for level in range(4)]
    assert [x.shape for x in levels] == [(2, 8, n) for n in lengths]
    assert [m.shape for m in masks] == [(2, n) for n in lengths]
    assert all(bool(m.all()) for m in masks)


def test_padding_never_reaches_a_real_frame(pyramid):
    x, mask = make_input(40)
    mask[:, 24:] = False
    other = x.clone()
    other[:, :, 24:] = 9.0
    with torch.inference_mode():
        # The network masks what it hands to the pyramid.
        levels, masks = pyramid(x * mask[:, None], mask)
        same, _ = pyramid(other * mask[:, None], mask)
        short, _ = pyramid(x[:, :, :24], mask[:, :24])
    for level, (a, b, c, m) in enumerate(zip(levels, same, short, masks, strict=True)):
        assert torch.equal(a, b) and bool((a * ~m[:, None] == 0).all())
        n_real = 24 >> level
        assert m[0].nonzero()[:, 0].tolist() == list(range(n_real))
        torch.testing.assert_close(a[:, :, :n_real], c, atol=1e-5, rtol=0)


def test_every_fine_frame_has_the_context_of_the_whole_window(pyramid):
    x, mask = make_input(64)
    x.requires_grad_()
    levels, _ = pyramid(x, mask)
    # The strong gradient of the frame itself does not matter: the far end must be read at all.
    levels[0][0, :, 2].square().sum().backward()
    assert float(x.grad[0, :, 60:].abs().max()) > 0
    assert float(x.grad[1].abs().max()) == 0.0  # another window is never read


def test_coarse_frames_lie_where_their_points_do():
    """A bump at frame 40 shows at 40 / 2**l on level l."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pyramid = FeaturePyramid(channels=8, n_levels=4, n_stem_blocks=0, attention_from=9).eval()
    for conv in pyramid.down:
        torch.nn.init.constant_(conv.weight, 0.25)
    x, mask = torch.zeros(1, 8, 64), torch.ones(1, 64, dtype=torch.bool)
    bump = x.clone()
    bump[:, :, 40:42] = 20.0
    with torch.inference_mode():
        flat, _ = pyramid(x, mask)
        levels, _ = pyramid(bump, mask)
    for level, (a, b) in enumerate(zip(levels, flat, strict=True)):
        place = int((a - b).abs().sum(1).argmax())
        assert abs((place + 0.5) * 2**level - 41) <= 2**level


def test_attention_begins_at_the_named_level(pyramid):
    assert list(pyramid.attention) == ["3"]
    assert len(FeaturePyramid(channels=8, n_levels=2, attention_from=2).attention) == 0


def test_all_parts_are_trained(pyramid):
    levels, _ = pyramid(*make_input(24))
    sum(x.square().sum() for x in levels).backward()
    assert [name for name, p in pyramid.named_parameters() if p.grad is None] == []
