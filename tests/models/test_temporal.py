import pytest
import torch

from avloc.models.temporal import AttentionBlock, ChannelNorm, ConvBlock, masked

BLOCKS = {
    "convolution": lambda: ConvBlock(8, kernel=5),
    "attention": lambda: AttentionBlock(8, n_heads=2, max_distance=4),
}


def make_input(n_frames: int = 20, n_real: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(2, 8, n_frames, generator=torch.Generator().manual_seed(1))
    mask = torch.arange(n_frames).expand(2, -1) < n_real
    return masked(x, mask), mask


@pytest.fixture(params=sorted(BLOCKS))
def block(request) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = BLOCKS[request.param]()
        for parameter in made.parameters():  # none at a value where it does nothing
            torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


def test_masked_frames_are_zero_and_the_others_as_they_were():
    x = torch.ones(1, 3, 4)
    mask = torch.tensor([[True, False, True, False]])
    assert masked(x, mask)[0, 0].tolist() == [1.0, 0.0, 1.0, 0.0]
    assert masked(x.half(), mask).dtype == torch.float16


def test_channels_are_normalised_frame_by_frame():
    x = 5 + 3 * torch.randn(2, 16, 7, generator=torch.Generator().manual_seed(0))
    y = ChannelNorm(16)(x)
    torch.testing.assert_close(y.mean(1), torch.zeros(2, 7), atol=1e-5, rtol=0)
    x[:, :, 3] *= 100  # another frame does not notice
    torch.testing.assert_close(ChannelNorm(16)(x)[:, :, :3], y[:, :, :3])


def test_padding_is_neither_read_nor_written(block):
    x, mask = make_input()
    with torch.inference_mode():
        padded, short = block(x, mask), block(x[:, :, :12], mask[:, :12])
    torch.testing.assert_close(padded[:, :, :12], short, atol=1e-5, rtol=0)
    assert bool((padded[:, :, 12:] == 0).all())


def test_a_row_without_any_real_frame_stays_finite_and_zero(block):
    x, mask = make_input()
    mask = mask.clone()
    mask[1] = False
    x = masked(x, mask).requires_grad_()
    y = block(x, mask)
    y.sum().backward()
    assert bool((y[1] == 0).all()) and bool(y.isfinite().all()) and bool(x.grad.isfinite().all())


def test_a_block_changes_what_it_gets_and_trains_all_its_parts(block):
    x, mask = make_input()
    y = block(x, mask)
    assert not torch.allclose(y, x)
    y.square().sum().backward()
    for parameter in block.parameters():
        assert float(parameter.grad.abs().max()) > 0


def test_a_convolution_sees_its_kernel_and_attention_the_whole_window():
    seen = {}
    for name, make in BLOCKS.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            block = make().eval()
        x = torch.randn(1, 8, 20, generator=torch.Generator().manual_seed(2)).requires_grad_()
        block(x, torch.ones(1, 20, dtype=torch.bool))[0, :, 10].square().sum().backward()
        seen[name] = x.grad[0].abs().amax(0).nonzero()[:, 0].tolist()
    assert seen == {"convolution": [8, 9, 10, 11, 12], "attention": list(range(20))}


def test_attention_tells_distances_apart_up_to_its_limit():
    attention = AttentionBlock(4, n_heads=1, max_distance=2).eval()
    with torch.no_grad():
        attention.to_qkv.weight.zero_()  # all agree: the bias alone decides
        attention.to_qkv.weight[8:] = torch.eye(4)
        attention.to_qkv.bias.zero_()
        attention.to_out.weight.copy_(torch.eye(4))
        attention.to_out.bias.zero_()
        attention.distance_bias[0, 3] = 50.0  # query one frame after the key
    x = torch.randn(1, 4, 6, generator=torch.Generator().manual_seed(0))
    added = attention(x, torch.ones(1, 6, dtype=torch.bool)) - x
    values = attention.norm(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(added[:, :, 1:], values[:, :, :-1], atol=1e-5, rtol=0)


def test_dropout_acts_while_training_only():
    block = ConvBlock(8, dropout=0.9)
    x, mask = make_input()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.equal(block.train()(x, mask), block(x, mask))
    assert torch.equal(block.eval()(x, mask), block(x, mask))


def test_heads_must_divide_the_channels():
    with pytest.raises(ValueError, match="got 3 and 8"):
        AttentionBlock(8, n_heads=3)
