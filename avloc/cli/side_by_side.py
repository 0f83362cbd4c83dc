"""Several recordings at once, in threads, and their results in order.

A network spends its time outside of the interpreter: two recordings in two threads, one core each, are faster
than one recording on two cores, and the numbers do not depend on how many there are.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 2  # times the number of threads: results that may wait for one before them


def in_order(
    work: Callable[[Item], Result], items: Sequence[Item], *, n_threads: int
) -> Iterator[tuple[Item, Result]]:
    """Yield every item with its result, in the order of the items.

    Parameters
    ----------
    work : callable
        Gives the result of an item. What it raises is raised here, at the place of the item.
    items : sequence
        What is to be done.
    n_threads : int [>= 1]
        How many at once; with one of them everything happens in the thread that asks.

    Notes
    -----
    When the iteration ends early, nothing new is begun. The threads are daemons: what they are at does not
    keep the process from ending.
    """
    n_threads = min(n_threads, len(items))
    if n_threads <= 1:
        for item in items:
            yield item, work(item)
        return
    pool = _Pool(work, items, n_threads)
    try:
        for index, item in enumerate(items):
            yield item, pool.take(index)
    finally:
        pool.stop()


class _Pool:
    def __init__(self, work: Callable, items: Sequence, n_threads: int) -> None:
        self._work, self._items = work, items
        self._changed = threading.Condition()
        self._results: dict[int, tuple[bool, object]] = {}
        self._next = self._taken = 0
        self._limit = AHEAD * n_threads
        for _ in range(n_threads):
            threading.Thread(target=self._run, daemon=True).start()

    def take(self, index: int) -> object:
        with self._changed:
            self._changed.wait_for(lambda: index in self._results)
            is_result, value = self._results.pop(index)
            self._taken = index + 1
            self._changed.notify_all()
        if not is_result:
            raise value
        return value

    def stop(self) -> None:
        with self._changed:
            self._next = len(self._items)
            self._changed.notify_all()

    def _run(self) -> None:
        while (index := self._begin()) is not None:
            try:
                outcome = True, self._work(self._items[index])
            except BaseException as error:  # it belongs to whoever takes the result
                outcome = False, error
            with self._changed:
                self._results[index] = outcome
                self._changed.notify_all()

    def _begin(self) -> int | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._next >= len(self._items) or self._next < self._taken + self._limit
            )
            if self._next >= len(self._items):
                return None
            self._next += 1
            return self._next - 1
