import pytest
import torch

from avloc.ops import reference, score_segments

DTYPES = [torch.float32, torch.float64]


def random_input(n, seed, dtype=torch.float64, *, n_rows=3, n_frames=200):
    """Frame scores and segments at fractions of frames, some beyond the recording, some of zero length."""
    generator = torch.Generator().manual_seed(seed)
    frame_scores = torch.rand(n_rows, n_frames, generator=generator, dtype=torch.float64)
    rows = torch.randint(n_rows, (n,), generator=generator).double()
    starts = torch.rand(n, generator=generator, dtype=torch.float64) * (n_frames + 20) - 10
    lengths = torch.rand(n, generator=generator, dtype=torch.float64) ** 3 * n_frames
    lengths[::7] = 0
    starts[::3], lengths[::3] = starts[::3].round(), lengths[::3].round()
    return frame_scores.to(dtype), torch.stack([rows, starts, starts + lengths], dim=1).to(dtype)


@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_scores_are_those_of_the_reference(n, dtype, contiguous):
    frame_scores, segments = random_input(n, seed=n, dtype=dtype)
    expected = reference.score_segments(frame_scores, segments)
    if not contiguous:
        frame_scores, segments = frame_scores.T.contiguous().T, segments.T.contiguous().T
    found = score_segments(frame_scores, segments)
    assert found.shape == (n, 3)
    assert found.dtype == dtype
    # Prefix sums of 200 values in float64 lose no more than a few 1e-14.
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-12)


def slow_mean(frame_scores, spans, per_frame=64):
    """Mean over spans by sampling each frame at the middles of 64 parts."""
    times = (torch.arange(len(frame_scores) * per_frame, dtype=torch.float64) + 0.5) / per_frame
    inside = torch.zeros(len(times), dtype=torch.bool)
    for start, end in spans:
        inside |= (times >= start) & (times < end)
    values = frame_scores.repeat_interleave(per_frame)
    return float(values[inside].mean()) if inside.any() else 0.0


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (10.0, 20.0),
        (10.25, 10.75),
        (0.0, 40.0),
        (0.0, 3.5),
        (36.5, 40.0),
        (1.0, 2.0),
        (39.0, 40.0),
        (5.5, 30.125),
    ],
)
@pytest.mark.parametrize("score", [score_segments, reference.score_segments])
def test_scores_are_those_of_their_definition(score, start, end):
    frame_scores = torch.rand(1, 40, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    found = score(frame_scores, torch.tensor([[0.0, start, end]], dtype=torch.float64))[0].tolist()
    width = max(1.0, (end - start) / 4)

    def mean(*spans):
        return slow_mean(frame_scores[0], spans)

    inside = mean((start, end))
    contrast = inside - mean((start - width, start), (end, end + width))
    onset = abs(mean((start, start + 2)) - mean((start - 2, start)))
    offset = abs(mean((end - 2, end)) - mean((end, end + 2)))
    # Quarters and eighths of a frame are exact at 64 samples per frame, and so are the widths.
    assert found == pytest.approx([inside, contrast, (onset + offset) / 2], abs=1e-12)


def test_a_box_scores_one_everywhere():
    frame_scores = torch.zeros(2, 30)
    frame_scores[1, 10:20] = 1
    assert score_segments(frame_scores, torch.tensor([[1.0, 10.0, 20.0]])).tolist() == [[1.0, 1.0, 1.0]]
    assert score_segments(frame_scores, torch.tensor([[0.0, 10.0, 20.0]])).tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("score", [score_segments, reference.score_segments])
def test_a_segment_that_fills_the_recording_has_a_contrast_of_its_inside(score):
    frame_scores = torch.full((1, 8), 0.5)
    whole, beyond = torch.tensor([[0.0, 0.0, 8.0]]), torch.tensor([[0.0, -3.0, 99.0]])
    # Both sides outside the recording count 0, so each boundary is a step of 0.5.
    assert score(frame_scores, whole).tolist() == [[0.5, 0.5, 0.5]]
    assert score(frame_scores, beyond).tolist() == [[0.5, 0.5, 0.5]]


@pytest.mark.parametrize("score", [score_segments, reference.score_segments])
def test_a_segment_without_any_part_in_the_recording_scores_zero(score):
    frame_scores = torch.ones(1, 8)
    segments = torch.tensor([[0.0, 3.0, 3.0], [0.0, -5.0, -1.0], [0.0, 8.0, 9.0], [0.0, 20.0, 30.0]])
    assert score(frame_scores, segments).tolist() == [[0.0, 0.0, 0.0]] * 4
    assert score(torch.zeros(1, 0), segments[:1]).tolist() == [[0.0, 0.0, 0.0]]


def test_the_gradient_is_that_of_finite_differences():
    frame_scores, segments = random_input(12, seed=6, n_frames=30)
    frame_scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda scores: score_segments(scores, segments), (frame_scores,))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 300])
def test_the_gradient_is_that_of_the_reference(n, dtype):
    frame_scores, segments = random_input(n, seed=n + 2, dtype=dtype)
    grad = torch.randn(n, 3, generator=torch.Generator().manual_seed(n), dtype=torch.float64).to(dtype)
    found = torch.ops.avloc.score_segments_backward(grad, frame_scores, segments)
    expected = reference.score_segments_backward(grad, frame_scores, segments)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 if dtype == torch.float32 else 1e-11)


def test_frames_that_no_segment_reads_get_no_gradient_at_all():
    frame_scores = torch.rand(1, 100, generator=torch.Generator().manual_seed(0)).requires_grad_()
    score_segments(frame_scores, torch.tensor([[0.0, 40.0, 60.0]])).sum().backward()
    read = frame_scores.grad[0].nonzero()
    assert (int(read.min()), int(read.max())) == (35, 64)


@pytest.mark.parametrize("n", [0, 5])
def test_scoring_meets_the_rules_for_operators(n):
    frame_scores, segments = random_input(n, seed=9, n_frames=20)
    torch.library.opcheck(torch.ops.avloc.score_segments.default, (frame_scores.requires_grad_(), segments))
    grad = torch.ones(n, 3, dtype=torch.float64)
    operator = torch.ops.avloc.score_segments_backward.default
    torch.library.opcheck(operator, (grad, frame_scores.detach(), segments))


def test_scoring_compiles_as_one_graph_with_its_gradient():
    frame_scores, segments = random_input(5, seed=3)
    compiled = torch.compile(score_segments, fullgraph=True, backend="aot_eager")
    frame_scores.requires_grad_()
    expected, found = score_segments(frame_scores, segments), compiled(frame_scores, segments)
    assert torch.equal(found, expected)
    gradients = [torch.autograd.grad(scores.sum(), frame_scores)[0] for scores in (found, expected)]
    assert torch.equal(*gradients)
    assert gradients[0].abs().sum() > 0


def test_a_second_gradient_is_refused():
    frame_scores, segments = random_input(5, seed=3)
    frame_scores.requires_grad_()
    total = (score_segments(frame_scores, segments) ** 2).sum()
    (grad,) = torch.autograd.grad(total, frame_scores, create_graph=True)
    with pytest.raises(NotImplementedError, match="first gradient only"):
        grad.sum().backward()


FRAMES, SEGMENT = torch.zeros(2, 9), torch.tensor([[0.0, 1.0, 2.0]])


@pytest.mark.parametrize("score", [score_segments, reference.score_segments, torch.ops.avloc.score_segments])
@pytest.mark.parametrize(
    ("frame_scores", "segments", "message"),
    [
        (FRAMES, torch.tensor([[2.0, 1.0, 2.0]]), r"segments must name a batch row in \[0, 2\)"),
        (FRAMES, torch.tensor([[-1.0, 1.0, 2.0]]), "segments must name a batch row"),
        (FRAMES, torch.tensor([[0.5, 1.0, 2.0]]), "segments must name a batch row"),
        (FRAMES, torch.tensor([[torch.nan, 1.0, 2.0]]), "segments must name a batch row"),
        (FRAMES, torch.tensor([[0.0, 2.0, 1.0]]), r"segments must be finite with start <= end, got \[2, 1\]"),
        (FRAMES, torch.tensor([[0.0, 2.0, torch.inf]]), "segments must be finite"),
        (FRAMES * torch.nan, SEGMENT, "frame_scores must be finite"),
    ],
)
def test_scoring_refuses_wrong_values(score, frame_scores, segments, message):
    with pytest.raises(ValueError, match=message):
        score(frame_scores, segments)


@pytest.mark.parametrize(
    ("frame_scores", "segments", "message"),
    [
        (FRAMES[0], SEGMENT, r"frame_scores must have shape \(B, T\), got \(9,\)"),
        (FRAMES.half(), SEGMENT, "frame_scores must be float32 or float64"),
        (FRAMES, SEGMENT[:, :2], r"segments must have shape \(N, 3\).*got \(1, 2\)"),
        (FRAMES, SEGMENT.double(), "segments must have the dtype of frame_scores"),
    ],
)
def test_scoring_refuses_wrong_shapes_and_dtypes(frame_scores, segments, message):
    with pytest.raises(ValueError, match=message):
        score_segments(frame_scores, segments)
