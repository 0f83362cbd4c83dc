"""``avloc probe``: what of a recording would be analysed."""

import os
import sys
from dataclasses import replace
from typing import Any

import click

from avloc.cli.main import FAILED, configure_logging
from avloc.cli.options import input_format, read_limits, verbosity
from avloc.cli.standard_input import check_stdin, opened_path
from avloc.errors import MediaError
from avloc.report.reasons import explain
from avloc.report.schema import canonical, recording_to_dict
from avloc.report.tables import printable
from avloc.structures import ERROR_REASONS, RawFormat, Reason, Recording, Status

SCHEMA = "avloc.probe/1"


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--format", "format_", type=click.Choice(["text", "json"]), help="Default: text on a terminal, else json."
)
@click.option(
    "--limit", "limits", multiple=True, metavar="NAME=VALUE", help="Change a cap on what is opened."
)
@input_format
@verbosity
def probe(
    paths: tuple[str, ...],
    format_: str | None,
    limits: tuple[str, ...],
    input_format: RawFormat | None,
    quiet: bool,
    verbose: int,
) -> None:
    """Show the streams of each PATH and which of them would be analysed. Nothing is decoded. - is stdin."""
    configure_logging(verbose=verbose, quiet=quiet)
    check_stdin(paths)
    settings = read_limits(limits)
    documents = [describe(path, settings, input_format) for path in paths]
    if (format_ or ("text" if sys.stdout.isatty() else "json")) == "json":
        single = len(paths) == 1 and not os.path.isdir(paths[0])
        click.echo(canonical(documents[0] if single else documents))
    else:
        click.echo("\n\n".join(_text(document) for document in documents))
    failed = any(document["status"] != "readable" for document in documents)
    click.get_current_context().exit(FAILED if failed else 0)


def open_recording(path: str, limits: Any, input_format: RawFormat | None) -> Recording:
    """Open the file; apart, so that a caller can put another opener in its place."""
    from avloc.media.probe import open_recording as open_

    return open_(path, limits=limits, input_format=input_format)


def describe(path: str, limits: Any, input_format: RawFormat | None = None) -> dict[str, Any]:
    """Describe one file as plain values, or say with a reason why it cannot be opened."""
    try:
        with opened_path(path, limits) as opened:
            recording = replace(open_recording(opened, limits, input_format), id=path, path=path)
    except MediaError as error:
        recording = Recording(
            path, path, sha256=None, n_bytes=None, container=None, start=None, duration=None
        )
        reason = Reason(error.reason)
        status = Status.ERROR if reason in ERROR_REASONS else Status.NOT_ANALYSABLE
        return _document(recording, str(status), reasons=[str(reason)], message=error.message)
    return _document(recording, "readable", reasons=[], message="; ".join(recording.notes) or None)


def _document(
    recording: Recording, status: str, *, reasons: list[str], message: str | None
) -> dict[str, Any]:
    duration = recording.duration
    return {
        "schema": SCHEMA,
        "status": status,
        "reasons": reasons,
        "warnings": [str(reason) for reason in recording.warnings],
        "message": message,
        "duration_s": None if duration is None else round(duration, 6),
        "input": recording_to_dict(recording),
    }


def _text(document: dict[str, Any]) -> str:
    source = document["input"]
    lines = [printable(source["id"])]
    if document["status"] != "readable":
        lines += [f"  {'status':<9} {document['status'].replace('_', ' ')}"]
        lines += [f"  {'message':<9} {printable(document['message'])}"]
    else:
        size = f"{source['container']}, {source['bytes']} bytes"
        length = "length unknown" if document["duration_s"] is None else f"{document['duration_s']:.3f} s"
        lines += [f"  {'file':<9} {printable(size)}, {length}", f"  {'sha256':<9} {source['sha256']}"]
        lines += [f"  {'stream':<9} {_stream(stream)}" for stream in source["streams"]]
    for title in ("reasons", "warnings"):
        lines += [f"  {title[:-1]:<9} {code}: {explain(code).meaning}" for code in document[title]]
    return "\n".join(lines)


def _stream(stream: dict[str, Any]) -> str:
    if stream["kind"] == "audio":
        what = f"{stream['sample_rate']} Hz, {stream['channels']} channel{'s' * (stream['channels'] != 1)}"
    else:
        rate = "rate unknown" if stream["frame_rate"] is None else f"{stream['frame_rate']} frames a second"
        what = f"{stream['width']}x{stream['height']}, {rate}" + (
            ", variable" if stream["variable_rate"] else ""
        )
    use = "analysed" if stream["used"] else "not analysed"
    text = (
        f"{stream['index']} {stream['kind']} {stream['codec']}, {what}, from {stream['start_s']:.3f} s: {use}"
    )
    return printable(text)
