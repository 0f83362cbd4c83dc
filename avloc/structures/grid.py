"""FrameGrid: the only place where a frame index becomes seconds, and back."""

import math
from dataclasses import dataclass
from fractions import Fraction

SNAP = Fraction(1, 1_000_000)  # of a frame: a float that should be a frame boundary may lie just below it


@dataclass(frozen=True, slots=True)
class FrameGrid:
    """Uniform time frames: frame ``i`` covers ``[origin + i/rate, origin + (i+1)/rate)``.

    Parameters
    ----------
    rate : Fraction [Hz, > 0]
        Frames a second, exact.
    n_frames : int [>= 0]
        Length of the grid.
    origin : Fraction [s]
        Start of frame 0.

    Examples
    --------
    >>> grid = FrameGrid(rate=Fraction(30000, 1001), n_frames=100)
    >>> all(grid.index(grid.time(i)) == i for i in range(100))
    True
    """

    rate: Fraction
    n_frames: int
    origin: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if self.rate <= 0 or self.n_frames < 0:
            raise ValueError(f"a grid needs rate > 0 and n_frames >= 0, got {self.rate} and {self.n_frames}")

    def time(self, index: int) -> float:
        """Start of frame ``index``, in seconds. Exact before the final conversion."""
        return float(self.origin + index / self.rate)

    def index(self, time_s: float) -> int:
        """Frame that contains ``time_s``; may lie outside ``range(n_frames)``.

        A time less than ``SNAP`` before a boundary belongs to the later frame, so ``index(time(i)) == i``.
        """
        return math.floor((Fraction(time_s) - self.origin) * self.rate + SNAP)

    def index_after(self, time_s: float) -> int:
        """First frame that begins at or after ``time_s``, but for ``SNAP``: one past the last of a span."""
        return math.ceil((Fraction(time_s) - self.origin) * self.rate - SNAP)
