import pytest
import torch

from avloc.ops import band_correlation, reference

DTYPES = [torch.float32, torch.float64]


def random_streams(seed, shape=(2, 5, 40), dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    audio, visual = torch.randn(2, *shape, generator=generator, dtype=torch.float64).to(dtype)
    return audio, visual


@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "max_lag"), [((2, 5, 40), 7), ((1, 1, 1), 0), ((3, 2, 4), 9), ((1, 64, 1000), 12)]
)
def test_correlation_is_that_of_the_reference(shape, max_lag, dtype, contiguous):
    audio, visual = random_streams(1, shape, dtype)
    expected = reference.band_correlation(audio, visual, max_lag)
    if not contiguous:
        audio, visual = (stream.transpose(1, 2).contiguous().transpose(1, 2) for stream in (audio, visual))
    found = band_correlation(audio, visual, max_lag)
    assert found.dtype == dtype
    assert found.shape == (shape[0], 2 * max_lag + 1, shape[2])
    # Sums of at most 64 products of unit variance in another order.
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6 if dtype == torch.float32 else 1e-14)


@pytest.mark.parametrize("shape", [(0, 3, 9), (2, 3, 0)])
def test_no_rows_or_no_frames_give_an_empty_result(shape):
    audio, visual = random_streams(1, shape)
    assert band_correlation(audio, visual, 2).shape == (shape[0], 5, shape[2])


@pytest.mark.parametrize("correlate", [band_correlation, reference.band_correlation])
def test_correlation_is_that_of_its_definition(correlate):
    audio, visual = random_streams(2, (2, 3, 6))
    found = correlate(audio, visual, 2)
    for b in range(2):
        for lag in range(5):
            for t in range(6):
                source = t + lag - 2
                inside = 0 <= source < 6
                expected = float(audio[b, :, source] @ visual[b, :, t]) / 3 if inside else 0.0
                assert float(found[b, lag, t]) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("late", [-4, -1, 0, 3])
def test_the_peak_lies_above_the_middle_when_the_sound_is_late(late):
    visual, _ = random_streams(3, (1, 32, 60))
    audio = torch.roll(visual, late, dims=2)
    curve = band_correlation(audio, visual, 6)[0, :, 10:50].mean(1)
    assert int(curve.argmax()) == 6 + late


def test_the_gradients_are_those_of_finite_differences():
    audio, visual = (stream.requires_grad_() for stream in random_streams(4, (2, 3, 7)))
    assert torch.autograd.gradcheck(lambda a, v: band_correlation(a, v, 3), (audio, visual))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("max_lag", [0, 5, 50])
def test_the_gradients_are_those_of_the_reference(max_lag, dtype):
    audio, visual = random_streams(5, dtype=dtype)
    grad = torch.randn(2, 2 * max_lag + 1, 40, generator=torch.Generator().manual_seed(5)).to(dtype)
    found = torch.ops.avloc.band_correlation_backward(grad, audio, visual, max_lag)
    expected = reference.band_correlation_backward(grad, audio, visual, max_lag)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-5 if dtype == torch.float32 else 1e-13)


def test_correlation_meets_the_rules_for_operators():
    audio, visual = (stream.requires_grad_() for stream in random_streams(6, (2, 3, 7)))
    torch.library.opcheck(torch.ops.avloc.band_correlation.default, (audio, visual, 2))
    grad = torch.ones(2, 5, 7, dtype=torch.float64)
    operator = torch.ops.avloc.band_correlation_backward.default
    torch.library.opcheck(operator, (grad, audio.detach(), visual.detach(), 2))


def test_correlation_compiles_as_one_graph_with_its_gradient():
    audio, visual = (stream.requires_grad_() for stream in random_streams(7, (2, 3, 7)))
    compiled = torch.compile(band_correlation, fullgraph=True, backend="aot_eager")
    found = compiled(audio, visual, 2)
    assert torch.equal(found, band_correlation(audio, visual, 2))
    gradients = torch.autograd.grad(found.square().sum(), (audio, visual))
    expected = torch.autograd.grad(band_correlation(audio, visual, 2).square().sum(), (audio, visual))
    assert all(torch.equal(one, other) for one, other in zip(gradients, expected, strict=True))


def test_a_second_gradient_is_refused():
    audio, visual = (stream.requires_grad_() for stream in random_streams(8))
    (grad,) = torch.autograd.grad(band_correlation(audio, visual, 1).square().sum(), audio, create_graph=True)
    with pytest.raises(NotImplementedError, match="first gradient only"):
        grad.sum().backward()


STREAM = torch.zeros(2, 3, 4)


@pytest.mark.parametrize(
    ("audio", "visual", "max_lag", "message"),
    [
        (STREAM[0], STREAM[0], 1, r"same shape \(B, C, T\).*got \(3, 4\) and \(3, 4\)"),
        (STREAM, STREAM[:, :, :3], 1, "same shape"),
        (STREAM[:, :0], STREAM[:, :0], 1, "C > 0"),
        (
            STREAM,
            STREAM.double(),
            1,
            "both be float32 or both be float64, got torch.float32 and torch.float64",
        ),
        (STREAM.half(), STREAM.half(), 1, "both be float32"),
        (STREAM, STREAM, -1, "max_lag must be at least 0 frames, got -1"),
    ],
)
def test_correlation_refuses_wrong_arguments(audio, visual, max_lag, message):
    with pytest.raises(ValueError, match=message):
        band_correlation(audio, visual, max_lag)


def test_the_binding_checks_what_reaches_it_without_the_wrapper():
    if torch.ops.avloc.band_correlation.default.has_kernel_for_dispatch_key(torch._C.DispatchKey.CPU):
        with pytest.raises(ValueError, match=r"same shape.*got \(2, 3, 4\) and \(2, 3, 3\)"):
            torch.ops.avloc.band_correlation(STREAM, STREAM[:, :, :3], 1)
        with pytest.raises(ValueError, match="grad must have shape"):
            torch.ops.avloc.band_correlation_backward(STREAM, STREAM, STREAM, 7)
