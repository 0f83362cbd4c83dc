"""Steps of the tools that train and measure: one command each, done once, in the root of the checkout."""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avloc.config import load_config

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ("AP@0.5", "AP@0.75", "frame_AUC_inside", "frame_AUC_boundary", "AUC")


@dataclass(frozen=True, slots=True)
class Step:
    """One command: what it belongs to, its words, and the file that is there when it is done."""

    name: str
    command: tuple[str, ...]
    done: Path

    def __str__(self) -> str:
        return shlex.join(self.command)


def train_command(options: argparse.Namespace, folder: Path) -> tuple[str, ...]:
    """Give the words of ``avloc train`` but for its settings."""
    minutes = getattr(options, "minutes", None)
    given = {f"--{name}": getattr(options, name, None) for name in ("init", "recogniser", "pack", "device")}
    given["--minutes"] = f"{minutes:g}" if minutes else None
    start = [word for name, value in given.items() if value for word in (name, value)]
    media = [word for name in options.data if not given["--pack"] for word in ("--media", name)]
    return ("avloc", "train", options.config, *start, *media, "--work-dir", str(folder))


def has_recogniser(config: str) -> bool:
    """Whether the audio encoder of a configuration can start from Whisper's published one."""
    return "n_layers" in load_config(config)["model"]["audio_encoder"]


def settings(iterations: int | None, options: argparse.Namespace) -> tuple[str, ...]:
    """Give the ``--set`` options of a round; what was asked for comes last and so decides."""
    length = (f"train.iterations={iterations}",) if iterations else ()
    chosen = (*length, f"train.seed={options.seed}", *options.set)
    return tuple(word for setting in chosen for word in ("--set", setting))


def executable(command: Sequence[str]) -> list[str]:
    """Give a command as this interpreter runs it: ``avloc`` and ``python`` are its own."""
    first = {"avloc": [sys.executable, "-m", "avloc"], "python": [sys.executable]}[command[0]]
    return [*first, *command[1:]]


def run(step: Step) -> None:
    """Run a command unless its result is there; a round that was stopped goes on, items are made anew."""
    if step.done.exists():
        print(f"{step.name}: {step.done} is there", flush=True)
        return
    command = list(step.command)
    if step.name == "train" and list(step.done.parent.glob("iter_*.pth")):
        command.append("--resume")
    if step.name == "items" and step.done.parent.exists():  # without a manifest: it was stopped
        shutil.rmtree(step.done.parent)
    print(f"{step.name}: {shlex.join(command)}", flush=True)
    subprocess.run(executable(command), cwd=ROOT, check=True)


def run_all(steps: Iterable[Step], work: Path, *, dry_run: bool) -> None:
    """Run steps in order, rounds with the cache of all rounds; or print their commands."""
    for step in steps:
        if dry_run:
            print(step)
            continue
        if step.name == "train":
            share_cache(step, work)
        run(step)


def share_cache(step: Step, work: Path) -> None:
    """Let a round use the decoded media of all rounds."""
    own = step.done.parent / "cache"
    if not own.exists():
        (work / "cache").mkdir(parents=True, exist_ok=True)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.symlink_to(work / "cache", target_is_directory=True)


def quote(path: Path) -> dict:
    """Take of a result of accuracy.py what the table shows."""
    result = json.loads(path.read_text())
    return {
        family: {
            **{name: values[name] for name in ("n", "n_genuine", "n_identities")},
            **{figure: values[figure] for figure in FIGURES},
            "intervals": {name: (values["intervals"] or {}).get(name) for name in FIGURES},
        }
        for family, values in result["systems"]["avloc"]["figures"].items()
    }
