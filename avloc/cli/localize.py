"""``avloc localize``: find the forged segments of recordings."""

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import IO, Any

import click

from avloc.cli.main import Terminated, configure_logging, silence_stdout
from avloc.cli.options import Device, Unit, read_limits, verbosity
from avloc.cli.progress import Progress, Tally
from avloc.cli.standard_input import STDIN, check_stdin, opened_path
from avloc.errors import MediaError
from avloc.report.writers import FORMATS, ReportWriter
from avloc.structures import ERROR_REASONS, Prediction, Reason, Recording, Status

logger = logging.getLogger(__name__)

Localize = Callable[..., Prediction]

WHOLE_FORMATS = ("json", "jsonl")  # which hold the whole result document


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
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
@click.option("--curves", is_flag=True, help="Add the scores of every frame.")
@click.option("--device", type=Device(), default="auto", show_default=True, help="Where the network runs.")
@click.option("--weights", default="default", show_default=True, metavar="NAME|PATH", help="Which network.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the network on the CPU.")
@click.option(
    "--limit", "limits", multiple=True, metavar="NAME=VALUE", help="Change a cap on what is decoded."
)
@click.option("--reproducible", is_flag=True, help="Same input, same bytes: one thread, no timing.")
@click.option("--fail-on-detection", is_flag=True, help="Exit with 10 when a forged segment was found.")
@verbosity
def localize(
    paths: tuple[str, ...],
    format_: str | None,
    output: str | None,
    threshold: float | None,
    min_score: float | None,
    max_segments: int | None,
    all_proposals: int | None,
    curves: bool,
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
    check_stdin(paths)
    format_ = format_ or default_format(output)
    refuse_unused(format_, curves=curves, all_proposals=all_proposals is not None)
    if reproducible and threads not in (None, 1):
        # Another number of threads adds numbers in another order, and the last bits differ.
        raise click.UsageError(f"--reproducible runs in one thread, got --threads {threads}; leave one out")
    settings = {
        "device": device,
        "threads": 1 if reproducible else threads,
        "threshold": threshold,
        "min_score": min_score,
        "max_segments": max_segments,
        "all_proposals": all_proposals,
        "curves": curves,
        "limits": read_limits(limits),
    }
    progress = Progress(len(paths), show=not quiet and not verbose)
    with open_report(paths, output, format_, reproducible=reproducible) as report:
        tally = run(
            lambda: load_localizer(weights, **settings), paths, report, progress, limits=settings["limits"]
        )
    if not quiet and len(paths) > 1:
        click.echo(f"avloc: {tally.summary()}", err=True)
    click.get_current_context().exit(tally.exit_code(fail_on_detection=fail_on_detection))


def load_localizer(weights: str, **settings: Any) -> Localize:
    """Load the network; apart, so that a caller can put another one in its place."""
    from avloc.pipelines.localize import load_localizer as load

    return load(weights, **settings)


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


def open_report(
    paths: Sequence[str], output: str | None, format_: str, *, reproducible: bool
) -> ReportWriter:
    """Open the place where results go, before anything is analysed."""
    to_stdout = output in (None, "-")
    if to_stdout and sys.stdout is None:
        raise click.UsageError("results go to stdout, which is closed; open it, or give --output PATH")
    array = len(paths) > 1 or os.path.isdir(paths[0])
    target: str | IO[str] = sys.stdout if to_stdout else output
    sources = [(id, 0 if path == STDIN else path) for path, id in _with_ids(paths)]
    try:
        return ReportWriter(target, format=format_, array=array, reproducible=reproducible, sources=sources)
    except ValueError as error:
        raise click.UsageError(f"--output: {error}") from error
    except OSError as error:
        raise click.UsageError(f"--output {output!r} cannot be written: {error.strerror or error}") from error


def run(
    load: Callable[[], Localize],
    paths: Sequence[str],
    report: ReportWriter,
    progress: Progress,
    *,
    limits: Any,
) -> Tally:
    """Analyse and write one recording after the other; an interrupt keeps what was written."""
    tally = Tally()
    localizer = load()
    try:
        for number, (path, id) in enumerate(_with_ids(paths), start=1):
            progress.step(number, id)
            started = time.monotonic()
            prediction = _analyse(localizer, path, id, limits)
            progress.clear()
            logger.info(
                "%s: %s, %.1f s", id, prediction.verdict or prediction.status, time.monotonic() - started
            )
            if not _write(report, prediction, tally):
                break
    except (KeyboardInterrupt, Terminated):
        progress.clear()
        logger.warning("interrupted: %d of %d recordings are written", report.n_written, len(paths))
        if report.n_written:
            _finish(report, tally)
        raise
    _finish(report, tally)
    return tally


def _with_ids(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each path with an id that is unique in the run: the path as given, numbered where it comes again.

    Bytes of a name that are no UTF-8 are spelt out in documents, and so they are compared that way.
    """
    taken: set[bytes] = set()
    for path in paths:
        id, number = path, 1
        while (written := id.encode("utf-8", "backslashreplace")) in taken:
            number += 1
            id = f"{path}#{number}"
        taken.add(written)
        yield path, id


def _analyse(localizer: Localize, path: str, id: str, limits: Any) -> Prediction:
    """Analyse one recording; what nobody foresaw becomes its row, and the run goes on."""
    try:
        with opened_path(path, limits) as opened:
            prediction = localizer(opened, id=id)
        return replace(prediction, recording=replace(prediction.recording, path=path))
    except MediaError as error:  # of stdin; of a file it is a row already
        return _failed(localizer, path, id, Reason(error.reason), error.message)
    except MemoryError:
        return _failed(localizer, path, id, Reason.OUT_OF_MEMORY, "there was not enough memory")
    except Exception as error:  # the boundary of one recording: it becomes a row
        traceback.print_exc()
        return _failed(localizer, path, id, Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")


def _failed(localizer: Localize | None, path: str, id: str, reason: Reason, message: str) -> Prediction:
    unopened = Recording(id, path, sha256=None, n_bytes=None, container=None, start=None, duration=None)
    return Prediction(
        recording=unopened,
        status=Status.ERROR if reason in ERROR_REASONS else Status.NOT_ANALYSABLE,
        reasons=(reason,),
        message=message,
        provenance=getattr(localizer, "provenance", None),
    )


def _write(report: ReportWriter, prediction: Prediction, tally: Tally) -> bool:
    """Write one row; False when nothing more can be written to this place."""
    try:
        try:
            report.write(prediction)
        except OSError:  # the place, not the value
            raise
        except Exception as error:  # a value that no document may hold
            traceback.print_exc()
            recording, message = prediction.recording, f"{type(error).__name__}: {error}"
            prediction = _failed(None, recording.path, recording.id, Reason.INTERNAL_ERROR, message)
            report.write(prediction)
    except OSError as error:
        _tell_output_failed(error, tally)
        return report.is_folder
    tally.add(prediction)
    return True


def _finish(report: ReportWriter, tally: Tally) -> None:
    try:
        report.finish()
    except OSError as error:
        _tell_output_failed(error, tally)


def _tell_output_failed(error: OSError, tally: Tally) -> None:
    """Report on stderr what the result itself cannot hold any more."""
    if isinstance(error, BrokenPipeError):
        silence_stdout()
    tally.counts[Reason.OUTPUT_FAILED] += 1
    tally.has_failure = True
    logger.error("%s: %s", Reason.OUTPUT_FAILED, error.strerror or error)
