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
    required=True,
    metavar="MANIFEST",
    help="manifest.json of genuine media; may be given several times.",
)
@click.option("--work-dir", required=True, metavar="DIR", help="Checkpoints, logs, caches and the weights.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override, as train.iterations=100."
)
@click.option(
    "--recogniser", metavar="FILE", help="Published Whisper weights that the audio stem starts from."
)
@click.option("--init", metavar="FILE", help="Weights of avloc to start from.")
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint of --work-dir.")
def train(
    config: str,
    media: tuple[str, ...],
    work_dir: str,
    settings: tuple[str, ...],
    recogniser: str | None,
    init: str | None,
    resume: bool,
) -> None:
    """Train the network of CONFIG, a name such as "default" or a file, and write its weights."""
    configure_logging(verbose=1)
    overrides = dict(read_setting(setting) for setting in settings)
    from avloc.training.runner import train as train_network

    weights = train_network(
        config,
        media=media,
        work_dir=work_dir,
        overrides=overrides,
        recogniser=recogniser,
        init=init,
        resume=resume,
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
