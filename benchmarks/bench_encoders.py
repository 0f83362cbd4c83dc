"""How many frames of 40 ms a second the public speech encoders read, and what bounds them.

python benchmarks/bench_encoders.py --out benchmarks/results/bench_encoders.json

Full published sizes with random weights, clips of 10 s, float32, one clip at a time, on one and on two
threads. ``of_matmul`` is the share of what ``torch.matmul`` of 2,048 x 2,048 reaches on as many threads,
measured right before; multiplications are counted by ``torch.utils.flop_counter``. Each variant takes turns
with the plain forward pass on one thread: ``gain`` is the ratio of their times, ``difference`` the largest
between their outputs, and ``within`` says whether that is inside the tolerance of the parity fixtures.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parent))
from environment import environment

from avloc.models.encoders.auto_avsr import AutoAvsrAudioEncoder, AutoAvsrVisualEncoder
from avloc.models.encoders.av_hubert import AvHubertEncoder

N_FRAMES = 250
SHAPES = {
    "waveform": (640 * N_FRAMES,),
    "mouth88_landmarks": (N_FRAMES, 88, 88),
    "fbank104": (N_FRAMES, 104),
}
ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "Auto-AVSR visual": AutoAvsrVisualEncoder,
    "Auto-AVSR audio": AutoAvsrAudioEncoder,
    "AV-HuBERT audio": lambda: AvHubertEncoder(stream="audio"),
    "AV-HuBERT visual": lambda: AvHubertEncoder(stream="visual"),
}
TOLERANCE = 1e-3  # of the parity fixtures of encoders, in units of their outputs
BATCH = 4


def inputs_of(encoder: nn.Module, n_clips: int) -> tuple[tuple[Tensor, ...], Tensor]:
    """Draw what an encoder reads, of unit variance, and a mask without padding."""
    generator = torch.Generator().manual_seed(0)
    drawn = tuple(torch.randn(n_clips, *SHAPES[name], generator=generator) for name in encoder.inputs)
    return drawn, torch.ones(n_clips, N_FRAMES, dtype=torch.bool)


def seconds_of(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each call; they take turns."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - start)
    return {name: float(np.median(times)) for name, times in taken.items()}


def matmul_gigaflops(repeats: int) -> float:
    """Speed of the product of two large matrices on the present threads."""
    one = torch.randn(2048, 2048)
    return 2 * 2048**3 / seconds_of({"matmul": lambda: one @ one}, repeats)["matmul"] / 1e9


def channels_last(encoder: nn.Module) -> nn.Module:
    """Lay out the weights of convolutions over pictures with channels last."""
    for part in encoder.modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d):
            kind = torch.channels_last if isinstance(part, nn.Conv2d) else torch.channels_last_3d
            part.to(memory_format=kind)
    return encoder


def measure(make: Callable[[], nn.Module], repeats: int, *, compiles: bool) -> dict:
    """Throughput of one encoder on one and two threads, and what each variant adds."""
    torch.manual_seed(0)
    encoder = make().eval()
    one = inputs_of(encoder, 1)
    with FlopCounterMode(display=False) as counter:
        encoder(*one)
    found: dict = {"gigaflops_per_clip": round(counter.get_total_flops() / 1e9, 1)}
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        encoder(*one)
        peak = matmul_gigaflops(repeats)
        seconds = seconds_of({"plain": lambda: encoder(*one)}, repeats)["plain"]
        found[f"{n_threads} threads"] = {
            "frames_per_s": round(N_FRAMES / seconds, 1),
            "matmul_gigaflops": round(peak, 1),
            "of_matmul": round(counter.get_total_flops() / seconds / 1e9 / peak, 3),
        }
    torch.set_num_threads(1)
    found["variants"] = dict(variants(encoder, make, repeats, compiles=compiles))
    return found


def variants(
    encoder: nn.Module, make: Callable[[], nn.Module], repeats: int, *, compiles: bool
) -> Iterator[tuple[str, dict]]:
    """Compare each variant with the plain pass on one thread, time by clip."""
    clips, mask = inputs_of(encoder, BATCH)
    one = tuple(part[:1] for part in clips), mask[:1]
    alone = torch.cat([encoder(tuple(x[i : i + 1] for x in clips), mask[:1])[0] for i in range(BATCH)])
    torch.manual_seed(0)
    other = channels_last(make().eval())
    calls: dict[str, tuple[Callable[[], tuple[Tensor, Tensor]], int]] = {
        f"{BATCH} clips at once": (lambda: encoder(clips, mask), BATCH),
        "channels last": (lambda: other(*one), 1),
        "bfloat16": (lambda: _in_bfloat16(encoder, one), 1),
    }
    if compiles:
        compiled = torch.compile(encoder)
        calls["torch.compile"] = (lambda: compiled(*one), 1)
    for name, (call, n_clips) in calls.items():
        difference = float((call()[0].float() - alone[:n_clips]).abs().max())
        seconds = seconds_of({"plain": lambda: encoder(*one), name: call}, repeats)
        gain = round(n_clips * seconds["plain"] / seconds[name], 2)
        shown = float(f"{difference:.2g}")
        yield name, {"gain": gain, "difference": shown, "within": difference <= TOLERANCE}


def _in_bfloat16(encoder: nn.Module, one: tuple) -> tuple[Tensor, Tensor]:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return encoder(*one)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file; without it the result goes to stdout")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--encoder", choices=ENCODERS, nargs="+", default=list(ENCODERS))
    parser.add_argument("--no-compile", dest="compiles", action="store_false", help="leave torch.compile out")
    options = parser.parse_args()
    results = {}
    for name in options.encoder:
        results[name] = measure(ENCODERS[name], options.repeats, compiles=options.compiles)
        print(name, json.dumps(results[name]), file=sys.stderr, flush=True)
    found = {
        "environment": environment(),
        "clip_s": N_FRAMES / 25,
        "tolerance": TOLERANCE,
        "results": results,
    }
    text = json.dumps(found, indent=1)
    if options.out is None:
        sys.stdout.write(text + "\n")
    else:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
