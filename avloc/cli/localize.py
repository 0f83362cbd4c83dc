"""``avloc localize``: find the forged segments of recordings."""

import os
import sys
from collections.abc import Sequence
from typing import IO, Any

import click

from avloc.cli.main import configure_logging
from avloc.cli.options import (
    Device,
    Time,
    Unit,
    input_format,
    read_channels,
    read_limits,
    verbosity,
)
from avloc.cli.progress import Progress
from avloc.cli.run import Localize, run
from avloc.cli.standard_input import STDIN, check_stdin
from avloc.errors import AnnotationError
from avloc.media.listing import Input, list_inputs
from avloc.report.frames import FrameWriter
from avloc.report.writers import FORMATS, ReportWriter
from avloc.structures import RawFormat

WHOLE_FORMATS = ("json", "jsonl")  # which hold the whole result document


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option(
    "--files-from",
    metavar="FILE",
    help="Read more paths from a list: one a line, or CSV with a column path; - is stdin.",
)
@click.option("-r", "--recursive", is_flag=True, help="Walk folders.")
@click.option(
    "--format", "format_", type=click.Choice(list(FORMATS)), help="Default: text on a terminal, else json."
)
@click.option(
    "--output", metavar="FILE|DIR", help="Write there, not to stdout; a folder gets a file a recording."
)
@click.option(
    "--threshold",
    type=Unit(),
    help="Score from which a detection decides the verdict. Default: the weights'.",
)
@click.option(
    "--min-score", type=Unit(), help="Score from which detections are listed. Default: the threshold."
)
@click.option(
    "--max-segments", type=click.IntRange(min=1), help="Most of a recording and channel. Default: 100."
)
@click.option(
    "--all-proposals", type=click.IntRange(min=1), metavar="N", help="Add the N best before suppression."
)
@click.option("--curves", is_flag=True, help="Add the scores of every frame to the document.")
@click.option(
    "--frames",
    metavar="FILE|DIR",
    help="Write the scores of every frame to FILE.csv or FILE.npz, or into a folder, a CSV file a recording.",
)
@click.option(
    "--channels",
    multiple=True,
    metavar="each|mix|N|left=NAME,right=NAME",
    help="Which channels are analysed, and their names. Default: each; with a picture the mix.",
)
@click.option("--start", type=Time(), help="Analyse from this time on: seconds, or H:MM:SS.")
@click.option("--end", type=Time(), help="Analyse up to this time.")
@click.option(
    "--tracks", metavar="FILE", help="Landmarks of the faces of the only PATH (.npz): none is looked for."
)
@input_format
@click.option("--device", type=Device(), default="auto", show_default=True, help="Where the network runs.")
@click.option("--weights", default="default", show_default=True, metavar="NAME|PATH", help="Which network.")
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use. Default: all.")
@click.option(
    "--limit", "limits", multiple=True, metavar="NAME=VALUE", help="Change a cap on what is decoded."
)
@click.option("--reproducible", is_flag=True, help="Same input, same bytes: no timing, one core a recording.")
@click.option("--fail-on-detection", is_flag=True, help="Exit with 10 when a forged segment was found.")
@verbosity
def localize(
    paths: tuple[str, ...],
    files_from: str | None,
    recursive: bool,
    format_: str | None,
    output: str | None,
    threshold: float | None,
    min_score: float | None,
    max_segments: int | None,
    all_proposals: int | None,
    curves: bool,
    frames: str | None,
    channels: tuple[str, ...],
    start: float | None,
    end: float | None,
    tracks: str | None,
    input_format: RawFormat | None,
    device: str,
    weights: str,
    threads: int | None,
    limits: tuple[str, ...],
    reproducible: bool,
    fail_on_detection: bool,
    quiet: bool,
    verbose: int,
) -> None:
    """Find the time intervals of each PATH whose sound, picture or both were forged.

    Every PATH gives a row, whatever happens to it. The PATH - reads a recording from stdin; put -- before a
    path that begins with a dash.
    """
    configure_logging(verbose=verbose, quiet=quiet)
    inputs = find_inputs(paths, files_from, recursive=recursive)
    array = not is_one_file(paths, files_from)
    if tracks is not None and array:
        raise click.UsageError("--tracks holds the faces of one recording; give one PATH, a file")
    format_ = format_ or default_format(output)
    refuse_unused(format_, curves=curves, all_proposals=all_proposals is not None)
    if end is not None and end <= (start or 0.0):
        raise click.UsageError(f"--end comes after --start, got {end:g} s and {start or 0.0:g} s")
    n_at_once = how_many_at_once(inputs, threads, device)
    settings = {
        "device": device,
        # Another number of threads for one recording adds numbers in another order, and the last bits differ.
        "threads": 1 if reproducible or n_at_once > 1 else threads,
        "threshold": threshold,
        "min_score": min_score,
        "max_segments": max_segments,
        "all_proposals": all_proposals,
        "curves": curves,
        "frames": frames is not None,
        "start_s": start,
        "end_s": end,
        "input_format": input_format,
        "limits": read_limits(limits),
        **read_channels(channels),
    }
    if tracks is not None:
        settings["has_tracks"] = True
    progress = Progress(len(inputs), show=not quiet and not verbose)
    landmarks = None if tracks is None else read_tracks(tracks)
    with open_report(inputs, output, format_, array=array, reproducible=reproducible) as report:
        tally = run(
            lambda: load_localizer(weights, **settings),
            inputs,
            report,
            progress,
            limits=settings["limits"],
            frames=open_frames(frames, output, inputs),
            n_at_once=n_at_once,
            tracks_of=lambda item: landmarks,
        )
    if not quiet and len(inputs) > 1:
        click.echo(f"avloc: {tally.summary()}", err=True)
    click.get_current_context().exit(tally.exit_code(fail_on_detection=fail_on_detection))


def load_localizer(weights: str, **settings: Any) -> Localize:
    """Load the network; apart, so that a caller can put another one in its place."""
    from avloc.pipelines.loading import load_localizer as load

    has_tracks = settings.pop("has_tracks", False)
    localizer = load(weights, **settings)
    if not has_tracks:
        localizer.check_landmarks()
    return localizer


def read_tracks(path: str) -> Any:
    """Read landmarks before anything is analysed; what cannot be used is a usage error."""
    from avloc.media.landmarks import read_landmarks

    try:
        return read_landmarks(path)
    except AnnotationError as error:
        raise click.UsageError(f"--tracks: {error}") from error


def default_format(output: str | None) -> str:
    """Text for a reader at a terminal, JSON for everything else."""
    to_terminal = output in (None, "-") and sys.stdout is not None and sys.stdout.isatty()
    return "text" if to_terminal else "json"


def refuse_unused(format_: str, *, curves: bool, all_proposals: bool) -> None:
    """Refuse what was asked for and would not be in the output."""
    asked = {"--curves": curves, "--all-proposals": all_proposals}
    for option in [option for option, given in asked.items() if given and format_ not in WHOLE_FORMATS]:
        raise click.UsageError(
            f"{option} adds to the result document, and --format {format_} does not hold it; "
            f"use --format {' or '.join(WHOLE_FORMATS)}"
        )


def find_inputs(paths: Sequence[str], files_from: str | None, *, recursive: bool) -> list[Input]:
    """List the recordings of the run; none, or stdin for two purposes, is a usage error."""
    check_stdin(paths, files_from)
    if not paths and files_from is None:
        raise click.UsageError("there is nothing to analyse; give a PATH, or --files-from FILE")
    inputs = list_inputs(paths, files_from=files_from, recursive=recursive)
    check_stdin([item.path for item in inputs], files_from)
    if not inputs:
        raise click.UsageError("there is no file in the folders that were given")
    return inputs


def how_many_at_once(inputs: Sequence[Input], threads: int | None, device: str) -> int:
    """Say how many recordings are analysed side by side, a core each.

    One at a time on a GPU, and with stdin: a thread that reads it cannot be interrupted.
    """
    if device != "cpu" or any(item.path == STDIN for item in inputs):
        return 1
    from avloc.media.supervisor import available_cores

    return min(len(inputs), threads or available_cores())


def is_one_file(paths: Sequence[str], files_from: str | None) -> bool:
    """Whether one PATH, a file, was given: its JSON is one document and no array."""
    return len(paths) == 1 and files_from is None and not os.path.isdir(paths[0])


def open_frames(target: str | None, output: str | None, inputs: Sequence[Input]) -> FrameWriter | None:
    """Open the place where the scores of every frame go, if they are wanted."""
    if target is None:
        return None
    same = output not in (None, "-") and os.path.realpath(output) == os.path.realpath(target)
    if same and not os.path.isdir(target):
        raise click.UsageError(f"--frames and --output are both {target!r}; name another place for one")
    try:
        return FrameWriter(target, sources=sources_of(inputs))
    except ValueError as error:
        raise click.UsageError(f"--frames: {error}") from error
    except OSError as error:
        raise click.UsageError(f"--frames {target!r} cannot be written: {error.strerror or error}") from error


def sources_of(inputs: Sequence[Input]) -> list[tuple[str, str | int]]:
    """Ids, and the paths or open files, that no output may replace."""
    return [(item.id, 0 if item.path == STDIN else item.path) for item in inputs]


def open_report(
    inputs: Sequence[Input], output: str | None, format_: str, *, array: bool, reproducible: bool
) -> ReportWriter:
    """Open the place where results go, before anything is analysed."""
    to_stdout = output in (None, "-")
    if to_stdout and sys.stdout is None:
        raise click.UsageError("results go to stdout, which is closed; open it, or give --output PATH")
    target: str | IO[str] = sys.stdout if to_stdout else output
    try:
        return ReportWriter(
            target, format=format_, array=array, reproducible=reproducible, sources=sources_of(inputs)
        )
    except ValueError as error:
        raise click.UsageError(f"--output: {error}") from error
    except OSError as error:
        raise click.UsageError(f"--output {output!r} cannot be written: {error.strerror or error}") from error
