"""``avloc submit``: the files of the AV-Deepfake1M challenge."""

import json

import click

from avloc.cli.main import configure_logging
from avloc.cli.options import make_folder, verbosity


@click.command()
@click.argument("predictions")
@click.option("--out", required=True, metavar="DIR", help="Folder that gets the three files.")
@click.option("--files", metavar="FILE", help="List of the challenge, such as test_files.txt.")
@click.option("--scores", metavar="FILE", help="file;score lines in place of the scores of the predictions.")
@click.option("--skip-invalid", is_flag=True, help="Drop what does not fit, counted, instead of refusing it.")
@click.option("--json", "as_json", is_flag=True, help="Print files, count and warnings as JSON.")
@verbosity
def submit(
    predictions: str,
    out: str,
    files: str | None,
    scores: str | None,
    skip_invalid: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
) -> None:
    """Write prediction.json, prediction.txt and prediction.zip from PREDICTIONS, a file or a folder."""
    from avloc.studies.submission import submit as write_submission

    configure_logging(verbose=verbose, quiet=quiet)
    make_folder("--out", out)
    try:
        answer = write_submission(predictions, out, files=files, scores=scores, skip_invalid=skip_invalid)
    except OSError as error:
        raise click.UsageError(f"{error.filename or out}: {error.strerror or error}") from error
    if not quiet:
        for warning in answer["warnings"]:
            click.echo(f"avloc: {warning}", err=True)
    if as_json:
        click.echo(json.dumps(answer, allow_nan=False))
