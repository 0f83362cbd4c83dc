"""Train, measure and package weights with one command; every step is done once, and a stopped run goes on.

python tools/train_default.py --data corpus/manifest.json --data media/manifest.json --work-dir WORK \
    --init default --minutes 50 --version 4 --out default.safetensors

The steps, each a command of its own that is printed before it runs:

1. ``train``: one round, from ``--init`` (a name or file of avloc's weights) or from nothing but Whisper's
   published encoder (``--recogniser``). It takes ``--iterations`` updates or ``--minutes``, and goes on from
   its newest checkpoint where it was stopped. ``--pack`` reads a file of ``tools/pack_training.py``: on a
   machine without recordings, with ``--only train``; the other steps follow where recordings are, with the
   work folder that came back.
2. ``items``: recordings with exact truth, the same for every run: of development identities wide-band,
   telephone, clean and video, and made by implementations that training never draws; of test identities with
   generators that training never heard.
3. ``figures``: accuracy on each of them, and synchrony, of the trained weights; no video and no synchrony for
   a network that only hears.
4. ``card``: thresholds, figures and limits into the weights, which are then written to ``--out``.

The next round starts from the last one's weights with another ``--work-dir`` and ``--seed``. ``--set`` is
handed to ``avloc train``; ``--only STEP`` does one step, ``--dry-run`` prints the commands and runs nothing.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from steps import Step, has_recogniser, run, settings, train_command

from avloc.config import load_config

ITEMS = {  # the name of what the card tells of them, and how they are made
    "wide": ("audio_wide", "--use dev --condition wide --n 400 --seed 7"),
    "telephone": ("audio_telephone", "--use dev --condition telephone --n 300 --seed 8"),
    "clean": ("clean", "--use dev --condition clean --n 300 --seed 19"),
    "video": ("audio_visual", "--use held_out --any-licence --video --n 78 --seed 9"),
    "held_back": ("held_back", "--use dev --condition wide --implementations held_back --n 300 --seed 17"),
    "generators": (
        "generators",
        "--use test --condition wide --families insert_tts,neural_pair --n 200 --seed 18",
    ),
}
STEPS = ("train", "items", "figures", "card")


def plan(options: argparse.Namespace) -> Iterator[Step]:
    """List the commands of a run in order."""
    work, media = Path(options.work_dir), [word for name in options.data for word in ("--media", name)]
    sees = load_config(options.config)["model"]["visual_encoder"] is not None
    items = {name: made for name, made in ITEMS.items() if sees or name != "video"}
    weights = work / "train" / "weights.safetensors"
    yield Step(
        "train", (*train_command(options, work / "train"), *settings(options.iterations, options)), weights
    )
    for name, (_, recipe) in items.items():
        folder = work / "items" / name
        cache = ("--cache", str(work / "cache"))
        command = ("avloc", "synth", str(folder), *recipe.split(), *media, *cache)
        yield Step("items", command, folder / "manifest.jsonl")
    for name in items:
        out = work / f"accuracy_{name}.json"
        where = ("--items", str(work / "items" / name), "--weights", str(weights), "--out", str(out))
        yield Step("figures", ("python", "benchmarks/accuracy.py", *where, "--bootstrap", "200"), out)
    out = work / "sync.json"
    where = ("--weights", str(weights), "--cache", str(work / "cache"), "--out", str(out))
    if sees:
        yield Step("figures", ("python", "benchmarks/sync.py", *media, *where), out)
    results = [f"{told}={work / f'accuracy_{name}.json'}" for name, (told, _) in items.items()]
    yield Step(
        "card",
        (
            *("python", "tools/write_card.py", "--weights", str(weights), *media),
            *(word for result in results for word in ("--result", result)),
            *(("--sync", str(out)) if sees else ()),
            *("--name", options.config, "--version", options.version),
            *(("--init", options.init) if options.init else ()),
            *(word for told in recipe_of(options) for word in ("--command", told)),
            *("--out", options.out),
        ),
        Path(options.out),
    )


def recipe_of(options: argparse.Namespace) -> list[str]:
    """Say how the weights were made: the earlier rounds as given, and this one without its folders."""
    told = argparse.Namespace(**vars(options))
    told.data = ["/".join(Path(name).parts[-2:]) for name in options.data]
    for name in ("init", "recogniser", "pack"):
        given = getattr(options, name)
        setattr(told, name, given and Path(given).name)
    this = shlex.join((*train_command(told, Path("WORK")), *settings(told.iterations, told)))
    return [*options.command, this]


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; paths become absolute, because commands run in the root of the checkout."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", action="append", required=True, metavar="MANIFEST")
    parser.add_argument("--work-dir", required=True)
    parser.add_argument("--out", required=True, metavar="FILE")
    parser.add_argument("--config", default="default")
    parser.add_argument("--init", metavar="NAME|FILE")
    parser.add_argument("--recogniser", metavar="FILE")
    parser.add_argument("--pack", metavar="FILE", help="train from this; --data is for the other steps")
    parser.add_argument("--device")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float)
    length.add_argument("--iterations", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--version", required=True)
    parser.add_argument("--command", action="append", default=[], help="how --init was made; for the card")
    parser.add_argument("--only", choices=STEPS)
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args(arguments)
    if has_recogniser(options.config) and not (options.init or options.recogniser or options.pack):
        parser.error("start from weights (--init) or from Whisper's published encoder (--recogniser)")
    options.data = [str(Path(name).resolve()) for name in options.data]
    options.work_dir, options.out = (str(Path(p).resolve()) for p in (options.work_dir, options.out))
    for name in ("recogniser", "pack"):
        if getattr(options, name):
            setattr(options, name, str(Path(getattr(options, name)).resolve()))
    if options.init and Path(options.init).suffix:
        options.init = str(Path(options.init).resolve())
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = read_options(arguments)
    if not options.dry_run:
        Path(options.work_dir).mkdir(parents=True, exist_ok=True)
    for step in plan(options):
        if options.only in (None, step.name):
            print(step) if options.dry_run else run(step)


if __name__ == "__main__":
    main()
