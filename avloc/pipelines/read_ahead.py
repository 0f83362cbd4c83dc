"""Take blocks from the decoder while the network is at work, so that the two run side by side."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Block = TypeVar("Block")
DEPTH = 32  # blocks: a hop of sound and picture, so that the decoder never waits for a window


def read_ahead(
    blocks: Iterable[Block], *, depth: int = DEPTH, stop: Callable[[], None] | None = None
) -> Iterator[Block]:
    """Yield ``blocks`` in their order, read by a thread at most ``depth`` of them ahead.

    The thread waits for the decoding child and unpacks what it sends; it ends with the last block, with an
    error, which is raised here in its place, or when this iterator is closed.

    Parameters
    ----------
    blocks : iterable
        Iterated in the thread alone, from its first item to its end or closing.
    depth : int [>= 1]
        Blocks that may wait.
    stop : callable, optional
        Called when this iterator is closed before its end: ends what the thread may wait for.
    """
    waiting: queue.Queue = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def read() -> None:
        source = None
        try:
            source = iter(blocks)
            for block in source:
                waiting.put((block, None))
                if stopped.is_set():
                    return
            waiting.put((None, StopIteration()))
        except BaseException as error:  # it is raised again where the blocks are used
            waiting.put((None, error))
        finally:
            if hasattr(source, "close"):
                source.close()

    thread = threading.Thread(target=read, name="avloc-read-ahead", daemon=True)
    thread.start()
    has_ended = False
    try:
        while True:
            block, error = waiting.get()
            has_ended = error is not None
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield block
    finally:
        stopped.set()
        if stop is not None and not has_ended:
            stop()
        while thread.is_alive():  # it may wait for room
            try:
                waiting.get(timeout=0.01)
            except queue.Empty:
                thread.join(timeout=0.01)
