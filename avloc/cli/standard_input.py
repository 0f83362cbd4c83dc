"""A recording from stdin: kept in a temporary file, because opening and decoding go back and forth in it."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import click

from avloc.errors import UnreadableMediaError

STDIN = "-"
BLOCK_BYTES = 1 << 20


def check_stdin(paths: Sequence[str], files_from: str | None = None) -> None:
    """Refuse to read stdin twice, or from a keyboard; a usage error."""
    given = [*paths, files_from]
    if given.count(STDIN) > 1:
        raise click.UsageError(
            "stdin holds one recording or list: give '-' once; a file of that name is './-'"
        )
    if STDIN in given and sys.stdin is not None and sys.stdin.isatty():
        raise click.UsageError("'-' reads from stdin, got a terminal; pipe a file into it")


@contextmanager
def opened_path(path: str, limits: Any) -> Iterator[str]:
    """Give the path to open: ``path`` itself, or for ``-`` a file with what stdin held, removed at the end.

    Parameters
    ----------
    path : str
        What the user gave.
    limits : Limits, optional
        ``bytes`` caps what is read from stdin; the defaults without it.

    Raises
    ------
    UnreadableMediaError
        If stdin cannot be read or kept, or holds more than the cap.
    """
    if path != STDIN:
        yield path
        return
    from avloc.media.supervisor import Limits

    _wait_for_all()
    with _temporary() as file:
        _keep(file, (limits or Limits()).bytes)
        yield file.name


def _wait_for_all() -> None:
    """Let reads wait: where the parent left the pipe non-blocking, a pause would look like the end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # no descriptor, and so no pauses
        os.set_blocking(sys.stdin.fileno(), True)


def _temporary() -> IO[bytes]:
    try:
        # unbuffered: what could not be written must not be tried again at the end, over the error
        return tempfile.NamedTemporaryFile(prefix="avloc-", buffering=0)
    except OSError as error:
        raise _no_room(error) from error


def _keep(file: IO[bytes], most_bytes: int) -> None:
    n_bytes = 0
    while block := _read():
        n_bytes += len(block)
        if n_bytes > most_bytes:
            message = f"bytes: stdin holds more than {most_bytes} bytes, at most so many are read"
            raise UnreadableMediaError(STDIN, message, reason="limit_reached")
        try:
            rest = memoryview(block)
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            raise _no_room(error) from error


def _read() -> bytes:
    try:
        if sys.stdin is None:
            raise ValueError("it is closed")
        block = sys.stdin.buffer.read(BLOCK_BYTES)
        if block is None:
            raise ValueError("it does not wait for more")
        return block
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        message = f"stdin cannot be read: {why}; pipe a recording into it"
        raise UnreadableMediaError(STDIN, message, reason="permission_denied") from error


def _no_room(error: OSError) -> UnreadableMediaError:
    message = (
        f"stdin cannot be kept in a temporary file: {error.strerror or error}; name a folder with more room "
        "in TMPDIR, or give a file"
    )
    return UnreadableMediaError(STDIN, message, reason="output_failed")
