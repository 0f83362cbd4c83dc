"""Segment: a half-open span of time."""

import math
from dataclasses import dataclass

from avloc.errors import SegmentError


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """Half-open span ``[start, end)`` of a recording, in seconds.

    Parameters
    ----------
    start, end : float [s, 0 <= start < end, finite]
        Times since the recording's zero.

    Raises
    ------
    SegmentError
        If the span is empty, negative or not finite.

    Examples
    --------
    >>> Segment(1.0, 3.0) & Segment(2.5, 9.0)
    Segment(start=2.5, end=3.0)
    >>> Segment(1.0, 3.0) & Segment(3.0, 9.0) is None
    True
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.end) and 0.0 <= self.start < self.end):
            raise SegmentError(
                f"a segment needs 0 <= start < end, finite; got start={self.start}, end={self.end}"
            )

    @property
    def duration(self) -> float:
        """Length in seconds, always positive."""
        return self.end - self.start

    def __and__(self, other: "Segment") -> "Segment | None":
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Segment(start, end) if start < end else None
