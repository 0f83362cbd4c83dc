"""The number of intra-op threads of torch while recordings are analysed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class IntraOpThreads:
    """Sets the number of threads of torch while any recording is analysed, and restores it after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_users = self._before = 0

    @contextmanager
    def __call__(self, n_threads: int | None) -> Iterator[None]:
        """Have ``n_threads`` inside the block; as they are where it is None."""
        if n_threads is None:
            yield
            return
        with self._lock:
            if not self._n_users:
                self._before = torch.get_num_threads()
            self._n_users += 1
            torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                if not self._n_users:
                    torch.set_num_threads(self._before)


intra_op_threads = IntraOpThreads()
