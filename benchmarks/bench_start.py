"""Start-up: CPU of ``avloc --help``, and the wall time of a whole run on a short clip from a cold start.

Each run is a process of its own; the smallest and the median of several are told. The clips are ten seconds
of a recording, as sound alone and as picture and sound.

    python benchmarks/bench_start.py --output benchmarks/results/bench_start.json
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_localize import make_media
from environment import environment

ROOT = Path(__file__).resolve().parents[1]
CLIP_MINUTES = 1 / 6
TARGETS = {"help_cpu_s": 0.3, "audio_wall_s": 8.0, "video_wall_s": 8.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "media")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        audio, video = Path(folder) / "clip.wav", Path(folder) / "clip.mp4"
        make_media("audio", options.media, audio, CLIP_MINUTES)
        make_media("video", options.media, video, CLIP_MINUTES)
        runs = {
            "help": [run("--help") for _ in range(options.runs)],
            "audio": [run("localize", str(audio)) for _ in range(options.runs)],
            "video": [run("localize", str(video)) for _ in range(options.runs)],
        }
    measured = {
        f"{name}_{kind}_s": [row[kind] for row in rows] for name, rows in runs.items() for kind in rows[0]
    }
    result = {
        "environment": environment(),
        "n_runs": options.runs,
        "smallest": {name: min(values) for name, values in measured.items()},
        "median": {name: statistics.median(values) for name, values in measured.items()},
    }
    result["met"] = {name: result["median"][name] < target for name, target in TARGETS.items()}
    text = json.dumps(result, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


def run(*arguments: str) -> dict[str, float]:
    """Run the command in a new process: its wall time and the CPU of it and its children."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "avloc", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wall_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": round(wall_s, 3), "cpu": round(cpu_s, 3)}


if __name__ == "__main__":
    main()
