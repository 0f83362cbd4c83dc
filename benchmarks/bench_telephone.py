"""How fast a folder of telephone recordings is analysed: 100 files of 60 s on two cores.

python benchmarks/bench_telephone.py --output benchmarks/results/bench_telephone.json

The files are cut from real calls at 8 kHz and analysed by ``avloc localize -r``, start and writing included,
in a process that may use two cores. The figure is seconds of channels a second of wall time.
a process that may use two cores. The figure is seconds of channels a second of wall time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("telephony/pca-auto0-u8.wav", "telephony/lca49-agent.flac", "telephony/lca49-caller.flac")
FILE_S = 60
TARGET = 80.0  # channel-seconds a second
RATE = 8000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "media")
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    sys.path[:0] = [str(ROOT / "benchmarks")]
    from bench_localize import sgemm_gflops
    from environment import environment

    with tempfile.TemporaryDirectory() as folder:
        calls = Path(folder) / "calls"
        calls.mkdir()
        make_calls([arguments.media / source for source in SOURCES], calls, arguments.files)
        before_gflops = sgemm_gflops()
        wall_s, rows = localize(calls, Path(folder) / "results.jsonl", arguments.cores)
        after_gflops = sgemm_gflops()
    channel_s = sum(row["analysed"]["duration_s"] * len(row["channels"]) for row in rows)
    result = {
        "environment": environment(),
        "files": len(rows),
        "cores": arguments.cores,
        "wall_s": round(wall_s, 2),
        "channel_seconds": round(channel_s, 1),
        "channel_seconds_a_second": round(channel_s / wall_s, 1),
        "target": TARGET,
        "speech_share": round(sum(row["analysed"]["speech_s"] for row in rows) / channel_s, 3),
        "sgemm_gflops": [before_gflops, after_gflops],
        "statuses": sorted({row["status"] for row in rows}),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def make_calls(sources: list[Path], folder: Path, n_files: int) -> None:
    """Cut files of a minute from the calls, one after the other, each a little later than before."""
    import numpy as np
    import soundfile

    from avloc.media.whole import read_audio

    calls = [read_audio(source, sample_rate=RATE)[0] for source in sources]
    for number in range(n_files):
        call = calls[number % len(calls)]
        start = (number * 7 * RATE) % len(call)
        cut = np.resize(np.roll(call, -start), FILE_S * RATE)
        soundfile.write(folder / f"{number:03d}.wav", cut, RATE, subtype="PCM_16")


def localize(folder: Path, output: Path, n_cores: int) -> tuple[float, list[dict]]:
    """Run the command line on ``n_cores`` cores; wall seconds and the documents."""
    cores = sorted(os.sched_getaffinity(0))[:n_cores]
    command = [sys.executable, "-m", "avloc", "localize", "-r", str(folder), "--format", "jsonl", "--quiet"]
    command += ["--output", str(output), "--threads", str(n_cores)]
    started = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, preexec_fn=lambda: os.sched_setaffinity(0, cores))
    wall_s = time.perf_counter() - started
    return wall_s, [json.loads(line) for line in output.read_text().splitlines()]


if __name__ == "__main__":
    main()
