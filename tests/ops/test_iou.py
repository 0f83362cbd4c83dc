import pytest
import torch

from avloc.ops import reference, segment_iou

DTYPES = [torch.float32, torch.float64]


def random_pairs(n, m, seed, dtype=torch.float64, *, grid=None):
    """Two lists of segments, some of zero length; on a grid many share boundaries or touch."""
    generator = torch.Generator().manual_seed(seed)
    lists = []
    for count in (n, m):
        starts = torch.rand(count, generator=generator, dtype=torch.float64) * 20
        lengths = torch.rand(count, generator=generator, dtype=torch.float64) * 3
        lengths[::7] = 0
        if grid is not None:
            starts, lengths = (starts / grid).round() * grid, (lengths / grid).round() * grid
        lists.append(torch.stack([starts, starts + lengths], dim=1).to(dtype))
    return lists


@pytest.mark.parametrize("grid", [None, 0.5])
@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0), (1, 1), (2, 1), (1000, 37), (37, 1000)])
def test_iou_is_that_of_the_reference(n, m, dtype, contiguous, grid):
    a, b = random_pairs(n, m, seed=n + 1, dtype=dtype, grid=grid)
    expected = reference.segment_iou(a, b)
    if not contiguous:
        a, b = a.T.contiguous().T, b.T.contiguous().T
    found = segment_iou(a, b)
    assert found.shape == (n, m)
    assert found.dtype == dtype
    # The same operations in the same order.
    assert torch.equal(found, expected)


@pytest.mark.parametrize("compare", [segment_iou, reference.segment_iou])
def test_iou_is_that_of_its_definition(compare):
    a, b = random_pairs(30, 20, seed=2, grid=0.5)
    found = compare(a, b)
    for i, (start, end) in enumerate(a.tolist()):
        for j, (other_start, other_end) in enumerate(b.tolist()):
            shared = max(0.0, min(end, other_end) - max(start, other_start))
            union = (end - start) + (other_end - other_start) - shared
            assert float(found[i, j]) == pytest.approx(shared / union if union > 0 else 0.0, abs=1e-15)


@pytest.mark.parametrize("compare", [segment_iou, reference.segment_iou])
def test_two_segments_of_zero_length_have_an_iou_of_zero(compare):
    point = torch.tensor([[1.0, 1.0]])
    assert compare(point, torch.tensor([[1.0, 1.0], [2.0, 2.0], [0.0, 2.0]])).tolist() == [[0.0, 0.0, 0.0]]


# Beside each other, touching, sharing a start, an end or both, one inside the other. At a coinciding boundary
# finite differences to both sides give the mean of two slopes, as the gradient does.
SPANS = torch.tensor([[0, 2], [2, 3], [0, 1], [1, 2], [0.25, 1.5], [7, 9]], dtype=torch.float64)


@pytest.mark.parametrize("spans", [SPANS, random_pairs(9, 1, seed=3)[0][1:7]])
def test_the_gradients_of_iou_are_those_of_finite_differences(spans):
    a, b = spans.clone().requires_grad_(), SPANS.clone().requires_grad_()
    assert torch.autograd.gradcheck(segment_iou, (a, b))
    assert torch.autograd.gradcheck(lambda one: segment_iou(one, SPANS), (a,))
    assert torch.autograd.gradcheck(lambda one: segment_iou(SPANS, one), (b,))


@pytest.mark.parametrize("backward", [torch.ops.avloc.segment_iou_backward, reference.segment_iou_backward])
def test_segments_that_are_apart_and_unions_of_zero_have_no_gradient(backward):
    a = torch.tensor([[0.0, 1.0], [5.0, 5.0]])
    b = torch.tensor([[2.0, 3.0], [5.0, 5.0]])
    assert backward(torch.ones(2, 2), a, b).tolist() == [[0.0, 0.0]] * 2


@pytest.mark.parametrize("grid", [None, 0.5])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (1, 1), (400, 37)])
def test_the_gradients_of_iou_are_those_of_the_reference(n, m, dtype, grid):
    a, b = (one.requires_grad_() for one in random_pairs(n, m, seed=m, dtype=dtype, grid=grid))
    grad = torch.randn(n, m, generator=torch.Generator().manual_seed(n), dtype=torch.float64).to(dtype)
    found = torch.autograd.grad(segment_iou(a, b), (a, b), grad)
    expected = (
        reference.segment_iou_backward(grad, a.detach(), b.detach()),
        reference.segment_iou_backward(grad.T, b.detach(), a.detach()),
    )
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        # Sums of at most 400 float64 terms in another order; float32: the last place.
        torch.testing.assert_close(one, other, rtol=1e-6 if dtype == torch.float32 else 1e-12, atol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(0, 3), (4, 5)])
def test_iou_meets_the_rules_for_operators(n, m):
    a, b = random_pairs(n, m, seed=9)
    grad = torch.ones(n, m, dtype=torch.float64)
    torch.library.opcheck(torch.ops.avloc.segment_iou_backward.default, (grad, a, b))
    torch.library.opcheck(torch.ops.avloc.segment_iou.default, (a.requires_grad_(), b.requires_grad_()))


def test_iou_compiles_as_one_graph_with_its_gradients():
    a, b = (one.requires_grad_() for one in random_pairs(6, 5, seed=4))
    compiled = torch.compile(segment_iou, fullgraph=True, backend="aot_eager")
    found = compiled(a, b)
    assert torch.equal(found, segment_iou(a, b))
    gradients = torch.autograd.grad(found.square().sum(), (a, b))
    expected = torch.autograd.grad(segment_iou(a, b).square().sum(), (a, b))
    assert all(torch.equal(one, other) for one, other in zip(gradients, expected, strict=True))


def test_a_second_gradient_of_iou_is_refused():
    a, b = (one.requires_grad_() for one in random_pairs(6, 5, seed=4))
    (grad,) = torch.autograd.grad(segment_iou(a, b).square().sum(), a, create_graph=True)
    with pytest.raises(NotImplementedError, match="first gradient only"):
        grad.sum().backward()


SPAN = torch.tensor([[0.0, 1.0]])


@pytest.mark.parametrize("compare", [segment_iou, reference.segment_iou, torch.ops.avloc.segment_iou])
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (SPAN.flip(1), SPAN, r"a must be finite with start <= end, got \[1, 0\] at row 0"),
        (SPAN, SPAN.flip(1), r"b must be finite with start <= end, got \[1, 0\] at row 0"),
        (SPAN, SPAN * torch.nan, "b must be finite"),
        (SPAN / 0, SPAN, "a must be finite"),
    ],
)
def test_iou_refuses_wrong_values(compare, a, b, message):
    with pytest.raises(ValueError, match=message):
        compare(a, b)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (SPAN[0], SPAN, r"a must have shape \(N, 2\) in seconds, got \(2,\)"),
        (SPAN, SPAN[:, :1], r"b must have shape \(N, 2\) in seconds, got \(1, 1\)"),
        (SPAN.half(), SPAN.half(), "a must be float32 or float64, got torch.float16"),
        (SPAN, SPAN.double(), "b must have the dtype of a, torch.float32, got torch.float64"),
    ],
)
def test_iou_refuses_wrong_shapes_and_dtypes(a, b, message):
    with pytest.raises(ValueError, match=message):
        segment_iou(a, b)


def test_the_binding_of_iou_checks_what_reaches_it_without_the_wrapper():
    calls = torch.ops.avloc
    if calls.segment_iou.default.has_kernel_for_dispatch_key(torch._C.DispatchKey.CPU):
        with pytest.raises(ValueError, match=r"b must have shape \(N, 2\) in seconds, got \(1, 1\)"):
            calls.segment_iou(SPAN, SPAN[:, :1])
        with pytest.raises(ValueError, match="b must have the dtype of a"):
            calls.segment_iou(SPAN, SPAN.double())
        with pytest.raises(ValueError, match=r"grad must have shape \(N, M\)"):
            calls.segment_iou_backward(SPAN, SPAN, SPAN)
