"""Timeline: segments in order of time."""

from collections.abc import Iterable
from dataclasses import dataclass

from avloc.structures.segment import Segment


@dataclass(frozen=True, slots=True)
class Timeline:
    """Segments sorted by (start, end); they may overlap.

    Parameters
    ----------
    segments : iterable of Segment
        Any order; kept sorted.

    Examples
    --------
    >>> line = Timeline([Segment(2.0, 3.0), Segment(0.0, 1.0), Segment(2.5, 4.0)])
    >>> line.support().segments
    (Segment(start=0.0, end=1.0), Segment(start=2.0, end=4.0))
    >>> line.duration
    3.0
    """

    segments: tuple[Segment, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(sorted(self.segments)))

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[float, float]]) -> "Timeline":
        """Timeline of (start, end) pairs in seconds."""
        return cls(tuple(Segment(float(start), float(end)) for start, end in pairs))

    def support(self, max_gap_s: float = 0.0) -> "Timeline":
        """Disjoint union; spans that are at most ``max_gap_s`` seconds apart become one."""
        merged: list[Segment] = []
        for segment in self.segments:
            if merged and segment.start - merged[-1].end <= max_gap_s:
                merged[-1] = Segment(merged[-1].start, max(merged[-1].end, segment.end))
            else:
                merged.append(segment)
        return Timeline(tuple(merged))

    def gaps(self, within: Segment) -> "Timeline":
        """Find what of ``within`` no segment covers."""
        found, position = [], within.start
        for segment in self.crop(within).support().segments:
            if segment.start > position:
                found.append(Segment(position, segment.start))
            position = segment.end
        if position < within.end:
            found.append(Segment(position, within.end))
        return Timeline(tuple(found))

    def crop(self, window: Segment) -> "Timeline":
        """Every segment cut to ``window``; what lies outside is dropped."""
        cut = (segment & window for segment in self.segments)
        return Timeline(tuple(segment for segment in cut if segment is not None))

    @property
    def duration(self) -> float:
        """Seconds covered by at least one segment."""
        return sum(segment.duration for segment in self.support().segments)
