"""Packets from a moment on, of a recording of which only a part is decoded; in the child.

Nothing is sought: where a jump lands is a guess in many containers, and the frames before it would go
uncounted. Packets are read from the first one on, which is fast, and passed over before they are decoded.
"""

from array import array
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

PREROLL_S = 2  # decoders of sound need some packets before what they give is right
LARGEST_HOLD = (
    1 << 26
)  # bytes since the last key frame; a stream with fewer of them is decoded from the start


class Skipper:
    """Iterate the packets that are needed to decode what is presented from ``time`` on.

    Of a picture stream that is all from the last key frame before ``time`` on, of sound all from a little
    earlier. A packet without a timestamp ends the skipping of its stream.

    Parameters
    ----------
    packets : iterator
        Packets from the first one on; None is passed on.
    time : Fraction [s]
        On the clock of the container.
    picture : int, optional
        Index of the picture stream.
    """

    def __init__(self, packets: Iterator[Any], time: Fraction, *, picture: int | None) -> None:
        self._packets, self._time, self._picture = packets, time, picture
        self._held: list[Any] = []  # pictures since the last key frame
        self._n_held_bytes = 0
        self._shown = array("q")  # timestamps of all pictures that were passed over or held
        self._begun: set[int] = set()

    def n_before(self, pts: int | None) -> int:
        """Count the pictures that are shown before the one with this timestamp and were not decoded."""
        return 0 if pts is None else sum(shown < pts for shown in self._shown)

    def __iter__(self) -> Iterator[Any]:
        for packet in self._packets:
            if packet is None or packet.stream.index in self._begun:
                yield packet
            elif packet.stream.index == self._picture:
                yield from self._hold(packet)
            elif self._is_before(packet, PREROLL_S):
                yield None  # a sign of life: reading up to the part may take minutes
            else:
                self._begun.add(packet.stream.index)
                yield packet
        yield from self._held

    def _hold(self, packet: Any) -> Iterator[Any]:
        """Keep a picture until it is clear whether the part begins before the next key frame."""
        if packet.is_keyframe and packet.pts is not None and packet.pts * packet.time_base <= self._time:
            self._held.clear()
            self._n_held_bytes = 0
        self._held.append(packet)
        self._n_held_bytes += packet.size
        if packet.pts is not None and not packet.is_discard:  # what an edit list hides is never a frame
            self._shown.append(packet.pts)
        if not self._is_before(packet, 0) or self._n_held_bytes > LARGEST_HOLD:
            self._begun.add(self._picture)
            yield from self._held
            self._held.clear()
        else:
            yield None

    def _is_before(self, packet: Any, margin_s: int) -> bool:
        # by the time of decoding, which never goes back and is no later than that of presentation
        ticks = packet.pts if packet.dts is None else packet.dts
        return ticks is not None and ticks * packet.time_base < self._time - margin_s
