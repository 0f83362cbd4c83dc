"""How long each operation takes, by every implementation that is found here, in one table.

python benchmarks/bench_ops.py --out benchmarks/results/bench_ops.json

- ``reference``: the definition in plain torch. ``cpu``: the compiled kernel, on one and on two threads.
- ``plain``: the loop over all pairs that localization code usually has (``plain_suppression.cpp``).
- ``sort``: ``torch.sort`` of the scores alone, without which no suppression can do.
- ``cuda``, ``torchvision``: where there is a device; torchvision's ``batched_nms`` on boxes of height one,
  where it imports. ``of_copy``: the least bytes to move over the time, as a share of what copying on the
  device reaches.

Starts are uniform in 20 s, lengths log-normal (-0.7, 0.8) and at least 0.04 s, scores Beta (0.6, 4);
``sparse`` has 20 s per 100 segments. Each case is first compared: with the reference where that runs,
exactly or, for sums, to 1e-4; with the plain loop and with torchvision, which are float32, in all but one of
a thousand of what they keep. Times are medians; what takes over a second runs once.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent))
from environment import environment
from ops_cases import Case, cases
from plain_loop import PlainLoop

from avloc import ops

ALLOWED = 1e-3  # share of what is kept that float32 may decide otherwise
AT_LEAST_S, AT_LEAST, AT_MOST = 0.3, 3, 200  # time and number of repeats
COLUMNS = ("reference", "plain", "sort", "cpu", "cpu_2_threads", "cuda", "torchvision")


def median_ms(call: Callable[[], object], finish: Callable[[], None] = lambda: None) -> float:
    """Median time of a call; ``finish`` waits for what it has queued."""
    times, began = [], time.perf_counter()
    while len(times) < AT_LEAST or (time.perf_counter() - began < AT_LEAST_S and len(times) < AT_MOST):
        start = time.perf_counter()
        call()
        finish()
        times.append(time.perf_counter() - start)
        if times[0] > 1.0:
            break
    return round(1e3 * float(np.median(times)), 4)


def compare(case: Case, found: object, expected: object, allowed: float = 0.0) -> None:
    """Stop where two implementations differ."""
    if case.keeps:
        kept, others = (
            np.asarray(part[0] if isinstance(part, tuple) else part) for part in (found, expected)
        )
        if allowed == 0:
            same = np.array_equal(kept, others)
            if same and isinstance(found, tuple):
                torch.testing.assert_close(found[1], expected[1], rtol=1e-6, atol=1e-9)
            if not same:
                raise SystemExit(f"{case.op}, {case.n}: the kept segments differ, or their order")
            return
        differ = len(np.setxor1d(kept, others))
        if differ > max(allowed * len(others), 2):
            raise SystemExit(f"{case.op}, {case.n}: {differ} of {len(others)} kept segments differ")
    else:
        # Float32 sums of 64 products.
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def moved(part: object, device: str) -> object:
    """Bring tensors to a device, or back; splits stay on the host."""
    if isinstance(part, tuple):
        return tuple(moved(one, device) for one in part)
    return part.to(device) if isinstance(part, Tensor) else part


def measure_device(case: Case, found: object) -> dict:
    """Time the CUDA kernel, and torchvision's where that imports."""
    there = moved(case.arguments, "cuda")
    compare(case, moved(case.kernel(*there), "cpu"), found)
    row = {"cuda_ms": median_ms(lambda: case.kernel(*there), torch.cuda.synchronize)}
    if case.n_bytes:
        row["gigabytes_per_s"] = round(case.n_bytes / row["cuda_ms"] / 1e6, 1)
        row["of_copy"] = round(row["gigabytes_per_s"] / copy_gigabytes_per_s(), 3)
    if case.boxes is not None:
        try:
            from torchvision.ops import batched_nms
        except ImportError:
            return row
        boxes = moved(case.boxes, "cuda")
        compare(case, batched_nms(*boxes).cpu(), found, ALLOWED)
        row["torchvision_ms"] = median_ms(lambda: batched_nms(*boxes), torch.cuda.synchronize)
    return row


@cache
def copy_gigabytes_per_s() -> float:
    """Bandwidth that copying a gigabyte on the device reaches, read and written."""
    source = torch.zeros(2**28, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / median_ms(lambda: target.copy_(source), torch.cuda.synchronize) / 1e6


def measure(case: Case) -> dict:
    """Compare all implementations of a case, then time them."""
    row: dict[str, float | int | str] = {"op": case.op, "case": case.kind, "n": case.n}
    torch.set_num_threads(1)
    found = case.kernel(*case.arguments)
    if case.slow is not None:
        compare(case, case.slow(), found)
        row["reference_ms"] = median_ms(case.slow)
    if case.plain is not None:
        row["plain_ms"] = median_ms(case.plain)
        if row["plain_ms"] < 1e4:
            compare(case, case.plain(), found, ALLOWED)
    if case.scores is not None:
        row["sort_ms"] = median_ms(lambda: torch.sort(case.scores, descending=True))
    row["cpu_ms"] = median_ms(lambda: case.kernel(*case.arguments))
    torch.set_num_threads(2)
    row["cpu_2_threads_ms"] = median_ms(lambda: case.kernel(*case.arguments))
    torch.set_num_threads(1)
    if torch.cuda.is_available() and ops.kernels("cuda") == "cuda":
        row |= measure_device(case, found)
    return row


def table(rows: list[dict]) -> str:
    """Lines of one table, milliseconds; ``-`` where an implementation did not run."""
    lines = [f"{'operation':28}{'case':>18}{'n':>8}" + "".join(f"{name:>14}" for name in COLUMNS)]
    for row in rows:
        times = (row.get(f"{name}_ms") for name in COLUMNS)
        cells = "".join(f"{'-' if value is None else format(value, '.3f'):>14}" for value in times)
        lines.append(f"{row['op']:28}{row['case']:>18}{row['n']:>8}" + cells)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file beside the table, which goes to stdout")
    parser.add_argument(
        "--largest", type=int, default=100_000, help="leave out what has more segments in all"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(PlainLoop(Path(folder)), arguments.seed, arguments.largest):
            rows.append(measure(case))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(table(rows))
    if arguments.out is not None:
        on_cuda = ops.kernels("cuda") if torch.cuda.is_available() else None
        document = {"environment": environment(), "cuda_kernels": on_cuda, "seed": arguments.seed}
        document["results"] = rows
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
