"""Suppression beside the plain loop over all pairs that localization code usually has.

python benchmarks/bench_suppression.py --out benchmarks/results/bench_suppression.json

The plain loop (``plain_suppression.cpp``) is compiled on the spot with ``c++ -O3``. Starts are uniform in 20
s, lengths log-normal (-0.7, 0.8) and at least 0.04 s, scores Beta (0.6, 4); ``sparse`` has 20 s per 100
segments. Every case is first compared: kernel and reference must agree exactly up to 1,000 segments, kernel
and plain loop, whose numbers are float32, in all but one of a thousand of what they keep. Times are medians;
a plain loop that takes over a second runs once. What sorting the same scores takes (``torch.sort``) stands
beside hard suppression, because no suppression can do without.
"""

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from environment import environment

from avloc import ops
from avloc.ops import reference

SIZES = (100, 1_000, 10_000, 100_000)
BATCHES = ((1_000, 1_000), (100, 10_000))  # recordings, segments of each
SPAN_S = 20.0
SIGMA = 0.75
RULES = ("hard 0.5", "hard 0.9", "gaussian 0.001", "gaussian 0")
ALLOWED = 1e-3  # share of what is kept that float32 may decide otherwise
AT_LEAST_S, AT_LEAST, AT_MOST = 0.3, 3, 200  # time and number of repeats


class PlainLoop:
    """The baseline, compiled into a folder."""

    def __init__(self, folder: Path) -> None:
        source = Path(__file__).with_name("plain_suppression.cpp")
        target = folder / "plain_suppression.so"
        subprocess.run(["c++", "-O3", "-shared", "-fPIC", "-o", str(target), str(source)], check=True)
        self._library = ctypes.CDLL(str(target))
        for name in ("plain_hard", "plain_soft"):
            getattr(self._library, name).restype = ctypes.c_int64

    def __call__(self, rule: str, segments: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Give the kept indices of one recording, float32 (N, 2) and (N,)."""
        kind, value = rule.split()
        kept = np.empty(len(scores), np.int64)
        arguments = [_pointer(segments), _pointer(scores), ctypes.c_int64(len(scores))]
        if kind == "hard":
            n_kept = self._library.plain_hard(*arguments, ctypes.c_float(float(value)), _pointer(kept))
        else:
            decayed = np.empty(len(scores), np.float32)
            numbers = (ctypes.c_float(SIGMA), ctypes.c_float(float(value)))
            n_kept = self._library.plain_soft(*arguments, *numbers, _pointer(kept), _pointer(decayed))
        return kept[:n_kept]


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def suppress(
    rule: str, segments: torch.Tensor, scores: torch.Tensor, splits: torch.Tensor | None = None
) -> torch.Tensor:
    """Give the kept indices by the compiled kernel."""
    kind, value = rule.split()
    if kind == "hard":
        return ops.segment_nms(segments, scores, float(value), splits=splits)
    found = ops.soft_segment_nms(segments, scores, sigma=SIGMA, min_score=float(value), splits=splits)
    return found[0]


def suppress_slowly(rule: str, segments: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Give the kept indices by the definition."""
    kind, value = rule.split()
    if kind == "hard":
        return reference.segment_nms(segments, scores, float(value), splits=None)
    unused = {"iou_threshold": 0.5, "iou_at_0s": 0.0, "iou_at_1s": 0.0, "max_segments": None, "splits": None}
    return reference.soft_segment_nms(
        segments, scores, method="gaussian", sigma=SIGMA, min_score=float(value), **unused
    )[0]


def proposals(n: int, span_s: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw segments (n, 2) and scores (n,), float32."""
    starts = rng.uniform(0, span_s, n)
    lengths = np.maximum(np.exp(rng.normal(-0.7, 0.8, n)), 0.04)
    segments = np.stack([starts, np.minimum(starts + lengths, span_s)], axis=1).astype(np.float32)
    return np.ascontiguousarray(segments), rng.beta(0.6, 4, n).astype(np.float32)


def median_ms(call: Callable[[], object]) -> float:
    """Median time of a call."""
    times, began = [], time.perf_counter()
    while len(times) < AT_LEAST or (time.perf_counter() - began < AT_LEAST_S and len(times) < AT_MOST):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
        if times[0] > 1.0:
            break
    return round(1e3 * float(np.median(times)), 4)


def compare(rule: str, kept: np.ndarray, expected: np.ndarray, allowed: float) -> None:
    """Stop where two implementations keep other segments."""
    differ = len(np.setxor1d(kept, expected))
    if differ > max(allowed * len(expected), 2 * (allowed > 0)):
        raise SystemExit(f"{rule}: {differ} of {len(expected)} kept segments differ")


def measure_one(rule: str, n: int, span_s: float, plain: PlainLoop, rng: np.random.Generator) -> dict:
    """Measure a single recording."""
    segments, scores = proposals(n, span_s, rng)
    tensors = torch.from_numpy(segments), torch.from_numpy(scores)
    kept = suppress(rule, *tensors).numpy()
    if n <= 1_000:
        compare(rule, kept, suppress_slowly(rule, *tensors).numpy(), 0.0)
    row = {"n_kept": len(kept)}
    row["plain_ms"] = median_ms(lambda: plain(rule, segments, scores))
    compare(rule, kept, plain(rule, segments, scores) if row["plain_ms"] < 1e4 else kept, ALLOWED)
    row["kernel_ms"] = median_ms(lambda: suppress(rule, *tensors))
    if rule.startswith("hard"):
        row["sort_ms"] = median_ms(lambda: torch.sort(tensors[1], descending=True))
    return row


def measure_batch(rule: str, n_recordings: int, n: int, plain: PlainLoop, rng: np.random.Generator) -> dict:
    """Measure many recordings: the plain loop one by one, the kernel at once on one and on two threads."""
    drawn = [proposals(n, SPAN_S, rng) for _ in range(n_recordings)]
    segments, scores = (torch.from_numpy(np.concatenate(part)) for part in zip(*drawn, strict=True))
    splits = torch.arange(n_recordings + 1) * n
    row = {"plain_ms": median_ms(lambda: [plain(rule, *one) for one in drawn])}
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        name = "kernel_ms" if n_threads == 1 else f"kernel_{n_threads}_threads_ms"
        row[name] = median_ms(lambda: suppress(rule, segments, scores, splits))
    torch.set_num_threads(1)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file; without it the result goes to stdout")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="leave out what has more segments")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(arguments.seed)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        plain = PlainLoop(Path(folder))
        for rule in RULES:
            cases = [(n, kind) for n in SIZES for kind in ("dense", "sparse") if n <= arguments.largest]
            for n, kind in cases:
                span_s = SPAN_S if kind == "dense" else SPAN_S * n / 100
                row = measure_one(rule, n, span_s, plain, rng)
                results.append({"rule": rule, "case": kind, "n": n, **row})
                _tell(results[-1])
            for n_recordings, n in BATCHES:
                if n_recordings * n <= 10 * arguments.largest:
                    row = measure_batch(rule, n_recordings, n, plain, rng)
                    results.append({"rule": rule, "case": f"{n_recordings} recordings", "n": n, **row})
                    _tell(results[-1])
    text = json.dumps({"environment": environment(), "seed": arguments.seed, "results": results}, indent=1)
    if arguments.out is None:
        sys.stdout.write(text + "\n")
    else:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")


def _tell(row: dict) -> None:
    fastest = min(value for key, value in row.items() if key.startswith("kernel"))
    row["speedup"] = round(row["plain_ms"] / fastest, 1)
    print(json.dumps(row), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
