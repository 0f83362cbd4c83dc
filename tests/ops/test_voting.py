import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avloc.ops import reference, segment_nms, soft_segment_nms, vote_segments

DTYPES = [torch.float32, torch.float64]
SIZES = [0, 1, 2, 1000]
IMPLEMENTATIONS = {
    "package": vote_segments,
    "reference": lambda *tensors, iou_threshold, splits=None: reference.vote_segments(
        *tensors, iou_threshold=iou_threshold, splits=splits
    ),
}


@pytest.fixture(params=IMPLEMENTATIONS)
def vote(request):
    return IMPLEMENTATIONS[request.param]


def clusters(n, seed, dtype=torch.float64):
    """Segments that scatter about a few places, as proposals do: most of them have something to vote for."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.randint(max(1, n // 8), (n,), generator=generator)
    jitter = torch.randn(n, 2, generator=generator, dtype=torch.float64) * 0.1
    segments = torch.stack([place * 0.7, place * 0.7 + 1.0], dim=1) + jitter
    scores = torch.rand(n, generator=generator, dtype=torch.float64)
    scores[::11] = 0
    segments[5::13, 1] = segments[5::13, 0]
    return segments.to(dtype), scores.to(dtype)


def spaced(tensor):
    """The same values in memory that is not contiguous."""
    return tensor.repeat_interleave(2, dim=-1)[..., ::2]


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("with_splits", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_votes_are_those_of_the_reference(n, dtype, with_splits, threshold):
    segments, scores = clusters(n, seed=n, dtype=dtype)
    splits = torch.tensor([0, n // 5, n // 2, n // 2, n, n]) if with_splits else None
    kept, _ = soft_segment_nms(segments, scores, max_segments=40, splits=splits)
    expected = reference.vote_segments(kept, segments, scores, iou_threshold=threshold, splits=splits)
    found = vote_segments(
        spaced(kept), spaced(segments), spaced(scores), iou_threshold=threshold, splits=splits
    )
    assert found.dtype == dtype
    assert found.shape == (len(kept), 2)
    # Sums of at most 1000 float64 terms in another order, times below 100 s; float32: the last place.
    torch.testing.assert_close(found, expected, rtol=1.2e-7 if dtype == torch.float32 else 0, atol=1e-12)
    if n == 1000 and threshold in (0.3, 0.7):
        assert (found != segments[kept]).any(1).double().mean() > 0.5, "the case must have votes"


def test_a_vote_is_the_mean_weighted_by_score_and_iou(vote):
    segments = torch.tensor([[0.0, 4.0], [0.0, 2.0], [1.0, 4.0], [4.0, 9.0]], dtype=torch.float64)
    scores = torch.tensor([0.8, 0.4, 0.6, 0.9], dtype=torch.float64)
    weights = [0.8 * 1.0, 0.4 * 0.5, 0.6 * 0.75]
    start, end = weights[2] * 1.0, weights[0] * 4.0 + weights[1] * 2.0 + weights[2] * 4.0
    found = vote(torch.tensor([0]), segments, scores, iou_threshold=0.5)
    assert found[0].tolist() == pytest.approx([start / sum(weights), end / sum(weights)], rel=1e-15)


def test_a_segment_exactly_at_the_threshold_votes(vote):
    segments, scores = torch.tensor([[0.0, 4.0], [0.0, 2.0]]), torch.tensor([0.5, 0.5])
    kept = torch.tensor([0])
    assert vote(kept, segments, scores, iou_threshold=0.5).tolist() == [[0.0, pytest.approx(10 / 3)]]
    assert vote(kept, segments, scores, iou_threshold=math.nextafter(0.5, 1)).tolist() == [[0.0, 4.0]]


def test_what_nothing_votes_for_stays_as_it_is(vote):
    # Thirds have no exact sum, so a mean over one segment alone would show a rounding.
    segments = torch.tensor([[1 / 3, 2 / 3], [5 / 3, 7 / 3], [4.0, 4.0], [3.5, 5.0]], dtype=torch.float64)
    scores = torch.tensor([0.7, 0.0, 0.9, 0.0], dtype=torch.float64)
    found = vote(torch.arange(4), segments, scores, iou_threshold=0.0)
    assert torch.equal(found, segments)


def test_results_stand_beside_what_was_kept_in_any_order(vote):
    segments, scores = clusters(60, seed=3)
    splits = torch.tensor([0, 20, 20, 60])
    kept = torch.tensor([41, 7, 7, 19, 59, 0, 20])
    found = vote(kept, segments, scores, iou_threshold=0.4, splits=splits)
    alone = [vote(kept[i : i + 1], segments, scores, iou_threshold=0.4, splits=splits) for i in range(7)]
    torch.testing.assert_close(found, torch.cat(alone), rtol=0, atol=1e-14)


def test_only_segments_of_the_same_recording_vote():
    segments, scores = clusters(90, seed=8)
    splits = [0, 18, 45, 45, 90, 90]
    kept = segment_nms(segments, scores, 0.5, splits=splits)
    together = vote_segments(kept, segments, scores, iou_threshold=0.3, splits=splits)
    apart = []
    for a, b in zip(splits[:-1], splits[1:], strict=True):
        own = segment_nms(segments[a:b], scores[a:b], 0.5)
        apart.append(vote_segments(own, segments[a:b], scores[a:b], iou_threshold=0.3))
    assert torch.equal(together, torch.cat(apart))
    assert not torch.equal(together, vote_segments(kept, segments, scores, iou_threshold=0.3))


times = st.integers(0, 60).map(lambda i: i / 8)
rows = st.lists(st.tuples(times, times, st.integers(0, 8).map(lambda i: i / 8)), max_size=24)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(rows=rows, threshold=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_voted_boundaries_lie_among_those_of_the_voters(rows, threshold):
    segments = torch.tensor([sorted(row[:2]) for row in rows], dtype=torch.float64).reshape(-1, 2)
    scores = torch.tensor([row[2] for row in rows], dtype=torch.float64)
    found = vote_segments(torch.arange(len(rows)), segments, scores, iou_threshold=threshold).tolist()

    def iou(a, b):
        shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
        union = a[1] - a[0] + b[1] - b[0] - shared
        return shared / union if union > 0 else 0.0

    for one, (start, end) in zip(segments.tolist(), found, strict=True):
        voters = [other for other in segments.tolist() if iou(one, other) >= threshold] + [one]
        assert min(v[0] for v in voters) - 1e-12 <= start <= max(v[0] for v in voters) + 1e-12
        assert min(v[1] for v in voters) - 1e-12 <= end <= max(v[1] for v in voters) + 1e-12
        assert start <= end


@pytest.mark.parametrize("n", [0, 9])
def test_voting_meets_the_rules_for_operators(n):
    segments, scores = clusters(n, seed=1)
    arguments = (torch.arange(0, n, 2), segments, scores)
    splits = torch.tensor([0, n // 2, n])
    operator = torch.ops.avloc.vote_segments.default
    torch.library.opcheck(operator, arguments, {"iou_threshold": 0.5, "splits": splits})


def test_suppression_and_voting_compile_as_one_graph():
    @torch.compile(fullgraph=True, backend="aot_eager")
    def voted(segments, scores):
        return vote_segments(segment_nms(segments, scores, 0.5), segments, scores, iou_threshold=0.5)

    segments, scores = clusters(30, seed=2)
    kept = segment_nms(segments, scores, 0.5)
    expected = vote_segments(kept, segments, scores, iou_threshold=0.5)
    assert torch.equal(voted(segments, scores), expected)


KEPT, SEGMENTS, SCORES = torch.tensor([1]), torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([0.5, 0.6])


@pytest.mark.parametrize("call", [vote_segments, torch.ops.avloc.vote_segments, reference.vote_segments])
@pytest.mark.parametrize(
    ("kept", "segments", "scores", "splits", "message"),
    [
        (KEPT + 1, SEGMENTS, SCORES, None, r"kept must hold rows of segments in \[0, 2\)"),
        (KEPT - 2, SEGMENTS, SCORES, None, "kept must hold rows"),
        (KEPT, SEGMENTS.flip(1), SCORES, None, r"segments must be finite with start <= end, got \[1, 0\]"),
        (KEPT, SEGMENTS * torch.nan, SCORES, None, "segments must be finite"),
        (KEPT, SEGMENTS, -SCORES, None, "scores must be finite and at least 0"),
        (KEPT, SEGMENTS, SCORES * torch.inf, None, "scores must be finite"),
        (KEPT, SEGMENTS, SCORES, torch.tensor([0, 1]), "splits must rise from 0 to 2"),
    ],
)
def test_voting_refuses_wrong_values(call, kept, segments, scores, splits, message):
    with pytest.raises(ValueError, match=message):
        call(kept, segments, scores, iou_threshold=0.5, splits=splits)


@pytest.mark.parametrize(
    ("kept", "segments", "scores", "threshold", "message"),
    [
        (KEPT.int(), SEGMENTS, SCORES, 0.5, r"kept must be int64 of shape \(n,\), got torch.int32 of shape"),
        (KEPT[None], SEGMENTS, SCORES, 0.5, r"kept must be int64.*got torch.int64 of shape \(1, 1\)"),
        (KEPT, SEGMENTS[:, :1], SCORES, 0.5, r"segments must have shape \(N, 2\) in seconds, got \(2, 1\)"),
        (KEPT, SEGMENTS.half(), SCORES.half(), 0.5, "segments must be float32 or float64, got torch.float16"),
        (KEPT, SEGMENTS, SCORES[:1], 0.5, r"scores must have shape \(2,\), got \(1,\)"),
        (KEPT, SEGMENTS, SCORES.double(), 0.5, "scores must have the dtype of segments"),
        (KEPT, SEGMENTS, SCORES, 1.5, r"iou_threshold must be in \[0, 1\], got 1.5"),
        (KEPT, SEGMENTS, SCORES, math.nan, "iou_threshold must be in"),
    ],
)
def test_voting_refuses_wrong_shapes_and_dtypes(kept, segments, scores, threshold, message):
    with pytest.raises(ValueError, match=message):
        vote_segments(kept, segments, scores, iou_threshold=threshold)


def test_the_binding_checks_what_reaches_it_without_the_wrapper():
    operator = torch.ops.avloc.vote_segments
    if operator.default.has_kernel_for_dispatch_key(torch._C.DispatchKey.CPU):
        with pytest.raises(ValueError, match="kept must be int64"):
            operator(KEPT.int(), SEGMENTS, SCORES, iou_threshold=0.5, splits=None)
        with pytest.raises(ValueError, match="iou_threshold must be in"):
            operator(KEPT, SEGMENTS, SCORES, iou_threshold=math.nan, splits=None)
        with pytest.raises(ValueError, match="scores must have shape"):
            operator(KEPT, SEGMENTS, SCORES[:1], iou_threshold=0.5, splits=None)


def voting_runs(parity_dir):
    for path in sorted((parity_dir / "nms").glob("*.json")):
        case = json.loads(path.read_text())
        segments, scores = torch.tensor(case["segments"]).reshape(-1, 2), torch.tensor(case["scores"])
        for run in case["runs"]:
            params = run["params"]
            # Its code votes among segments of one class, and only above a threshold of zero.
            if params.get("voting_thresh", 0) > 0 and not params["multiclass"]:
                expected = torch.tensor(run["expected"]["segments"]).reshape(-1, 2)
                yield case["name"], segments, scores, params, expected


def kept_by(segments, scores, params):
    """What its code keeps before the votes, which all segments have."""
    most = params["max_seg_num"]
    if params["use_soft_nms"]:
        limits = {"min_score": params["min_score"], "max_segments": most}
        return soft_segment_nms(segments, scores, sigma=params["sigma"], **limits)[0]
    above = (scores > params["min_score"]).nonzero()[:, 0]
    return above[segment_nms(segments[above], scores[above], params["iou_threshold"])][:most]


@pytest.mark.dataset
def test_voting_agrees_with_action_formers_own(parity_dir):
    n_runs, n_moved = 0, 0
    for name, segments, scores, params, expected in voting_runs(parity_dir):
        kept = kept_by(segments, scores, params)
        if len(kept) != len(expected):
            # Its suppression differs, not its votes: it does not test a first pick against the lowest score,
            # and with 1e-6 more length an IoU exactly at the threshold lies below it.
            assert name in ("single_below_min", "iou_at_threshold")
            continue
        found = vote_segments(kept, segments, scores, iou_threshold=params["voting_thresh"])
        # It votes in float32 and its values are printed with nine digits.
        torch.testing.assert_close(found, expected, rtol=4e-7, atol=1e-6)
        n_moved += int(((found - segments[kept]).abs() > 1e-3).any(1).sum())
        n_runs += 1
    assert n_runs >= 30
    assert n_moved >= 20
