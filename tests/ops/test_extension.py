import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import avloc
from avloc.errors import ExtensionError
from avloc.ops import _extension, band_correlation, soft_segment_nms

PACKAGE = Path(avloc.__file__).parent
# Not "kernels() != 'cpu'": a build that failed to install them must fail here.
compiled = pytest.mark.skipif(
    os.environ.get("AVLOC_BUILD_EXTENSION") == "0", reason="installed without the compiled kernels"
)


@compiled
def test_the_schemas_of_the_library_are_those_of_python():
    for name, schema in _extension.SCHEMAS.items():
        assert str(getattr(torch.ops.avloc, name).default._schema) == f"avloc::{name}{schema}"


@compiled
def test_every_operation_has_a_compiled_kernel_on_the_cpu():
    for name in _extension.SCHEMAS:
        operation = getattr(torch.ops.avloc, name).default
        assert operation.has_kernel_for_dispatch_key(torch._C.DispatchKey.CPU), name


def test_a_library_that_is_not_one_is_an_error(tmp_path):
    broken = tmp_path / "_kernels_cpu.abi3.so"
    broken.write_bytes(b"not a library")
    assert _extension.find_library(tmp_path) == broken
    with pytest.raises(ExtensionError, match="does not load.*reinstall avloc"):
        _extension.load_library(broken)


@compiled
def test_a_library_of_another_version_is_an_error(monkeypatch):
    monkeypatch.setitem(_extension.SCHEMAS, "band_correlation", "(Tensor audio, int later) -> Tensor")
    with pytest.raises(
        ExtensionError, match=r"of another version: expected 'avloc::band_correlation\(Tensor audio, int"
    ):
        _extension.check_library(_extension.find_library(PACKAGE / "ops"))
    monkeypatch.delitem(_extension.SCHEMAS, "band_correlation")
    monkeypatch.setitem(_extension.SCHEMAS, "not_there", "() -> ()")
    with pytest.raises(ExtensionError, match="got 'nothing'"):
        _extension.check_library(_extension.find_library(PACKAGE / "ops"))


def run_without_the_library(folder, code, library=None):
    """Run code in a child whose avloc holds the Python files of ops alone, or these bytes as library too."""
    (folder / "avloc").mkdir()
    (folder / "avloc" / "__init__.py").touch()
    shutil.copy(PACKAGE / "errors.py", folder / "avloc")
    shutil.copytree(
        PACKAGE / "ops", folder / "avloc" / "ops", ignore=shutil.ignore_patterns("_kernels*", "__pycache__")
    )
    if library is not None:
        (folder / "avloc" / "ops" / "_kernels_cpu.abi3.so").write_bytes(library)
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)


WITHOUT_LIBRARY = """
import logging
logging.basicConfig(level=logging.INFO)
import torch, avloc, avloc.ops as ops
assert ops.kernels() == "reference"
segments, scores = torch.tensor([[0.0, 2.0], [0.0, 1.0], [5.0, 6.0]]), torch.tensor([0.9, 0.8, 0.7])
assert ops.segment_nms(segments, scores, 0.5).tolist() == [0, 2]
assert ops.soft_segment_nms(segments, scores, splits=[0, 2, 3])[0].tolist() == [0, 1, 2]
audio, visual = torch.randn(2, 1, 3, 6, dtype=torch.float64).requires_grad_().unbind()
assert torch.autograd.gradcheck(lambda a, v: ops.band_correlation(a, v, 2), (audio, visual))
frames = torch.rand(1, 20, dtype=torch.float64).requires_grad_()
spans = torch.tensor([[0, 2.5, 9.0], [0, 0.0, 20.0]], dtype=torch.float64)
assert torch.autograd.gradcheck(lambda f: ops.score_segments(f, spans), (frames,))
a, b = torch.tensor([[[0.0, 2.0], [3.0, 4.0]], [[1.0, 2.5], [3.0, 5.0]]], dtype=torch.float64).unbind()
assert torch.autograd.gradcheck(ops.segment_iou, (a.requires_grad_(), b.requires_grad_()))
kept = ops.segment_nms(segments, scores, 0.5)
assert ops.vote_segments(kept, segments, scores, iou_threshold=0.6).tolist() == [[0.0, 2.0], [5.0, 6.0]]
from torch._subclasses.fake_tensor import FakeTensorMode
with FakeTensorMode() as mode:
    assert ops.score_segments(mode.from_tensor(frames), mode.from_tensor(spans)).shape == (2, 3)
"""


def test_without_a_library_the_reference_runs_with_gradients_and_one_log_line(tmp_path):
    child = run_without_the_library(tmp_path, WITHOUT_LIBRARY)
    assert child.returncode == 0, child.stderr
    lines = [line for line in child.stderr.splitlines() if "avloc.ops" in line]
    assert len(lines) == 1
    assert "compiled kernels were not built" in lines[0]


def test_a_broken_library_stops_the_import(tmp_path):
    child = run_without_the_library(tmp_path, "import avloc.ops", library=b"not a library")
    assert child.returncode == 1
    assert "ExtensionError" in child.stderr
    assert "does not load" in child.stderr


def ticks_during(call):
    """How often another Python thread ran while the call was under way, and how long that took (s)."""
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    time.sleep(0.01)
    start = time.perf_counter()
    call()
    end = time.perf_counter()
    done.set()
    thread.join()
    margin = (end - start) * 0.1
    return sum(start + margin < t < end - margin for t in ticks), end - start


@compiled
@pytest.mark.parametrize("with_gradient", [False, True])
def test_other_python_threads_run_during_a_long_correlation(with_gradient):
    audio, visual = torch.zeros(2, 1, 64, 8000).unbind()
    audio.requires_grad_(with_gradient)
    n_ticks, took_s = ticks_during(lambda: band_correlation(audio, visual, 200))
    # A call that held the interpreter would allow none; one tick in 20 ms is plenty on a busy machine.
    assert n_ticks >= max(3, took_s * 1000 * 0.05)


@compiled
def test_other_python_threads_run_during_a_long_suppression():
    starts = torch.linspace(0, 1, 2500, dtype=torch.float64)
    segments, scores = torch.stack([starts, starts + 1], dim=1), torch.full((2500,), 0.5, dtype=torch.float64)
    n_ticks, took_s = ticks_during(lambda: soft_segment_nms(segments, scores, sigma=1e9))
    assert n_ticks >= max(3, took_s * 1000 * 0.05)
