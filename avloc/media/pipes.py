"""Waiting for a pipe to another process, and no longer than is allowed."""

import contextlib
import os
import select
import selectors
import time

PIPE_BYTES = 1 << 20


def widen(descriptor: int) -> None:
    """Let the pipe hold about a second of crops where the system allows it."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def is_readable(descriptor: int, timeout_s: float) -> bool:
    """Whether there is something to read, or the end, within ``timeout_s``."""
    return _is_ready(descriptor, selectors.EVENT_READ, timeout_s)


def write_within(descriptor: int, data: bytes | memoryview, deadline_s: float) -> bool:
    """Write all bytes; False when the reader takes no more before ``deadline_s`` of ``time.monotonic``."""
    rest = memoryview(data)
    while rest:
        if not _is_ready(descriptor, selectors.EVENT_WRITE, deadline_s - time.monotonic()):
            return False
        rest = rest[os.write(descriptor, rest[: select.PIPE_BUF]) :]  # no more, or it could wait for room
    return True


def _is_ready(descriptor: int, event: int, timeout_s: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, event)
        return bool(selector.select(max(timeout_s, 0.0)))
