"""Words left out, said twice or exchanged, where it is known when each was said."""

import numpy as np

from avloc.features.audio import SAMPLE_RATE
from avloc.synth.arrangement import Arrangement, cut_to
from avloc.synth.host import Host
from avloc.synth.spans import EDGE, JITTER_S
from avloc.synth.splice import EQUAL_POWER, LINEAR

OPERATIONS = ("delete", "repeat", "reorder")
JOIN_S = 0.1  # the truth reaches so far to either side of a joint
RESERVE_S = 0.52  # of the recording that follows a host: the most that is left out
SHORTEST_S, LONGEST_GAP_S = 0.08, 0.25


def edit_words(
    rng: np.random.Generator, host: Host, *, grid: int = 1
) -> tuple[Arrangement, list[tuple[int, int]], dict] | None:
    """Draw an operation on one or two words of ``host``, in running speech.

    Where there is a picture it is cut along with the sound. Cutting the sound alone would put all that
    follows out of sync, which is another family; filling the gap to keep the sync would need foreign or
    silent material, and the span between the joints would be forged as well. So only the joints are.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    host : Host
        Of an entry with words, followed by ``RESERVE_S`` of its recording: the result is as long as the host
        and ends in mid-recording whatever was done.
    grid : int [samples]
        What is cut out or put in is a multiple of this: a frame of the picture, so that sync stays exact.

    Returns
    -------
    (Arrangement, list of (int, int), dict) or None
        Pieces of ``host.read(host.start, ...)``; spans of ±0.1 s around each joint, joined where they
        overlap; ``operation`` and ``words``. None if the drawn words do not fit.
    """
    n = len(host.samples)
    bounds, said = _consecutive(host)
    count = int(rng.choice([1, 1, 2]))
    operation = OPERATIONS[int(rng.integers(len(OPERATIONS)))]
    needed = count + (1 if operation == "reorder" else 0)
    places = [k for k in range(len(said)) if _in_one_breath(bounds, k, needed)]
    if not places:
        return None
    k = int(rng.choice(places))
    marks = [bounds[k][0], bounds[k + count][0], bounds[k + needed][0]]
    start, middle, end = (round(m + rng.normal(0, JITTER_S) * SAMPLE_RATE) for m in marks)
    middle = start + _rounded(middle - start, grid)
    end = middle + _rounded(end - middle, grid) if operation == "reorder" else middle
    shortest = int(SHORTEST_S * SAMPLE_RATE)
    if middle - start < shortest or start < EDGE or end > n - EDGE:
        return None
    if operation == "delete":
        if middle - start > RESERVE_S * SAMPLE_RATE:
            return None
        order = [(0, start), (middle, middle + n)]
    elif operation == "repeat":
        order = [(0, middle), (start, start + n)]
    else:
        if end - middle < shortest:
            return None
        order = [(0, start), (middle, end), (start, middle), (end, end + n)]
    pieces = cut_to(order, n)
    fades = tuple(
        (int(rng.integers(32, 321)), EQUAL_POWER if rng.random() < 0.5 else LINEAR) for _ in pieces[1:]
    )
    arrangement = Arrangement(pieces, fades)
    parameters = {"operation": operation, "words": [said[j] for j in range(k, k + needed)]}
    return arrangement, _around(arrangement.joints, n), parameters


def _consecutive(host: Host) -> tuple[list[tuple[int, int]], list[str]]:
    """Give (start, end) of the words in samples of the host, with an empty one at the end; and the words."""
    inside = host.words()
    bounds = [(start, end) for start, end, _ in inside]
    return [*bounds, (bounds[-1][1],) * 2] if bounds else [], [word for *_, word in inside]


def _in_one_breath(bounds: list[tuple[int, int]], first: int, count: int) -> bool:
    """``count`` words from ``first`` on, and the beginning of the next, follow each other without a pause."""
    if first + count >= len(bounds):
        return False
    longest = LONGEST_GAP_S * SAMPLE_RATE
    return all(bounds[k + 1][0] - bounds[k][1] < longest for k in range(first, first + count))


def _rounded(length: int, grid: int) -> int:
    return round(length / grid) * grid


def _around(joints: tuple[int, ...], n_samples: int) -> list[tuple[int, int]]:
    reach = int(JOIN_S * SAMPLE_RATE)
    spans: list[tuple[int, int]] = []
    for joint in sorted(joints):
        first, last = max(joint - reach, 0), min(joint + reach, n_samples)
        if spans and first <= spans[-1][1]:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((first, last))
    return spans
