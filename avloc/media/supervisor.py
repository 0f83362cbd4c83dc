"""The parent's side of the decoding child: start, heartbeat, time-out, kill, restart, coded failure."""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from avloc.errors import UnreadableMediaError
from avloc.media.answers import AnswerCheck, clean_text
from avloc.media.clock import GRID_RATE
from avloc.media.pipes import is_readable, widen, write_within
from avloc.media.protocol import Message, ProtocolError, encode_message, read_message

PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


MOST_IDLE = available_cores()  # children that wait for a next recording
GRACE_S = 60.0  # waiting that every recording may cost, and the longest silence of the child
BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from avloc.media.worker import main; main(sys.argv[1:])"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on one recording; each is an option of the command line.

    Parameters
    ----------
    bytes : int
        Size of the file.
    duration_s : float [s]
        Length of the recording.
    pixels : int
        Width times height of a frame.
    frame_rate : float [Hz]
        Frames a second of a video stream.
    streams_listed, streams_analysed : int
        Streams of the container that are reported, and that are decoded.
    channels : int
        Channels of an audio stream.
    sample_rate_min, sample_rate_max : int [Hz]
        Range of sampling rates.
    expansion : float
        Decoded bytes of a stream for each byte of the file.
    wall_factor : float [s / s]
        Waiting for the child that is allowed for each second of media, beside ``GRACE_S``.
    """

    bytes: int = 64 << 30
    duration_s: float = 12 * 3600.0
    pixels: int = 40_000_000
    frame_rate: float = 240.0
    streams_listed: int = 1024
    streams_analysed: int = 8
    channels: int = 64
    sample_rate_min: int = 4_000
    sample_rate_max: int = 768_000
    expansion: float = 10_000.0
    wall_factor: float = 10.0

    def to_dict(self) -> dict[str, float]:
        """Give the caps by name."""
        return asdict(self)


class Supervisor:
    """Owns one decoding child that serves one recording after the other.

    The child is started on the first request and again after it died, hung or was left in the middle of a
    request. One request at a time; ``borrow_supervisor`` gives each user one of its own.

    Parameters
    ----------
    command : sequence of str, optional
        What to run in place of the decoding child.
    grace_s : float [s, > 0]
        Longest silence of the child, and the waiting allowed beside ``Limits.wall_factor``.
    """

    def __init__(self, *, command: Sequence[str] | None = None, grace_s: float = GRACE_S) -> None:
        self._command = command
        self._grace_s = grace_s
        self._process: subprocess.Popen | None = None
        self._notes = None  # the child's stderr

    @property
    def pid(self) -> int | None:
        """Process id of the running child, or None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def exchange(self, request: Message, *, path: str, wall_factor: float) -> Iterator[Message]:
        """Send ``request`` and yield the answers up to and with the one of kind ``end``.

        Raises
        ------
        UnreadableMediaError
            With the reason that the child names, ``decoder_crash`` when it died or said what it may not say,
            ``decoder_timeout`` when it was silent or slow for too long.
        """
        finished, check = False, AnswerCheck(request)
        try:
            self._ensure_started(path)
            self._send(request, path)
            first, _ = request.fields.get("frames", (0, None))
            waited_s, media_s = 0.0, float(first / GRID_RATE)  # all before it may have to be decoded
            while not finished:
                patience_s = min(self._grace_s, self._grace_s + wall_factor * media_s - waited_s)
                before = time.monotonic()
                message = self._receive(path, patience_s)
                waited_s += time.monotonic() - before
                try:
                    check(message)
                except ProtocolError as error:
                    raise UnreadableMediaError(path, str(error), reason=error.reason) from error
                if message.kind == "failure":
                    finished = True
                    text = clean_text(message.fields["message"])
                    raise UnreadableMediaError(path, text, reason=message.fields["reason"])
                media_s = max(media_s, message.fields.get("media_s", 0.0))
                finished = message.kind == "end"
                if message.kind != "heartbeat":
                    yield message
        finally:
            if not finished:  # unread answers would be taken for those of the next request
                self.close()

    def close(self) -> None:
        """End the child. A later request starts another."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()
        if self._notes is not None:
            self._notes.close()
            self._notes = None

    def kill(self) -> None:
        """End the child from another thread; who waits for its answer gets ``decoder_crash``."""
        if (process := self._process) is not None:
            with contextlib.suppress(OSError):
                process.kill()

    def _ensure_started(self, path: str) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._notes = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the child
        self._process = subprocess.Popen(
            list(self._command) if self._command else _worker_command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._notes,
            env=_clean_environment(),
            bufsize=0,
        )
        widen(self._process.stdout.fileno())
        message = self._receive(path, GRACE_S)  # a busy machine may take its time to start a process
        if message.kind != "ready":
            raise UnreadableMediaError(
                path, f"the decoding child began with {message.kind!r}", reason="internal_error"
            )

    def _send(self, request: Message, path: str) -> None:
        deadline_s = time.monotonic() + self._grace_s
        try:
            for buffer in encode_message(request):
                if not write_within(self._process.stdin.fileno(), buffer, deadline_s):
                    message = f"the decoder did not take the request in {self._grace_s:.0f} s and was ended"
                    raise UnreadableMediaError(path, message, reason="decoder_timeout")
        except OSError as error:
            raise self._death(path) from error

    def _receive(self, path: str, patience_s: float) -> Message:
        """Wait for the next message; no more than ``patience_s``."""
        deadline = time.monotonic() + patience_s
        descriptor = self._process.stdout.fileno()

        def read(n: int) -> bytearray:
            data = bytearray(n)
            view, filled = memoryview(data), 0
            while filled < n:
                if not is_readable(descriptor, deadline - time.monotonic()):
                    raise UnreadableMediaError(
                        path,
                        f"the decoder gave nothing for {max(patience_s, 0.0):.0f} s and was ended",
                        reason="decoder_timeout",
                    )
                got = os.readv(descriptor, [view[filled:]])
                if got == 0:
                    del view
                    return data[:filled]
                filled += got
            return data

        try:
            message = read_message(read)
        except ProtocolError as error:
            raise self._death(path, str(error)) from error
        if message is None:
            raise self._death(path)
        return message

    def _death(self, path: str, detail: str = "") -> UnreadableMediaError:
        """Say how the child ended, as an exception."""
        try:
            code = self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            code = None
        if code is None:
            how = f"broke the protocol: {detail}"
        elif code < 0:
            names = {known.value: known.name for known in signal.Signals}  # real-time signals have none
            how = f"was ended by signal {-code} ({names.get(-code, 'unnamed')})"
        else:
            how = f"ended with code {code}{self._last_words()}"
        return UnreadableMediaError(path, f"the decoder {how}", reason="decoder_crash")

    def _last_words(self) -> str:
        if self._notes is None:
            return ""
        size = self._notes.seek(0, os.SEEK_END)
        self._notes.seek(max(0, size - 500))
        words = self._notes.read().decode(errors="replace").strip()
        return f": {words}" if words else ""


_idle: list[Supervisor] = []
_idle_lock = threading.Lock()


@contextlib.contextmanager
def borrow_supervisor() -> Iterator[Supervisor]:
    """Lend a supervisor whose child may already be warm; it is kept for the next user afterwards."""
    with _idle_lock:
        supervisor = _idle.pop() if _idle else Supervisor()
    try:
        yield supervisor
    finally:
        with _idle_lock:
            kept = len(_idle) < MOST_IDLE
            if kept:
                _idle.append(supervisor)
        if not kept:
            supervisor.close()


def close_idle() -> None:
    """End the child that waits for the next recording, if there is one."""
    with _idle_lock:
        waiting, _idle[:] = list(_idle), []
    for supervisor in waiting:
        supervisor.close()


def _forget_idle() -> None:
    """After a fork the children still belong to the parent; this process starts its own."""
    global _idle_lock
    _idle_lock = threading.Lock()
    _idle.clear()


atexit.register(close_idle)
os.register_at_fork(after_in_child=_forget_idle)


def _worker_command() -> list[str]:
    # -I: neither the working folder nor PYTHON* variables decide what the child imports
    main_thread = threading.current_thread() is threading.main_thread()
    options = ["--parent", str(os.getpid()), *(["--die-with-parent-thread"] if main_thread else [])]
    return [sys.executable, "-I", "-X", "utf8", "-c", BOOT, str(PACKAGE_ROOT), *options]


def _clean_environment() -> dict[str, str]:
    """No proxies, no library options; what measures coverage of children passes."""
    kept = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "HOME", "LANG")
    environment = {k: v for k, v in os.environ.items() if k in kept or k.startswith("COV")}
    return {**environment, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
