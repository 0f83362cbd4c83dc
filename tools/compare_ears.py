"""Train the same network behind different ears, and measure all of them on the same recordings.

python tools/compare_ears.py --data corpus/manifest.json --data media/manifest.json --work-dir WORK \
    --recogniser tiny=TINY/model.bin --recogniser base=BASE/model.bin --iterations 400 \
    --out benchmarks/results/ears.json

Arms (``ARMS``): a recogniser as it was published, with its last block or all blocks trained further, with
and without the log spectra beside it, without the losses of frames inside and at the edges of a forged span;
log spectra alone; two sizes of the recogniser. All hear the same examples in the same order, from new heads,
sound alone, for as many updates. Development items are those of ``avloc synth``, wide-band and telephone;
figures are those of ``benchmarks/accuracy.py`` with intervals over speakers, and ``cost`` is the time of the
audio encoder on one thread over the time of the sound. Arms named by ``--repeat`` are trained with as many
seeds as ``--seeds`` says, all others once. Steps are done once; a stopped run goes on.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from steps import Step, quote, run_all, train_command

from avloc.features.prepare import prepare
from avloc.models.weights.store import load_weights

TINY = {"width": 384, "n_heads": 6, "n_layers": 3}
BASE = {"width": 512, "n_heads": 8}
FROZEN, LAST, ALL = (("train.trainable_layers", n) for n in (0, 1, 9))
NO_SPECTRA = {"spectral_channels": 0}
SPECTRA = {"type": "SpectralEncoder", "channels": 128, "spectrum": "log_spectrum"}
NO_FRAMES = (("train.losses.inside", 0.0), ("train.losses.boundary", 0.0))
# Recogniser, what differs in the ear from the default one, and settings of the training.
ARMS: dict[str, tuple[str | None, dict, tuple]] = {
    "spectra": (None, SPECTRA, ()),
    "tiny_frozen": ("tiny", TINY | NO_SPECTRA, (FROZEN,)),
    "tiny_all": ("tiny", TINY | NO_SPECTRA, (ALL,)),
    "tiny_frozen_spectra": ("tiny", TINY, (FROZEN,)),
    "tiny_last_spectra": ("tiny", TINY, (LAST,)),
    "tiny_all_spectra": ("tiny", TINY, (ALL,)),
    "tiny_all_spectra_no_frame_losses": ("tiny", TINY, (ALL, *NO_FRAMES)),
    "base2_frozen_spectra": ("base", BASE | {"n_layers": 2}, (FROZEN,)),
    "base2_all_spectra": ("base", BASE | {"n_layers": 2}, (ALL,)),
    "base4_frozen_spectra": ("base", BASE | {"n_layers": 4}, (FROZEN,)),
}
ITEMS = {
    "wide": ("--use", "dev", "--condition", "wide", "--n", "200", "--seed", "21"),
    "telephone": ("--use", "dev", "--condition", "telephone", "--n", "150", "--seed", "22"),
}
COSTED_S = 25.6


def plan(options: argparse.Namespace) -> Iterator[Step]:
    """List the commands in order: items, then training and figures of each arm and seed."""
    work = Path(options.work_dir)
    media = [word for name in options.data for word in ("--media", name)]
    for name, recipe in ITEMS.items():
        folder = work / "items" / name
        command = ("avloc", "synth", str(folder), *recipe, *media, "--cache", str(work / "cache"))
        yield Step("items", command, folder / "manifest.jsonl")
    for arm, seed in runs(options):
        weights = weights_of(work, arm, seed)
        yield Step("train", training(options, arm, seed, weights.parent), weights)
        for name in ITEMS:
            out = figures_of(work, arm, seed, name)
            where = ("--items", str(work / "items" / name), "--weights", str(weights), "--out", str(out))
            yield Step("figures", ("python", "benchmarks/accuracy.py", *where, "--bootstrap", "200"), out)


def runs(options: argparse.Namespace) -> list[tuple[str, int]]:
    """List arms and seeds: every arm once, then those to repeat."""
    first = [(arm, options.seed) for arm in options.arm]
    return first + [
        (arm, options.seed + k)
        for k in range(1, options.seeds)
        for arm in options.arm
        if arm in options.repeat
    ]


def training(options: argparse.Namespace, arm: str, seed: int, folder: Path) -> tuple[str, ...]:
    """Give the words that train an arm."""
    recogniser, ear, chosen = ARMS[arm]
    told = argparse.Namespace(
        config="default", data=options.data, recogniser=options.recogniser.get(recogniser)
    )
    values = {
        **({"model.audio_encoder": ear} if "type" in ear else {}),
        **({} if "type" in ear else {f"model.audio_encoder.{key}": value for key, value in ear.items()}),
        **{"model.visual_encoder": None, "train.picture_share": 0.0, "train.telephone_share": 0.35},
        **{"train.iterations": options.iterations, "train.warmup": max(1, options.iterations // 10)},
        **{"train.seed": seed, "train.evaluate_every": options.iterations, "train.development_items": 64},
        **dict(chosen),
    }
    settings = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    return (*train_command(told, folder), *settings)


def weights_of(work: Path, arm: str, seed: int) -> Path:
    return work / "runs" / f"{arm}-{seed}" / "weights.safetensors"


def figures_of(work: Path, arm: str, seed: int, items: str) -> Path:
    return work / "figures" / f"{arm}-{seed}-{items}.json"


def collect(options: argparse.Namespace) -> dict[str, dict]:
    """Give what each seed of an arm reached, with intervals, the mean over seeds, and the cost."""
    work, arms = Path(options.work_dir), {}
    for arm in options.arm:
        seeds = [seed for name, seed in runs(options) if name == arm]
        network, _, _ = load_weights(weights_of(work, arm, seeds[0]))
        arms[arm] = {"seeds": seeds, "cost": round(cost(network), 4)}
        for items in ITEMS:
            found = [quote(figures_of(work, arm, seed, items))["all"] for seed in seeds]
            names = [name for name, value in found[0].items() if isinstance(value, float)]
            mean = {name: round(float(np.mean([one[name] for one in found])), 4) for name in names}
            arms[arm][items] = {"mean": mean, "by_seed": found}
    return arms


def cost(network: torch.nn.Module) -> float:
    """Time of the audio encoder on one thread over the time of the sound: the least of five."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    n_frames = int(COSTED_S * 25)
    waveform, mask = torch.zeros(1, n_frames * 640), torch.ones(1, n_frames, dtype=torch.bool)
    waveform += 0.1 * torch.randn(waveform.shape, generator=torch.Generator().manual_seed(0))
    took = []
    with torch.inference_mode():
        audio = prepare(network.inputs["audio"], waveform=waveform, audio_mask=mask)
        for _ in range(5):
            began = time.process_time()
            network.audio_encoder(audio, mask)
            took.append(time.process_time() - began)
    torch.set_num_threads(threads)
    return min(took) / COSTED_S


def show(arms: Mapping[str, dict]) -> None:
    """Print a line an arm and condition."""
    for items in ITEMS:
        print(f"\n{items}")
        for arm, told in arms.items():
            mean = told[items]["mean"]
            cells = [f"{name} {value:.3f}" for name, value in mean.items()]
            print(f"  {arm:<34}{len(told['seeds'])} seeds  cost {told['cost']:.4f}  ", "  ".join(cells))


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; paths become absolute, because commands run in the root of the checkout."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", action="append", required=True, metavar="MANIFEST")
    parser.add_argument("--work-dir", required=True)
    parser.add_argument("--out", required=True, metavar="FILE", type=Path)
    parser.add_argument("--recogniser", action="append", default=[], metavar="SIZE=FILE")
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--arm", choices=ARMS, action="append", help="all without it")
    parser.add_argument("--repeat", choices=ARMS, action="append", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args(arguments)
    options.arm = list(options.arm or ARMS)
    given = [item.partition("=") for item in options.recogniser]
    options.recogniser = {size: str(Path(file).resolve()) for size, _, file in given}
    lacking = sorted({ARMS[arm][0] for arm in options.arm} - {None, *options.recogniser})
    if lacking:
        parser.error(f"--recogniser SIZE=FILE is needed for {', '.join(lacking)}; or choose with --arm")
    options.work_dir = str(Path(options.work_dir).resolve())
    options.data = [str(Path(name).resolve()) for name in options.data]
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = read_options(arguments)
    run_all(plan(options), Path(options.work_dir), dry_run=options.dry_run)
    if options.dry_run:
        return
    from environment import environment

    arms = collect(options)
    show(arms)
    settings = {arm: {"recogniser": r, "ear": ear, "training": dict(c)} for arm, (r, ear, c) in ARMS.items()}
    written = {
        "environment": environment(),
        "iterations": options.iterations,
        "items": {name: " ".join(recipe) for name, recipe in ITEMS.items()},
        "settings": {arm: settings[arm] for arm in options.arm},
        "arms": arms,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(written, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
