"""How far a run is, and what became of its recordings."""

import sys
from collections import Counter
from collections.abc import Iterable

from avloc.cli.main import DEFECT, DETECTED, ERASE_LINE, FAILED
from avloc.structures import Prediction, Reason, Status, Verdict


class Tally:
    """What became of the recordings."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.has_defect = False
        self.has_failure = False

    def add(self, prediction: Prediction) -> None:
        """Count one recording."""
        self.add_row(prediction.status, prediction.verdict, prediction.reasons)

    def add_row(self, status: str, verdict: str | None, reasons: Iterable[str]) -> None:
        """Count one recording by what its row says."""
        self.counts[str(verdict or status)] += 1
        self.has_failure |= status != Status.ANALYSED
        self.has_defect |= Reason.INTERNAL_ERROR in reasons

    def exit_code(self, *, fail_on_detection: bool) -> int:
        """Say how the run ended: a defect wins over a failure, a failure over a detection."""
        if self.has_defect:
            return DEFECT
        if self.has_failure:
            return FAILED
        return DETECTED if fail_on_detection and self.counts[Verdict.FORGED_SEGMENTS_FOUND] else 0

    def summary(self) -> str:
        """Give the counts in words."""
        words = {"error": "failed", "not_analysable": "could not be analysed"}
        parts = (f"{n} {words.get(name, name.replace('_', ' '))}" for name, n in sorted(self.counts.items()))
        return f"{self.counts.total()} recordings: {', '.join(parts)}"


class Progress:
    """One line on a terminal's stderr that is written over."""

    def __init__(self, n_recordings: int, *, show: bool) -> None:
        self._n_recordings = n_recordings
        self._show = show and sys.stderr is not None and sys.stderr.isatty()

    def step(self, number: int, id: str) -> None:
        """Name the recording that is analysed now."""
        if self._show:
            name = "".join(c if c.isprintable() else "?" for c in id)[-60:]
            sys.stderr.write(f"{ERASE_LINE}[{number}/{self._n_recordings}] {name}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line, so that results do not stand behind it."""
        if self._show:
            sys.stderr.write(ERASE_LINE)
            sys.stderr.flush()
