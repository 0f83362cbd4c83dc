"""Where to cut words out so that the level goes on at a joint as the host's own did.

Two random places of speech differ in level by more than two neighbouring ones do: a step at a joint would be
the easiest way to find a splice, and says nothing of the words between.
"""

import numpy as np

from avloc.features.audio import SAMPLE_RATE
from avloc.synth.spans import HOP, SNAP_S, choose_span

REACH = int(SNAP_S * SAMPLE_RATE / HOP)  # frames of 10 ms that an end moves at most
GOOD_DB = 2.0  # steps of natural speech between frames of 20 ms are mostly larger
TRIES = 8


def levels_db(envelope: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """Level (n,) of each 20 ms that begin with a frame of ``envelope`` (n,), in dB, after ``gain``."""
    power = (envelope.astype(np.float64) * gain) ** 2
    after = np.append(power[1:], power[-1:])
    return 10 * np.log10((power + after) / 2 + 1e-10)


def cut_words(
    rng: np.random.Generator,
    envelope: np.ndarray,
    threshold: float,
    *,
    bounds: tuple[int, int],
    host: np.ndarray,
    span: tuple[int, int],
    gain: float,
) -> tuple[int, int] | None:
    """Draw a stretch of speech that begins and ends as loud as what it replaces.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    envelope : np.ndarray [shape=(n,)]
        RMS per 10 ms of the source.
    threshold : float
        RMS above which a frame of the source counts as speech.
    bounds : (int, int) [samples]
        The stretch stays inside.
    host : np.ndarray [shape=(m,)]
        RMS per 10 ms of the host.
    span : (int, int) [samples]
        What is replaced; the stretch is as long but for 0.24 s, and its end is compared with the host at as
        long after the start.
    gain : float
        From the source's level to the host's.

    Returns
    -------
    (int, int) or None
        Start and end in samples of the source: the best of eight draws.
    """
    ours, theirs = levels_db(envelope, gain), levels_db(host)
    best, least = None, np.inf
    for _ in range(TRIES):
        drawn = choose_span(rng, envelope, threshold, bounds=bounds, length=span[1] - span[0], quiet_ends=0.0)
        if drawn is None:
            continue
        starts = _frames_near(drawn[0], len(ours))
        missed = np.abs(ours[starts] - theirs[min(span[0] // HOP, len(theirs) - 1)])
        start = int(starts[missed.argmin()])
        ends = _frames_near(drawn[1], len(ours))
        there = np.minimum(span[0] // HOP + ends - start, len(theirs) - 1)
        # The last 20 ms of the stretch against those that the host has at the same time.
        missed_end = np.abs(ours[ends - 2] - theirs[np.maximum(there - 2, 0)])
        end = int(ends[missed_end.argmin()])
        worst = max(missed.min(), missed_end.min())
        if end - start >= len(ends) and bounds[0] <= start * HOP and end * HOP <= bounds[1] and worst < least:
            best, least = (start, end), worst
        if least < GOOD_DB:
            break
    if best is None:
        return None
    # Any sample of a frame, so that no joint betrays itself by lying on a 10 ms grid.
    inside = [place * HOP + int(rng.integers(HOP)) for place in best]
    return max(inside[0], bounds[0]), min(inside[1], bounds[1])


def nearest_level(
    rng: np.random.Generator, host: np.ndarray, position: int, level_db: float, *, bounds: tuple[int, int]
) -> int:
    """Move ``position`` by at most 0.12 s to where the 20 ms before it are nearest to ``level_db``.

    ``host`` (m,) is the RMS per 10 ms; the result is inside ``bounds`` in samples.
    """
    levels = levels_db(host)
    frames = _frames_near(position, len(levels))
    frames = frames[(frames * HOP >= bounds[0]) & ((frames + 1) * HOP <= bounds[1])]
    if not len(frames):
        return min(max(position, bounds[0]), bounds[1])
    best = int(frames[np.abs(levels[frames - 2] - level_db).argmin()])
    return best * HOP + int(rng.integers(HOP))


def _frames_near(position: int, n_frames: int) -> np.ndarray:
    centre = position // HOP
    return np.arange(max(centre - REACH, 2), max(min(centre + REACH + 1, n_frames), 3))
