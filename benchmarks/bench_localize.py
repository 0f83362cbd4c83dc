"""Speed and memory of a whole localization: sound on one core, 480p video of one and of two faces on two.

Media are made in a temporary folder by looping a real recording. Every case runs in a process of its own that
may use only the named number of cores, so that its peak memory (itself and the decoding child) is its own.
A matrix product of the network's size, timed on one thread before and after, says how fast the machine was
just then: on a shared one it varies by a fifth, and matrix products are what bounds the sound.

    python benchmarks/bench_localize.py --output benchmarks/results/bench_localize.json
    python benchmarks/bench_localize.py --weights fast --output benchmarks/results/bench_localize_fast.json
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

AUDIO_SOURCE = "genuine/hdtf-aoc.mp4"
VIDEO_SOURCE = "genuine/hdtf-aoc.mp4"
SECOND_SOURCE = "genuine/marlin04.mp4"  # beside the first, in a picture of two faces
HEIGHT_PX = 480
CORES = {"audio": 1, "video": 2, "two_faces": 2}
SHORT_MINUTES = {"audio": 2.0, "video": 2.0, "two_faces": 1.0}
TARGETS = {"audio": 40.0, "video": 5.0, "two_faces": 5.0}  # times real time
FAST_TARGETS = {"audio": 150.0}  # of the weights "fast", which only hear
MAX_GROWTH_MB = {"audio": 100.0, "video": 100.0, "two_faces": 50.0}
MAX_PEAK_MB = 1500.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "media")
    parser.add_argument("--weights", help="name or path; without it and the default, an untrained network")
    parser.add_argument("--audio-minutes", type=float, default=60.0)
    parser.add_argument("--video-minutes", type=float, default=6.0)
    parser.add_argument("--two-faces-minutes", type=float, default=30.0)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--only", choices=list(CORES))
    parser.add_argument("--case", nargs=3, metavar=("FILE", "CORES", "WEIGHTS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        path, n_cores, weights = arguments.case
        json.dump(run_case(path, int(n_cores), weights), sys.stdout)
        return
    from environment import environment

    with tempfile.TemporaryDirectory() as folder:
        weights = _weights(arguments.weights, Path(folder))
        cases = {}
        targets = FAST_TARGETS if Path(weights).stem == "fast" else TARGETS
        for kind in targets:
            n_cores = CORES[kind]
            if arguments.only not in (None, kind):
                continue
            minutes = getattr(arguments, f"{kind}_minutes")
            for name, length in ((f"{kind}_short", SHORT_MINUTES[kind]), (kind, minutes)):
                path = Path(folder) / f"{name}.{'wav' if kind == 'audio' else 'mp4'}"
                make_media(kind, arguments.media, path, length)
                cases[name] = _measure(path, n_cores, weights)
                path.unlink()
                print(f"{name}: {json.dumps(cases[name])}", file=sys.stderr)
        result = {"environment": environment(), "weights": Path(weights).stem, "cases": cases}
        result["summary"] = summarize(cases, targets)
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def summarize(cases: dict[str, dict], targets: dict[str, float]) -> dict[str, dict]:
    """Compare with what is promised: speed, growth of memory with the length, peak."""
    summary = {}
    for kind, target in targets.items():
        if kind not in cases:
            continue
        long, short = cases[kind], cases[f"{kind}_short"]
        growth_mb = long["peak_mb"] - short["peak_mb"]
        summary[kind] = {
            "times_real_time": long["times_real_time"],
            "target": target,
            "growth_mb": round(growth_mb, 1),
            "peak_mb": long["peak_mb"],
            "met": long["times_real_time"] >= target
            and growth_mb <= MAX_GROWTH_MB[kind]
            and long["peak_mb"] <= MAX_PEAK_MB,
        }
    return summary


def run_case(path: str, n_cores: int, weights: str) -> dict:
    """Localize one file in this process, on ``n_cores`` cores, and say what it took."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_cores])  # the child inherits it
    os.environ["OMP_NUM_THREADS"] = str(n_cores)
    from avloc.pipelines import loading, localize

    decoders = []

    class KeptDecoder(localize.Decoder):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            decoders.append(self)

    localize.Decoder = KeptDecoder
    started = time.perf_counter()
    localizer = loading.load_localizer(weights, threads=max(1, n_cores - 1))  # one core decodes
    loaded_s = time.perf_counter() - started
    before_gflops = sgemm_gflops()
    cpu_before = _cpu_s(os.getpid())
    prediction = localizer(path)
    cpu_s = _cpu_s(os.getpid()) - cpu_before
    after_gflops = sgemm_gflops()
    (decoder,) = decoders
    wall_s, duration_s = prediction.timing.wall_s, prediction.analysed.duration_s
    children = _children(os.getpid())
    return {
        "status": str(prediction.status),
        "duration_s": round(duration_s, 2),
        "cores": n_cores,
        "wall_s": round(wall_s, 2),
        "times_real_time": round(duration_s / wall_s, 1),
        "sgemm_gflops": [before_gflops, after_gflops],
        "load_weights_s": round(loaded_s, 2),
        "network_process_cpu_s": round(cpu_s, 2),
        "child_cpu_s": round(sum(_cpu_s(pid) for pid in children), 2),
        "child_decode_s": round(decoder.decode_timing_s, 2),
        "child_face_s": round(decoder.face_timing_s, 2),
        "peak_mb": round(sum(_peak_mb(pid) for pid in (os.getpid(), *children)), 1),
        "peak_children_mb": round(sum(_peak_mb(pid) for pid in children), 1),
        "faces_at_once": _most_at_once(prediction.faces),
        "coverage": [prediction.analysed.coverage_audio, prediction.analysed.coverage_visual],
    }


def _most_at_once(faces: tuple) -> int:
    starts = [face.segment.start for face in faces]
    return max((sum(f.segment.start <= t < f.segment.end for f in faces) for t in starts), default=0)


def sgemm_gflops(repetitions: int = 200) -> float:
    """Median speed of a product of the recogniser's size, (960, 384) by (384, 1536), on one thread."""
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    left, right = torch.ones(960, 384), torch.ones(384, 1536)
    took = []
    for _ in range(repetitions):
        started = time.perf_counter()
        left @ right
        took.append(time.perf_counter() - started)
    torch.set_num_threads(n_threads)
    return round(2 * 960 * 384 * 1536 / sorted(took)[repetitions // 2] / 1e9, 1)


def make_media(kind: str, media: Path, path: Path, minutes: float) -> None:
    """Write the recording of a case."""
    if kind == "audio":
        make_audio(media / AUDIO_SOURCE, path, minutes)
    else:
        sources = [VIDEO_SOURCE, SECOND_SOURCE][: 1 + (kind == "two_faces")]
        make_video([media / source for source in sources], path, minutes)


def make_audio(source: Path, path: Path, minutes: float) -> None:
    """Loop the first channel of ``source`` to a 16 kHz WAV of ``minutes``."""
    import soundfile

    from avloc.media.whole import read_audio

    samples = read_audio(source)[0]
    n_left = round(minutes * 60 * 16000)
    with soundfile.SoundFile(path, "w", 16000, 1, "PCM_16") as file:
        while n_left > 0:
            file.write(samples[:n_left])
            n_left -= len(samples)


def make_video(sources: list[Path], path: Path, minutes: float) -> None:
    """Loop pictures, side by side at 480 lines and 25 frames a second, and the sound of the first one."""
    import cv2
    import numpy as np

    from avloc.media.encode import write_video
    from avloc.media.whole import read_audio, read_frames

    pictures = []
    for source in sources:
        frames, rate = read_frames(source)
        width = 2 * round(frames.shape[2] * HEIGHT_PX / frames.shape[1] / 2)
        pictures.append([cv2.resize(f, (width, HEIGHT_PX), interpolation=cv2.INTER_AREA) for f in frames])
    scaled = [np.hstack(row) for row in zip(*pictures, strict=False)]
    n_frames = round(minutes * 60 * rate)
    samples = read_audio(sources[0])[:1]
    n_samples = round(minutes * 60 * 16000)
    looped = np.tile(samples, (1, -(-n_samples // samples.shape[1])))[:, :n_samples]

    def cycle() -> Iterator:
        for index in range(n_frames):
            yield scaled[index % len(scaled)]

    write_video(path, cycle(), Fraction(rate), looped, 16000)


def _measure(path: Path, n_cores: int, weights: str) -> dict:
    command = [sys.executable, __file__, "--case", str(path), str(n_cores), weights]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return json.loads(done.stdout)


def _weights(given: str | None, folder: Path) -> str:
    """Return a weights file: the given one, the default, or an untrained network, which is as fast."""
    import torch

    from avloc.config import load_config
    from avloc.errors import CheckpointError
    from avloc.models.hierarchical import build_network
    from avloc.models.weights.card import unmeasured_card
    from avloc.models.weights.locate import find_weights
    from avloc.models.weights.store import save_weights

    try:
        return str(find_weights(given or "default"))
    except CheckpointError:
        if given:
            raise
    torch.manual_seed(0)
    config = load_config("default")
    path = folder / "untrained.safetensors"
    save_weights(path, build_network(config["model"]), config=config, card=unmeasured_card("untrained"))
    return str(path)


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) / 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted({int(child) for path in lists for child in path.read_text().split()})


if __name__ == "__main__":
    main()
