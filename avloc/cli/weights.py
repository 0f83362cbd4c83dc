"""``avloc weights``: what weights say about themselves, and whether they compute what was published."""

import re
import sys
from dataclasses import asdict
from math import isfinite

import click

from avloc.cli.main import FAILED
from avloc.cli.options import read_encoders, read_pairs
from avloc.report.schema import canonical

NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


def _format_option(command: click.Command) -> click.Command:
    return click.option(
        "--format",
        "format_",
        type=click.Choice(["text", "json"]),
        help="Default: text on a terminal, else json.",
    )(command)


def _as_json(format_: str | None) -> bool:
    return format_ == "json" or (format_ is None and not sys.stdout.isatty())


@click.group()
def weights() -> None:
    """Show the card of weights and what they were trained on; compare networks with published ones."""


@weights.command()
@click.argument("name", metavar="NAME|PATH", default="default")
@_format_option
def card(name: str, format_: str | None) -> None:
    """Print the card of NAME: data, licences, figures, thresholds, limits, commands.

    The ids of the recordings that the weights were trained on are in the json form.
    """
    from avloc.models.weights.locate import find_weights
    from avloc.models.weights.store import load_weights

    _, found, sha256 = load_weights(find_weights(name))
    as_json = _as_json(format_)
    click.echo(canonical({**found.to_dict(), "sha256": sha256}) if as_json else found.as_text(), nl=as_json)


@weights.command("trained-on")
@click.argument("name", metavar="NAME|PATH", default="default")
@click.option(
    "--media",
    multiple=True,
    required=True,
    metavar="MANIFEST",
    help="manifest.json of recordings and their uses; may be given several times.",
)
@_format_option
def trained_on(name: str, media: tuple[str, ...], format_: str | None) -> None:
    """Show that the weights NAME were trained on no recording, and no speaker, of use dev or test.

    Exit code 3 if they were, or if the manifests hold none of their recordings, so that nothing is shown.
    """
    from avloc.datasets.training_list import check_training_list
    from avloc.errors import CheckpointError
    from avloc.models.weights.locate import find_weights
    from avloc.models.weights.store import read_header

    _, found = read_header(find_weights(name))
    if not found.recordings:
        raise CheckpointError(
            f"{name!r}: its card lists no recordings, as older cards do not, so "
            "nothing can be checked; weights whose card tools/write_card.py writes have a list"
        )
    check = check_training_list(found.recordings, media)
    click.echo(canonical(check.to_dict()) if _as_json(format_) else str(check))
    if not check.is_clean:
        click.get_current_context().exit(FAILED)


@weights.command("import")
@click.argument("file", metavar="FILE")
@click.option("--as", "name", required=True, metavar="NAME", help="What --weights calls it from then on.")
@click.option(
    "--encoders",
    metavar="audio=NAME,visual=NAME",
    help="Imported encoders that the network reads; 'none': saved features only.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="What the file does not tell, such as n_heads=2 or pairs=av,va; may be given several times.",
)
@_format_option
def import_(
    file: str, name: str, encoders: str | None, settings: tuple[str, ...], format_: str | None
) -> None:
    """Convert the public checkpoint FILE to weights of avloc, and print its card.

    Checkpoints of Auto-AVSR, AV-HuBERT, Whisper, DiMoDif and AuViRe are read; nothing in them is run.
    """
    from avloc.models.weights.importing import import_weights

    path, card = import_weights(
        file,
        name,
        encoders=None if encoders is None else read_encoders(encoders),
        settings={key: read_plain(value) for key, value in read_pairs("--set", settings).items()},
    )
    as_json = _as_json(format_)
    click.echo(canonical({**card.to_dict(), "path": str(path)}) if as_json else card.as_text(), nl=as_json)


def read_plain(text: str) -> bool | int | float | str | list:
    """Read a number, true or false, a word, or several of these with commas between them.

    Examples
    --------
    >>> [read_plain(text) for text in ("2", "0.5", "true", "av,va", "nan")]
    [2, 0.5, True, ['av', 'va'], 'nan']
    """
    if "," in text:
        return [read_plain(part) for part in text.split(",")]
    if text in ("true", "false"):
        return text == "true"
    if NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text


@weights.command()
@click.argument("fixtures", nargs=-1, required=True, metavar="FIXTURE.json...")
@_format_option
def parity(fixtures: tuple[str, ...], format_: str | None) -> None:
    """Run public networks with pseudo-random weights and compare them with what the authors' code answered.

    The .npz of each FIXTURE is read from beside it. Prints the largest error of every output; exit code 3 if
    one is outside its tolerance.
    """
    from avloc.studies.parity.run import largest_by_output, run_fixture

    found = {fixture: run_fixture(fixture) for fixture in fixtures}
    if _as_json(format_):
        rows = [
            {**asdict(row), "error": row.error if row.passes or isfinite(row.error) else None}
            | {"passes": row.passes, "file": fixture}
            for fixture, rows in found.items()
            for row in rows
        ]
        click.echo(canonical(rows))
    else:
        for rows in found.values():
            for row in largest_by_output(rows):
                told = "ok" if row.passes else "OUTSIDE"
                click.echo(
                    f"{row.fixture:<28} {row.output:<26} {row.error:9.2e}  allowed {row.allowed:8.1e}  "
                    f"{told:<8} case {row.case}"
                )
    if not all(row.passes for rows in found.values() for row in rows):
        click.get_current_context().exit(FAILED)
