"""``avloc schema``: the published description of the result document."""

import json

import click

from avloc.report.json_schema import json_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema (draft 2020-12) that every result document satisfies."""
    click.echo(json.dumps(json_schema(), indent=2))
