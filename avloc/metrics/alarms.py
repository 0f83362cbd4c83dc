"""False alarms per hour of genuine media.

Conventions
-----------
A false alarm is one detection (after suppression) with score >= threshold in a recording whose reference list
is empty: one row that somebody has to check. The hours are those of all genuine recordings, with or without
alarms. Forged recordings count neither way. Alarms are taken as a Poisson count, so that ``upper_95`` is the
exact one-sided 95 % bound (Garwood 1936): with no alarm in H hours it is 3.0 / H. A rate below 3 / H is not
quoted, because so few hours cannot tell it from one three times as high.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from avloc.metrics.table import SegmentTable

QUOTABLE_ALARMS = 3


@dataclass(frozen=True, slots=True)
class Alarms:
    """False alarms at one threshold.

    Parameters
    ----------
    count : int
        Detections at or above the threshold in genuine recordings.
    hours : float [h]
        Genuine media.
    threshold : float
        Score from which a detection counts.
    """

    count: int
    hours: float
    threshold: float

    @property
    def per_hour(self) -> float | None:
        """Alarms an hour, or None where the hours allow no figure (fewer than 3 alarms, or no hours)."""
        return self.count / self.hours if self.count >= QUOTABLE_ALARMS and self.hours > 0 else None

    @property
    def smallest_quotable(self) -> float | None:
        """The lowest rate these hours can show: 3 / hours; None without any."""
        return QUOTABLE_ALARMS / self.hours if self.hours > 0 else None

    @property
    def upper_95(self) -> float | None:
        """Exact Poisson upper 95 % bound of the rate an hour; None without any hours."""
        return poisson_upper(self.count) / self.hours if self.hours > 0 else None

    def __str__(self) -> str:
        if self.hours <= 0:
            return "no genuine media"
        shown = f"< {self.smallest_quotable:.3g}" if self.per_hour is None else f"{self.per_hour:.3g}"
        return f"{shown} /h ({self.count} in {self.hours:.3g} h, 95 % bound {self.upper_95:.3g} /h)"

    def to_dict(self) -> dict[str, float | int | str | None]:
        """Plain values for a JSON file, ``text`` as ``str`` gives it."""
        return {
            "count": self.count,
            "hours": self.hours,
            "threshold": self.threshold,
            "per_hour": self.per_hour,
            "smallest_quotable_per_hour": self.smallest_quotable,
            "upper_95_per_hour": self.upper_95,
            "text": str(self),
        }


def poisson_upper(count: int, confidence: float = 0.95) -> float:
    """Exact one-sided upper bound of a Poisson mean after ``count`` events.

    Parameters
    ----------
    count : int [>= 0]
        Events seen.
    confidence : float [(0, 1)]
        Of the bound.

    Returns
    -------
    float
        The mean with which ``count`` or fewer events have probability 1 - ``confidence``.

    Raises
    ------
    ValueError
        If the arguments are out of range.

    Examples
    --------
    >>> round(poisson_upper(0), 3), round(poisson_upper(3), 3)
    (2.996, 7.754)
    """
    if count < 0 or not 0.0 < confidence < 1.0:
        raise ValueError(f"expected count >= 0 and confidence in (0, 1), got {count} and {confidence}")
    from scipy.special import gammaincinv  # a quarter of a second, and most scores have no alarms

    return float(gammaincinv(count + 1, confidence))


def false_alarms(
    detections: SegmentTable,
    references: SegmentTable,
    durations_s: Mapping[str, float],
    *,
    threshold: float,
) -> Alarms:
    """Count detections at or above ``threshold`` in genuine recordings.

    Parameters
    ----------
    detections, references : SegmentTable
        ``references`` says which recordings are genuine; a genuine one without detections still adds its
        hours.
    durations_s : mapping of str to float [s]
        Duration of every genuine recording.
    threshold : float
        Score from which a detection counts.

    Returns
    -------
    Alarms

    Raises
    ------
    ValueError
        If the duration of a genuine recording is missing or not positive, or the detections have no scores.
    """
    genuine, hours = genuine_hours(references, durations_s)
    if detections.scores is None:
        raise ValueError("detections must have scores, got a table without")
    scores = detections.select(genuine).scores
    return Alarms(int(np.count_nonzero(scores >= threshold)), hours, float(threshold))


def genuine_hours(
    references: SegmentTable, durations_s: Mapping[str, float]
) -> tuple[tuple[str, ...], float]:
    """Ids of the genuine recordings and their hours together; errors as in ``false_alarms``."""
    genuine = tuple(
        recording for recording, n in zip(references.ids, references.counts, strict=True) if n == 0
    )
    missing = [i for i in genuine if not durations_s.get(i, 0.0) > 0.0]
    if missing:
        raise ValueError(
            "every genuine recording needs a positive duration in seconds, "
            f"{len(missing)} lack it: {missing[:3]}"
        )
    return genuine, sum(durations_s[i] for i in genuine) / 3600.0
