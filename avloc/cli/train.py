"""``avloc train``: train a network."""

import ast
from typing import Any

import click

from avloc.cli.main import configure_logging


@click.command()
@click.argument("config")
@click.option(
    "--media",
    multiple=True,
    metavar="MANIFEST",
    help="manifest.json of genuine media; may be given several times.",
)
@click.option("--pack", metavar="FILE", help="What tools/pack_training.py wrote, in place of --media.")
@click.option("--work-dir", required=True, metavar="DIR", help="Checkpoints, logs, caches and the weights.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override, as train.iterations=100."
)
@click.option(
    "--recogniser",
    metavar="FILE|NAME",
    help="Published or imported Whisper weights that the audio stem starts from.",
)
@click.option("--init", metavar="FILE", help="Weights of avloc to start from.")
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
    if bool(media) == bool(pack):
        raise click.UsageError("give the recordings: either --media, once or several times, or --pack")
    configure_logging(verbose=1)
    overrides = dict(read_setting(setting) for setting in settings)
    from avloc.training.runner import train as train_network

    weights = train_network(
        config,
        media=media,
        pack=pack,
        work_dir=work_dir,
        overrides=overrides,
        recogniser=recogniser,
        init=init,
        resume=resume,
        device=device,
        minutes=minutes,
        plain=plain,
    )
    click.echo(weights)


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
