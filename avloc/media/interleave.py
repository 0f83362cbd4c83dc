"""Packets of two streams side by side, also from a file that holds one stream after the other; in the child.

What lies far apart in the file cannot be compared in bounded memory in one pass. Such a file is read by two
demuxers, one a stream, and the one whose packets are earlier goes on.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from typing import Any

END = object()
LAG_S = 10  # one stream this far behind the other in the file: a second demuxer looks for it


def interleave(
    packets: Iterator[Any],
    open_again: Callable[[], AbstractContextManager[Iterator[Any]]],
    indices: Sequence[int],
) -> Iterator[Any]:
    """Yield the packets of every stream in their order, both streams at about the same time.

    Parameters
    ----------
    packets : iterator
        Packets of the streams ``indices``, in the order of the file.
    open_again : callable
        Gives a context manager that gives the same packets from the first one on. It is called at most once,
        and only where one of two streams runs ``LAG_S`` ahead of the other.
    indices : sequence of int
        Streams that are read.

    Yields
    ------
    packet or None
        None is a sign of life from a demuxer that passes over packets of the other stream.
    """
    latest: dict[int, Fraction] = {}
    before: dict[int, Fraction] = {}
    counts = dict.fromkeys(indices, 0)
    begin = None
    for packet in packets:
        yield packet
        index, time = packet.stream.index, _time(packet)
        counts[index] += 1
        if time is None or len(counts) != 2:
            continue
        begin = time if begin is None else begin
        # the earlier of two: a single wrong timestamp does not count
        latest[index], before[index] = min(time, before.get(index, time)), time
        (behind,) = counts.keys() - {index}
        if latest[index] - latest.get(behind, begin) > LAG_S:
            with open_again() as others:
                ahead = _only(packets, index, n_skipped=0)
                yield from _merge((ahead, _only(others, behind, n_skipped=counts[behind])))
            return


def _only(packets: Iterator[Any], index: int, *, n_skipped: int) -> Iterator[Any]:
    """Yield the packets of one stream after the first ``n_skipped`` of them, None for each other packet."""
    for packet in packets:
        if packet.stream.index == index:
            n_skipped -= 1
        yield packet if packet.stream.index == index and n_skipped < 0 else None


def _merge(sources: Sequence[Iterator[Any]]) -> Iterator[Any]:
    """Yield from the source whose packets are earlier; the rest of one when the other has ended."""
    times: dict[Iterator[Any], Fraction | None] = dict.fromkeys(sources)
    before: dict[Iterator[Any], Fraction] = {}
    while times:
        # a source that has given nothing yet comes first: its packets may be the earlier ones
        source = min(times, key=lambda s: (times[s] is not None, times[s] or 0))
        packet = next(source, END)
        if packet is END:
            del times[source]
            continue
        yield packet
        time = None if packet is None else _time(packet)
        if time is not None:
            times[source], before[source] = min(time, before.get(source, time)), time


def _time(packet: Any) -> Fraction | None:
    return None if packet.dts is None else packet.dts * Fraction(packet.time_base)
