"""Train without a family of forgeries and measure on it: what is found of a manipulation never seen.

python tools/leave_one_out.py --data corpus/manifest.json --data media/manifest.json --work-dir WORK \
    --recogniser model.bin --iterations 2400 --family neural_pair --group resynthesis \
    --out benchmarks/results/leave_one_out.json

A configuration whose audio encoder has no recogniser starts from nothing.
One round is trained with everything and one without each family or group, all alike but for that. Each
is asked about development items of the family, made as training makes them and by the implementations that
are held back; genuine ones are the negatives. Beside the figures stand the families that the training really
drew, counted from its batches (``families.json``).

With ``--init`` a round begins from weights that may have been trained on the family: then a figure says what
is left after this round without it, not what is found unseen, and the result says so. Steps are done once; a
stopped run goes on. ``--dry-run`` prints the commands.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from steps import FIGURES, Step, has_recogniser, quote, run_all, settings, train_command

from avloc.config import load_config
from avloc.errors import AvlocError

GROUPS = {
    "resynthesis": (
        "vocoder_griffin_lim",
        "vocoder_source_filter",
        "pitch_shift",
        "time_stretch",
        "formant_shift",
    )
}
SOUND_ITEMS = ("--use", "dev", "--condition", "wide")
PICTURE_ITEMS = ("--use", "held_out", "--any-licence", "--video")
ROUNDS = ("with", "without")


def plan(options: argparse.Namespace) -> Iterator[Step]:
    """List the commands in order: the round with everything, then each group's round, items and figures."""
    work = Path(options.work_dir)
    if options.with_weights is None:
        yield training(options, work / "with", ())
    for name, families in options.groups.items():
        yield training(options, work / "without" / name, families)
        for which in implementations(families):
            items = work / "items" / f"{name}-{which}"
            yield Step("items", synth_command(options, items, families, which), items / "manifest.jsonl")
            for trained in ROUNDS:
                out = figures_file(work, name, which, trained)
                weights = weights_of(options, name, trained)
                where = ("--items", str(items), "--weights", str(weights), "--out", str(out))
                bootstrap = ("--bootstrap", str(options.bootstrap))
                yield Step("figures", ("python", "benchmarks/accuracy.py", *where, *bootstrap), out)


def training(options: argparse.Namespace, folder: Path, left_out: Sequence[str]) -> Step:
    """Give the round without ``left_out``."""
    mixtures = load_config(options.config)["train"]
    zeros = [
        f"train.{mixture}.{family}=0"
        for mixture in ("sound", "picture")
        for family in left_out
        if family in mixtures[mixture]
    ]
    chosen = argparse.Namespace(**{**vars(options), "set": [*options.set, *zeros]})
    command = (*train_command(options, folder), *settings(options.iterations, chosen))
    return Step("train", command, folder / "weights.safetensors")


def implementations(families: Sequence[str]) -> tuple[str, ...]:
    """Name the implementations of which all ``families`` have one."""
    from avloc.synth.held_back import HELD_BACK_FAMILIES

    return ("training", "held_back") if set(families) <= set(HELD_BACK_FAMILIES) else ("training",)


def synth_command(
    options: argparse.Namespace, folder: Path, families: Sequence[str], which: str
) -> tuple[str, ...]:
    """Give the words of ``avloc synth`` for development items of ``families``."""
    heard = set(families) <= set(load_config(options.config)["train"]["sound"])
    media = [word for name in options.data for word in ("--media", name)]
    return (
        *("avloc", "synth", str(folder), *(SOUND_ITEMS if heard else PICTURE_ITEMS)),
        *("--families", ",".join(families), "--implementations", which),
        *("--n", str(options.n_items), "--seed", "11", *media),
        *("--cache", str(Path(options.work_dir) / "cache")),
    )


def figures_file(work: Path, group: str, which: str, trained: str) -> Path:
    """Where the figures of a group stand."""
    return work / "figures" / f"{group}-{which}-{trained}.json"


def weights_of(options: argparse.Namespace, group: str, trained: str) -> Path:
    """Weights of the round with everything, or without ``group``."""
    if trained == "with" and options.with_weights is not None:
        return Path(options.with_weights)
    folder = Path(options.work_dir) / ("with" if trained == "with" else f"without/{group}")
    return folder / "weights.safetensors"


def collect(options: argparse.Namespace) -> dict:
    """Put counts and figures of every group together."""
    groups = {}
    for name, families in options.groups.items():
        drawn = {trained: drawn_families(weights_of(options, name, trained)) for trained in ROUNDS}
        groups[name] = {
            "families": list(families),
            "drawn": drawn,
            "n_drawn_without": sum(drawn["without"]["families"].get(family, 0) for family in families),
            "figures": {
                which: {
                    trained: quote(figures_file(Path(options.work_dir), name, which, trained))
                    for trained in ROUNDS
                }
                for which in implementations(families)
            },
        }
    return groups


def drawn_families(weights: Path) -> dict | None:
    """Read what a round was trained on; None for weights without such a file beside them."""
    path = weights.parent / "families.json"
    return json.loads(path.read_text()) if path.is_file() else None


def show(groups: Mapping[str, dict]) -> None:
    """Print the counts, then a line a family and round."""
    for name, group in groups.items():
        print(f"\n{name}: {', '.join(group['families'])}")
        for trained, counts in group["drawn"].items():
            told = "no families.json beside the weights" if counts is None else counts["families"]
            print(f"  drawn {trained}: {told}")
        for which, rounds in group["figures"].items():
            for family in rounds["with"]:
                for trained, figures in rounds.items():
                    cells = [_cell(figures[family], figure) for figure in FIGURES]
                    start = f"  {which:<10}{family:<24}{trained:<9}n {figures[family]['n']:<5}"
                    print(start, *(f"{cell:<32}" for cell in cells))


def _cell(figures: Mapping, name: str) -> str:
    value, interval = figures[name], figures["intervals"][name]
    told = "-" if value is None else f"{value:.3f}"
    return f"{name} {told}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; paths become absolute, because commands run in the root of the checkout."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", action="append", required=True, metavar="MANIFEST")
    parser.add_argument("--work-dir", required=True)
    parser.add_argument("--out", required=True, metavar="FILE", type=Path)
    parser.add_argument("--config", default="default")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--init", metavar="NAME|FILE")
    start.add_argument("--recogniser", metavar="FILE")
    parser.add_argument("--with-weights", metavar="FILE", help="in place of a round with everything")
    parser.add_argument("--family", action="append", default=[], help="left out by itself")
    parser.add_argument(
        "--group", action="append", default=[], metavar="NAME[=A,B,...]", help=f"left out together: {GROUPS}"
    )
    parser.add_argument("--iterations", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--n-items", type=int, default=150)
    parser.add_argument("--bootstrap", type=int, default=200)
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args(arguments)
    if has_recogniser(options.config) and not (options.init or options.recogniser):
        parser.error("start from Whisper's published encoder (--recogniser) or from weights (--init)")
    options.groups = read_groups(parser, options)
    for name in ("work_dir", "recogniser", "with_weights"):
        if getattr(options, name):
            setattr(options, name, str(Path(getattr(options, name)).resolve()))
    if options.init and Path(options.init).suffix:
        options.init = str(Path(options.init).resolve())
    options.data = [str(Path(name).resolve()) for name in options.data]
    return options


def read_groups(parser: argparse.ArgumentParser, options: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    """Give the families of each name that is left out; a wrong one is wrong use."""
    groups = {name: (name,) for name in options.family}
    for given in options.group:
        name, _, listed = given.partition("=")
        if not listed and name not in GROUPS:
            parser.error(f"--group {name!r}: known are {sorted(GROUPS)}; else give {name}=FAMILY,FAMILY")
        groups[name] = tuple(listed.split(",")) if listed else GROUPS[name]
    if not groups:
        parser.error("name what is left out with --family or --group")
    mixtures = load_config(options.config)["train"]
    for name, families in groups.items():
        if not any(set(families) <= set(mixtures[mixture]) for mixture in ("sound", "picture")):
            known = sorted({*mixtures["sound"], *mixtures["picture"]})
            parser.error(f"{name}: {', '.join(families)} are not together in one mixture; known are {known}")
    return groups


def main(arguments: Sequence[str] | None = None) -> None:
    options = read_options(arguments)
    run_all(plan(options), Path(options.work_dir), dry_run=options.dry_run)
    if options.dry_run:
        return
    from environment import environment, shown

    groups = collect(options)
    show(groups)
    written = {
        "environment": environment(),
        "config": options.config,
        "began_from": {name: shown(getattr(options, name) or "") or None for name in ("init", "recogniser")},
        "never_seen": options.init is None,
        "iterations": options.iterations,
        "seed": options.seed,
        "bootstrap": {"n_replicates": options.bootstrap, "unit": "speaker"},
        "groups": groups,
    }
    if options.init is not None:
        print("the rounds began from weights that may know what was left out: not a figure of the unseen")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(written, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    try:
        main()
    except AvlocError as error:
        sys.exit(f"leave_one_out: {error}")
