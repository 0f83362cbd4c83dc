"""How long ``avloc evaluate`` takes for a whole test set, and how much memory.

python benchmarks/bench_evaluate.py --out benchmarks/results/bench_evaluate.json

Makes a metadata list in AV-Deepfake1M's format and a prediction file of 343,240 recordings with 100 proposals
each (about 757 MB), scores them in a process of its own, and reports its wall time and the largest resident
memory that the system saw of it. ``--share 0.05`` makes a twentieth. Kernels are compiled before, as an
installed avloc has them; ``--cold`` reports the first run of all, compiling included.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from environment import environment

N_RECORDINGS = 343_240
N_PROPOSALS = 100
FORGED = 0.75  # share of the recordings
KINDS = ("real_video_fake_audio", "fake_video_real_audio", "fake_video_fake_audio")


def write_files(folder: Path, n: int, seed: int) -> tuple[Path, Path]:
    """Write predictions and references; they name recordings in two different orders."""
    generator = np.random.default_rng(seed)
    predictions, references = folder / "prediction.json", folder / "val_metadata.json"
    truth = []
    with predictions.open("w") as rows:
        rows.write("{")
        for i in range(n):
            forged = generator.random() < FORGED
            kind = KINDS[i % 3] if forged else "real"
            name = f"id{i % 2000:05d}/{i:06d}clip/{i % 97:05d}/{kind}.mp4"
            starts = np.round(generator.uniform(0, 8, 1 + i % 2 if forged else 0), 2)
            spans = [[float(s), round(float(s) + 0.5, 2)] for s in starts]
            entry = {
                "file": name,
                "original": None if not forged else f"id{i % 2000:05d}/{i:06d}clip/{i % 97:05d}/real.mp4",
                "split": "val",
                "modify_type": "both_modified" if forged else "real",
                "audio_model": "yourtts" if forged else None,
                "fake_segments": spans,
                "audio_fake_segments": spans,
                "visual_fake_segments": spans,
                "video_frames": 240,
                "audio_frames": 153600,
            }
            truth.append(json.dumps(entry))
            values = np.round(generator.random((N_PROPOSALS, 3)), 4)
            scores = -np.sort(-values[:, 0])
            begins = np.round(values[:, 1] * 9, 2)
            ends = np.round(begins + values[:, 2] * 2, 2)
            table = [list(row) for row in zip(scores.tolist(), begins.tolist(), ends.tolist(), strict=True)]
            for k, (start, end) in enumerate(spans):
                table[k][1:] = [round(start + 0.01 * (i % 5), 2), round(end + 0.01 * (i % 7), 2)]
            rows.write(f"{',' if i else ''}{json.dumps(name)}: {json.dumps(table)}")
        rows.write("}")
    references.write_text(f"[{','.join(truth[i] for i in generator.permutation(n))}]")
    return predictions, references


def measure(predictions: Path, references: Path, protocol: str) -> dict:
    """Run the command line once: wall and CPU seconds, largest resident memory, and the figures."""
    command = [sys.executable, "-m", "avloc", "evaluate", str(predictions)]
    command += ["--references", str(references), "--protocol", protocol, "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"avloc evaluate ended with {process.returncode}")
    answer = json.loads(output)
    return {
        "protocol": protocol,
        "wall_s": round(wall, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_gb": round(used.ru_maxrss * 1024 / 1e9, 2),
        "n": answer["n"],
        "metrics": answer["metrics"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file; without it the result goes to stdout")
    parser.add_argument("--share", type=float, default=1.0, help="of the recordings")
    parser.add_argument("--protocol", nargs="+", default=["av1m"])
    parser.add_argument("--cold", action="store_true", help="do not compile the kernels before")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not arguments.cold:
            measure(*write_files(folder, 10, arguments.seed), arguments.protocol[0])
        predictions, references = write_files(folder, round(N_RECORDINGS * arguments.share), arguments.seed)
        size = predictions.stat().st_size
        results = [measure(predictions, references, protocol) for protocol in arguments.protocol]
    found = {
        "environment": environment(),
        "megabytes": round(size / 1e6, 1),
        "n_proposals": N_PROPOSALS,
        "results": results,
    }
    text = json.dumps(found, indent=1)
    if arguments.out is None:
        sys.stdout.write(text + "\n")
    else:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
