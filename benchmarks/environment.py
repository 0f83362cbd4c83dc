"""Header of every benchmark result: what ran where, and the command that repeats it."""

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch

import avloc
from avloc.models.weights.store import load_weights
from avloc.ops import kernels

ROOT = Path(__file__).resolve().parents[1]


def environment() -> dict:
    """Return CPU, cores, GPU, versions, commit, time and command as plain values; unknown ones are None."""
    return {
        "command": shlex.join(["python", *_relative_arguments()]),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "avloc": avloc.__version__,
        "kernels": kernels(),
    }


def parameters_sha256(weights: str | os.PathLike) -> str:
    """Digest of the numbers of a weights file, which its card does not change."""
    network, _, _ = load_weights(weights)
    digest = hashlib.sha256()
    for name, values in sorted(network.state_dict().items()):
        digest.update(name.encode() + values.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _relative_arguments() -> list[str]:
    """Arguments of this process, the script by its path inside the repository."""
    script = Path(sys.argv[0]).resolve()
    name = script.relative_to(ROOT).as_posix() if script.is_relative_to(ROOT) else script.name
    return [name, *(shown(argument) for argument in sys.argv[1:])]


def shown(argument: str) -> str:
    """Shorten an absolute path to its last two parts: where a file lay says nothing to a reader."""
    path = Path(argument)
    return Path(*path.parts[-2:]).as_posix() if path.is_absolute() and len(path.parts) > 2 else argument


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
