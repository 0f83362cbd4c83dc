"""The CUDA kernels against the reference: on a device where there is one, and on emulated threads everywhere.

`emulation` compiles csrc/cuda and csrc/ops_cuda for the CPU, where the threads of a block run in turn between
barriers. That shows the logic of the kernels, not how memory of a device behaves when threads race.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch.utils.cpp_extension import include_paths, library_paths

from avloc.ops import _extension, reference

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "avloc_emulated"
DTYPES = [torch.float32, torch.float64]
LENGTHS = [0, 1, 31, 33, 600]
THRESHOLDS = {"iou_at_0s": 0.1968, "iou_at_1s": 0.4123}


def compile_for_threads(folder):
    """Compile the CUDA sources with the emulated runtime in place of CUDA's."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    sources = [path for name in ("cuda/*.cu", "ops_cuda/*.cpp") for path in (ROOT / "csrc").glob(name)]
    assert len(sources) > 5
    emulation = Path(__file__).parent / "emulation"
    library = folder / "emulated.so"
    command = [compiler, "-std=c++17", "-O1", "-fPIC", "-shared", "-ffp-contract=off", "-fvisibility=hidden"]
    command += ["-U_FORTIFY_SOURCE"]  # which forbids jumps from one stack to another
    command += ["-DTORCH_TARGET_VERSION=0x020b000000000000"]
    command += ["-DAVLOC_DEVICE_KEY=CPU", f"-DAVLOC_LIBRARY={NAMESPACE}"]
    command += [f"-I{path}" for path in (emulation, ROOT / "csrc", ROOT / "csrc" / "include")]
    command += [part for path in include_paths() for part in ("-isystem", path)]
    command += ["-x", "c++", *map(str, sorted(sources)), str(emulation / "emulation.cpp"), "-x", "none"]
    command += os.environ.get("CXXFLAGS", "").split()
    command += ["-o", str(library), *(f"-L{path}" for path in library_paths()), "-ltorch_cpu"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-4000:]
    return library


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    library = compile_for_threads(tmp_path_factory.mktemp("emulation"))
    fragment = torch.library.Library(NAMESPACE, "FRAGMENT")
    for name, schema in _extension.SCHEMAS.items():
        fragment.define(f"{name}{schema}")
    torch.ops.load_library(library)
    yield getattr(torch.ops, NAMESPACE)
    fragment._destroy()


@pytest.fixture(params=["emulated", pytest.param("cuda", marks=pytest.mark.cuda)])
def run(request):
    """Call an operation with tensors on the device, and bring back what it returns."""
    if request.param == "cuda" and _extension.kernels("cuda") != "cuda":
        if os.environ.get("AVLOC_REQUIRE_CUDA") == "1":
            pytest.fail("AVLOC_REQUIRE_CUDA=1, but avloc was built without its CUDA kernels")
        pytest.skip("avloc was built without its CUDA kernels")
    operations = torch.ops.avloc if request.param == "cuda" else request.getfixturevalue("emulated")
    device = "cuda" if request.param == "cuda" else "cpu"

    def call(name, *arguments, **named):
        there = [item.to(device) if isinstance(item, torch.Tensor) else item for item in arguments]
        found = getattr(operations, name)(*there, **named)  # splits stay on the CPU
        return tuple(item.cpu() for item in found) if isinstance(found, tuple) else found.cpu()

    return call


def proposals(n, *, dtype=torch.float64, grid=None, span_s=40.0):
    """Segments of speech-like lengths; on a grid they are full of exact ties."""
    generator = torch.Generator().manual_seed(n)
    starts = torch.rand(n, generator=generator, dtype=torch.float64) * span_s - 5
    lengths = torch.exp(torch.randn(n, generator=generator, dtype=torch.float64) * 0.8 - 0.7)
    scores = torch.rand(n, generator=generator, dtype=torch.float64)
    if grid is not None:
        starts, lengths = (starts / grid).round() * grid, (lengths / grid).round() * grid
        scores = (scores * 8).round() / 8 * (1 - 2 * (starts.round() % 2))  # 0.0 and -0.0, and below
    return torch.stack([starts, starts + lengths], dim=1).to(dtype), scores.to(dtype)


def some_splits(n):
    """Recordings of unequal size, an empty one in the middle and one at the end."""
    return torch.tensor([0, n // 5, n // 2, n // 2, n, n])


def arguments_of(name, seed=0, dtype=torch.float64):
    """Any right arguments of an operation."""
    generator = torch.Generator().manual_seed(seed)
    if name in ("band_correlation", "band_correlation_backward"):
        audio, visual = torch.randn(2, 2, 5, 150, generator=generator).to(dtype)
        grad = torch.randn(2, 39, 150, generator=generator).to(dtype)
        return (audio, visual, 19) if name == "band_correlation" else (grad, audio, visual, 19)
    a, _ = proposals(40, dtype=dtype)
    b, _ = proposals(33, dtype=dtype)
    if name in ("segment_iou", "segment_iou_backward"):
        grad = torch.randn(40, 33, generator=generator).to(dtype)
        return (a, b) if name == "segment_iou" else (grad, a, b)
    frames = torch.rand(3, 700, generator=generator).to(dtype)
    rows = torch.randint(3, (40,), generator=generator).to(dtype)
    segments = torch.stack([rows, a[:, 0] * 20, a[:, 1] * 20], dim=1)
    grad = torch.randn(40, 3, generator=generator).to(dtype)
    return (frames, segments) if name == "score_segments" else (grad, frames, segments)


@pytest.mark.parametrize("grid", [None, 0.25])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [*LENGTHS, 1100])
def test_hard_suppression_is_that_of_the_reference(run, n, dtype, grid):
    segments, scores = proposals(n, dtype=dtype, grid=grid)
    for splits in (None, some_splits(n)):
        for threshold in (0.0, 1e-300, 0.3, 0.5, 0.9, 1.0):
            expected = reference.segment_nms(segments, scores, threshold, splits=splits)
            found = run("segment_nms", segments, scores, threshold, splits=splits)
            assert torch.equal(found, expected), (threshold, splits)


@pytest.mark.parametrize("method", ["gaussian", "linear", "adaptive"])
@pytest.mark.parametrize("grid", [None, 0.25])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 31, 200])
def test_soft_suppression_is_that_of_the_reference(run, n, dtype, grid, method):
    segments, scores = proposals(n, dtype=dtype, grid=grid)
    scores = scores.abs()
    options = {"method": method, "sigma": 0.5, "iou_threshold": 0.3, **THRESHOLDS}
    for changes in ({}, {"splits": some_splits(n)}, {"max_segments": 5}, {"min_score": 0.4}):
        named = {"min_score": 0.0, "max_segments": None, "splits": None} | options | changes
        expected, expected_scores = reference.soft_segment_nms(segments, scores, **named)
        found, found_scores = run("soft_segment_nms", segments, scores, **named)
        assert torch.equal(found, expected), changes
        torch.testing.assert_close(found_scores, expected_scores, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("splits", [None, [0, 700, 700, 1000]])
def test_threads_that_hold_several_segments_lose_them_alike(run, splits):
    segments, scores = proposals(1000, grid=0.125)
    splits = None if splits is None else torch.tensor(splits)
    options = {"sigma": 0.5, "iou_threshold": 0.3, **THRESHOLDS, "min_score": 0.25, "max_segments": None}
    for method in ("gaussian", "linear"):
        named = options | {"method": method, "splits": splits}
        expected, expected_scores = reference.soft_segment_nms(segments, scores.abs(), **named)
        found, found_scores = run("soft_segment_nms", segments, scores.abs(), **named)
        assert torch.equal(found, expected)
        torch.testing.assert_close(found_scores, expected_scores, rtol=1e-6, atol=1e-12)


def test_many_recordings_of_any_size_are_suppressed_alike(run):
    """More recordings than a block has threads, one of them with more kept segments than are read at once."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(0, 3, (1100,), generator=generator)
    counts[500] = 1100
    splits = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    segments, scores = proposals(int(splits[-1]), span_s=4000.0)
    expected = reference.segment_nms(segments, scores, 0.5, splits=splits)
    assert int((expected >= splits[500]).sum()) > 1000
    assert torch.equal(run("segment_nms", segments, scores, 0.5, splits=splits), expected)


def test_one_large_recording_is_suppressed_alike(run):
    segments, scores = proposals(4200, span_s=2000.0)
    named = {"method": "gaussian", "sigma": 0.5, "iou_threshold": 0.3, **THRESHOLDS, "splits": None}
    named |= {"min_score": 0.0, "max_segments": 12}
    for found, expected in zip(
        run("soft_segment_nms", segments, scores, **named),
        reference.soft_segment_nms(segments, scores, **named),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", LENGTHS)
def test_votes_are_those_of_the_reference(run, n, dtype):
    segments, scores = proposals(n, dtype=dtype, grid=0.25)
    scores = scores.abs()
    for splits in (None, some_splits(n)):
        kept = reference.segment_nms(segments, scores, 0.5, splits=splits)
        for threshold in (0.0, 0.5):
            named = {"iou_threshold": threshold, "splits": splits}
            expected = reference.vote_segments(kept, segments, scores, **named)
            found = run("vote_segments", kept, segments, scores, **named)
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name",
    [
        "segment_iou",
        "segment_iou_backward",
        "score_segments",
        "score_segments_backward",
        "band_correlation",
        "band_correlation_backward",
    ],
)
def test_scores_pairs_and_correlations_are_those_of_the_reference(run, name, dtype):
    arguments = arguments_of(name, dtype=dtype)
    found, expected = run(name, *arguments), getattr(reference, name)(*arguments)
    tolerance = {"rtol": 1e-5, "atol": 3e-5} if dtype == torch.float32 else {"rtol": 0, "atol": 1e-11}
    torch.testing.assert_close(found, expected, **tolerance)
    apart = [
        item.transpose(0, 1).contiguous().transpose(0, 1) if isinstance(item, torch.Tensor) else item
        for item in arguments
    ]
    torch.testing.assert_close(run(name, *apart), found, rtol=0, atol=0)


@pytest.mark.parametrize(("shape", "max_lag"), [((1, 1, 1), 0), ((2, 17, 130), 3), ((1, 8, 40), 60)])
def test_correlations_of_any_size_are_those_of_the_reference(run, shape, max_lag):
    audio, visual = torch.randn(2, *shape, dtype=torch.float64)
    expected = reference.band_correlation(audio, visual, max_lag)
    torch.testing.assert_close(run("band_correlation", audio, visual, max_lag), expected, rtol=0, atol=1e-13)


def test_nothing_gives_nothing(run):
    none, frames = torch.zeros(0, 3), torch.rand(2, 9)
    assert run("score_segments", frames, none).shape == (0, 3)
    assert run("score_segments_backward", none, frames, none).tolist() == [[0.0] * 9] * 2
    assert run("segment_iou", torch.zeros(0, 2), torch.rand(3, 1).expand(3, 2)).shape == (0, 3)
    assert run("segment_iou_backward", torch.zeros(2, 0), torch.zeros(2, 2), torch.zeros(0, 2)).sum() == 0
    assert run("band_correlation", torch.zeros(0, 3, 9), torch.zeros(0, 3, 9), 2).shape == (0, 5, 9)
    splits = torch.tensor([0, 0, 0])
    assert run("segment_nms", torch.zeros(0, 2), torch.zeros(0), 0.5, splits=splits).tolist() == []
    kept = torch.zeros(0, dtype=torch.int64)
    named = {"iou_threshold": 0.5, "splits": None}
    assert run("vote_segments", kept, torch.zeros(3, 2), torch.zeros(3), **named).shape == (0, 2)


@pytest.mark.parametrize(
    ("segment", "score", "message"),
    [
        ([2.0, 1.0], 0.5, r"segments must be finite with start <= end, got \[2, 1\] at row 34"),
        ([0.0, torch.nan], 0.5, "segments must be finite with start <= end"),
        ([-1e308, 1e308], 0.5, "segments must have a finite length"),
        ([0.0, 1.0], torch.nan, "scores must"),
    ],
)
def test_wrong_values_are_named_once_the_device_has_seen_them(run, segment, score, message):
    segments, scores = proposals(40)
    segments[34], scores[34] = torch.tensor(segment, dtype=torch.float64), score
    with pytest.raises(ValueError, match=message):
        run("segment_nms", segments, scores, 0.5, splits=None)
    named = {"method": "gaussian", "sigma": 0.5, "iou_threshold": 0.3, **THRESHOLDS, "splits": None}
    with pytest.raises(ValueError, match=message):
        run("soft_segment_nms", segments, scores, **named, min_score=0.0, max_segments=None)
    with pytest.raises(ValueError, match=message):
        kept = torch.tensor([0])
        run("vote_segments", kept, segments, scores, iou_threshold=0.5, splits=None)


def test_wrong_rows_of_votes_and_wrong_splits_are_named(run):
    segments, scores = proposals(5)
    with pytest.raises(ValueError, match=r"kept must hold rows of segments in \[0, 5\), got 5 at row 1"):
        run("vote_segments", torch.tensor([1, 5]), segments, scores, iou_threshold=0.5, splits=None)
    with pytest.raises(ValueError, match="splits must rise from 0 to 5"):
        run("segment_nms", segments, scores, 0.5, splits=torch.tensor([0, 4]))


def test_wrong_segments_have_scores_and_overlaps_that_are_not_numbers(run):
    """An error would have the host wait for the device."""
    frames = torch.rand(2, 30)
    wrong = [[2.0, 1.0, 2.0], [0.5, 1.0, 2.0], [0.0, 2.0, 1.0], [-1.0, 1.0, 2.0], [0.0, torch.nan, 2.0]]
    segments = torch.tensor([[1.0, 3.0, 9.0], *wrong])
    scores = run("score_segments", frames, segments)
    torch.testing.assert_close(scores[:1], reference.score_segments(frames, segments[:1]))
    assert scores[1:].isnan().all()
    grad = torch.ones(6, 3)
    expected = reference.score_segments_backward(grad[:1], frames, segments[:1])
    torch.testing.assert_close(run("score_segments_backward", grad, frames, segments), expected)
    overlaps = run("segment_iou", segments[:, 1:], segments[:1, 1:])[:, 0]
    assert overlaps.isnan().tolist() == [False, False, False, True, False, True]


def test_frame_scores_that_are_not_numbers_are_not_hidden(run):
    frames = torch.rand(2, 30)
    frames[0, 20] = torch.nan
    segments = torch.tensor([[0.0, 18.0, 25.0], [1.0, 18.0, 25.0]])
    scores = run("score_segments", frames, segments)
    assert scores[0, :2].isnan().all() and scores[1].isfinite().all()
    grad = run("score_segments_backward", torch.ones(2, 3), frames, segments)
    assert grad[1].isfinite().all()


def cuda_arguments(name, requires_grad=True):
    there = [item.cuda() if isinstance(item, torch.Tensor) else item for item in arguments_of(name)]
    return [item.requires_grad_(requires_grad) if isinstance(item, torch.Tensor) else item for item in there]


@pytest.mark.cuda
@pytest.mark.skipif(
    "0" in (os.environ.get("AVLOC_BUILD_CUDA"), os.environ.get("AVLOC_BUILD_EXTENSION")),
    reason="installed without the kernels for CUDA",
)
def test_every_operation_has_a_kernel_on_cuda():
    for name in _extension.SCHEMAS:
        operation = getattr(torch.ops.avloc, name).default
        assert operation.has_kernel_for_dispatch_key(torch._C.DispatchKey.CUDA), name


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["segment_iou", "score_segments", "band_correlation"])
def test_cuda_operations_are_good_citizens_of_torch(name):
    torch.library.opcheck(getattr(torch.ops.avloc, name).default, cuda_arguments(name))


@pytest.mark.cuda
def test_work_is_queued_on_the_current_stream_and_comes_out_the_same():
    segments, scores = (item.cuda() for item in proposals(20000))
    first = torch.ops.avloc.segment_nms(segments, scores, 0.5, splits=None)
    later, stream = torch.zeros_like(segments), torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(200_000_000)  # what runs on another stream meanwhile sees zeros
        later.copy_(segments)
        again = torch.ops.avloc.segment_nms(later, scores, 0.5, splits=None)
    stream.synchronize()
    assert torch.equal(again, first)
