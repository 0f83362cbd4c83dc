"""The command ``avloc``: its verbs, its exit codes, and where log lines go.

A verb's module loads when the verb runs: ``avloc --help`` imports nothing but click.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module

import click

from avloc import __version__
from avloc.errors import AvlocError, ExtensionError, MediaError

DEFECT = 1
USAGE = 2
FAILED = 3
DETECTED = 10
ERASE_LINE = "\r\x1b[K"  # of a terminal
INTERRUPTED = 130
TERMINATED = 143

VERBS = {
    "localize": ("avloc.cli.localize", "Find the forged segments of recordings."),
    "predict": ("avloc.cli.predict", "Analyse a whole data set, in shards, and go on where it stopped."),
    "extract": ("avloc.cli.extract", "Store what encoders make of a data set, for training."),
    "probe": ("avloc.cli.probe", "Show what of a recording would be analysed."),
    "explain": ("avloc.cli.explain", "Say what a reason code means and what to do."),
    "schema": ("avloc.cli.schema", "Print the JSON Schema of the result document."),
    "info": ("avloc.cli.info", "Show versions, kernels, devices and weights."),
    "weights": ("avloc.cli.weights", "Show the card of weights, and what they were trained on."),
    "evaluate": ("avloc.cli.evaluate", "Score predictions under a published protocol."),
    "submit": ("avloc.cli.submit", "Write the files of a challenge."),
    "synth": ("avloc.cli.synth", "Make partially forged recordings with exact truth."),
    "train": ("avloc.cli.train", "Train a network."),
}

logger = logging.getLogger("avloc")


class Terminated(BaseException):
    """The process was asked to end by SIGTERM."""


class LazyGroup(click.Group):
    """Verbs of the table above; each is loaded when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Load one verb."""
        if name not in VERBS:
            return None
        return getattr(import_module(VERBS[name][0]), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs in the help without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in VERBS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb; a reader that closed the pipe ends it without a traceback."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            silence_stdout()
            return ctx.exit(FAILED)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="avloc", message="%(prog)s %(version)s")
def cli() -> None:
    """Find the time intervals of a recording whose sound, picture or both were forged."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; by default those of the process.

    Returns
    -------
    int
        The exit code: 0 all analysed, 1 a defect of avloc, 2 wrong usage, configuration or weights, 3 a
        recording failed, an audit found a shortcut or weights were trained on what is held out, 10 with
        ``--fail-on-detection``, 130 or 143 interrupted.
    """
    arguments = None if arguments is None else list(arguments)
    with _sigterm_raises(), _handlers_removed():
        try:
            code = cli.main(args=arguments, prog_name="avloc", standalone_mode=False)
        except click.ClickException as error:
            error.show()
            return USAGE
        except (click.Abort, KeyboardInterrupt):
            return INTERRUPTED
        except Terminated:
            return TERMINATED
        except AvlocError as error:
            click.echo(f"avloc: {error}", err=True)
            return _code_of(error)
        except Exception:  # the boundary of the process: a defect has an exit code of its own
            traceback.print_exc()
            return DEFECT
    return code if isinstance(code, int) else 0


def configure_logging(*, verbose: int = 0, quiet: bool = False) -> None:
    """Send log lines to stderr: warnings, with ``-v`` one line a recording, with ``-vv`` one a window."""
    if quiet and verbose:
        raise click.UsageError("--quiet asks for fewer lines and -v for more; leave one out")
    handler = logging.StreamHandler(sys.stderr)
    line = "avloc: %(message)s" if verbose < 2 else "%(name)s: %(message)s"
    if sys.stderr is not None and sys.stderr.isatty():
        line = f"{ERASE_LINE}{line}"  # a progress line may stand there
    handler.setFormatter(logging.Formatter(line))
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR if quiet else level)


def silence_stdout() -> None:
    """Point stdout nowhere, so that the interpreter does not complain when it flushes at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _code_of(error: AvlocError) -> int:
    if isinstance(error, MediaError):
        return FAILED
    return DEFECT if isinstance(error, ExtensionError) else USAGE


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that files are completed or removed on the way out."""

    def stop(number: int, frame: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _handlers_removed() -> Iterator[None]:
    """Leave the logger of avloc as it was, for callers that go on after ``main``."""
    handlers, level = list(logger.handlers), logger.level
    try:
        yield
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
