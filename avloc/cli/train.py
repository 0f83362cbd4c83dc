"""``avloc train``: train a network."""

import ast
from collections.abc import Mapping
from typing import Any

import click

from avloc.cli.main import configure_logging
from avloc.cli.options import read_encoders


@click.command()
@click.argument("config")
@click.option(
    "--media",
    multiple=True,
    metavar="MANIFEST",
    help="manifest.json of genuine media; may be given several times.",
)
@click.option("--pack", metavar="FILE", help="What tools/pack_training.py wrote, in place of --media.")
@click.option("--features", metavar="DIR", help="What avloc extract wrote, for networks that learn from it.")
@click.option("--data", metavar="DATASET", help="Data set of --features, named as for avloc extract.")
@click.option("--root", metavar="PATH", help="Folder of --data, as for avloc extract.")
@click.option(
    "--encoders", metavar="audio=NAME,visual=NAME", help="Which of the encoders that --features holds."
)
@click.option(
    "--run", multiple=True, metavar="NAME", help="Which folder in runs, once a split, where settings differ."
)
@click.option("--work-dir", required=True, metavar="DIR", help="Checkpoints, logs, caches and the weights.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override, as train.iterations=100."
)
@click.option(
    "--recogniser",
    metavar="FILE|NAME",
    help="Published or imported Whisper weights that the audio stem starts from.",
)
@click.option("--init", metavar="FILE", help="Weights to start from, a name or a file.")
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint of --work-dir.")
@click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, or a GPU if there is one."
)
@click.option("--minutes", type=float, help="Length of the round in place of train.iterations.")
@click.option("--plain", is_flag=True, help="Train with the loop that needs no mmengine.")
def train(
    config: str,
    media: tuple[str, ...],
    pack: str | None,
    features: str | None,
    data: str | None,
    root: str | None,
    encoders: str | None,
    run: tuple[str, ...],
    work_dir: str,
    settings: tuple[str, ...],
    recogniser: str | None,
    init: str | None,
    resume: bool,
    device: str,
    minutes: float | None,
    plain: bool,
) -> None:
    """Train the network of CONFIG, a name such as "default" or a file, and write its weights."""
    if [bool(media), bool(pack), bool(features)].count(True) != 1:
        raise click.UsageError(
            "give the recordings: either --media, once or several times, or --pack, or --features"
        )
    configure_logging(verbose=1)
    common = {
        "work_dir": work_dir,
        "overrides": dict(read_setting(setting) for setting in settings),
        "resume": resume,
        "device": device,
        "plain": plain,
    }
    if features:
        _refuse({"--recogniser": recogniser, "--minutes": minutes}, beside="--features")
        if data is None:
            raise click.UsageError("--features needs --data, the data set that they are of")
        from avloc.training.published_runner import train_published
        from avloc.training.published_source import FeatureFolder

        names = None if encoders is None else read_encoders(encoders)
        source = FeatureFolder(features, data, root, names, run)
        weights = train_published(config, source, init=init, **common)
    else:
        others = {"--data": data, "--root": root, "--encoders": encoders, "--run": run or None}
        _refuse(others, beside="--pack" if pack else "--media")
        from avloc.training.runner import train as train_network

        given = {"media": media, "pack": pack, "recogniser": recogniser, "init": init, "minutes": minutes}
        weights = train_network(config, **given, **common)
    click.echo(weights)


def _refuse(options: Mapping[str, object], *, beside: str) -> None:
    if given := [name for name, value in options.items() if value is not None]:
        raise click.UsageError(f"{given[0]} says nothing beside {beside}; leave it out")


def read_setting(text: str) -> tuple[str, Any]:
    """Split ``KEY=VALUE``; the value is a Python literal, or the text itself where it is none.

    Examples
    --------
    >>> read_setting("train.iterations=100"), read_setting("train.name=tiny")
    (('train.iterations', 100), ('train.name', 'tiny'))
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.UsageError(f"--set needs KEY=VALUE, got {text!r}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value
