"""Arrays along a stream, of which only what is still needed is held."""

import numpy as np


class StreamBuffer:
    """Arrays that follow each other along the first axis; only what a later window needs is held."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, np.ndarray]] = []
        self.end = 0

    def append(self, start: int, values: np.ndarray) -> None:
        """Add ``values`` (n, …) at position ``start``; a hole before it reads as zeros."""
        if len(values):
            self._parts.append((start, values))
            self.end = max(self.end, start + len(values))

    def take(self, start: int, stop: int) -> np.ndarray | None:
        """Copy (stop - start, …), zeros where nothing was added; None where nothing ever was."""
        if not self._parts:
            return None
        like = self._parts[-1][1]
        taken = np.zeros((stop - start, *like.shape[1:]), dtype=like.dtype)
        for position, values in self._parts:
            low, high = max(start, position), min(stop, position + len(values))
            if low < high:
                taken[low - start : high - start] = values[low - position : high - position]
        return taken

    def drop_before(self, position: int) -> None:
        """Forget what ends before ``position``; the last part stays, for its shape."""
        kept = [part for part in self._parts[:-1] if part[0] + len(part[1]) > position]
        self._parts = kept + self._parts[-1:]

    @property
    def n_held(self) -> int:
        """Rows in memory."""
        return sum(len(values) for _, values in self._parts)
