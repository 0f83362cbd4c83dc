"""Where to cut: spans of a recording that hold speech, with ends in pauses or in mid-word."""

import numpy as np

from avloc.features.audio import SAMPLE_RATE

HOP = 160  # samples of one value of the envelope
SHORTEST_S, USUAL_LONGEST_S, LONGEST_S = 0.2, 3.0, 5.0
EDGE = 800  # samples, 50 ms: no segment begins or ends nearer to an end of the recording
SNAP_S = 0.12  # how far an end moves to reach a quiet place
JITTER_S = 0.006  # around the boundary of a word: its time is no better, and nobody cuts to the sample


def frame_envelope(samples: np.ndarray) -> np.ndarray:
    """RMS of each full 10 ms of ``samples`` (n,), shape (n // 160,)."""
    n_frames = len(samples) // HOP
    return np.sqrt((samples[: n_frames * HOP].reshape(n_frames, HOP) ** 2).mean(axis=1))


def draw_length(rng: np.random.Generator, longest_s: float) -> int:
    """Draw a length in samples: log-uniform from 0.2 to 3 s, at times to 5 s, at most ``longest_s``."""
    top = LONGEST_S if rng.random() < 0.1 else USUAL_LONGEST_S
    top = max(min(top, longest_s), SHORTEST_S)
    return int(SAMPLE_RATE * np.exp(rng.uniform(np.log(SHORTEST_S), np.log(top))))


def choose_span(
    rng: np.random.Generator,
    envelope: np.ndarray,
    threshold: float,
    *,
    bounds: tuple[int, int],
    length: int,
    quiet_ends: float = 0.7,
    min_speech: float = 0.4,
) -> tuple[int, int] | None:
    """Draw a span that holds speech.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    envelope : np.ndarray [shape=(n,)]
        RMS per 10 ms.
    threshold : float
        RMS above which a frame counts as speech.
    bounds : (int, int) [samples]
        The span stays inside.
    length : int [samples]
        Wished length; moving the ends to quiet places changes it by up to 0.24 s.
    quiet_ends : float [0, 1]
        Probability, for each end by itself, of moving it to the quietest place within 0.12 s.
    min_speech : float [0, 1]
        Least fraction of frames over ``threshold``.

    Returns
    -------
    (int, int) or None
        Start and end in samples; None if no try fits.
    """
    low, high = max(bounds[0], 0), min(bounds[1], len(envelope) * HOP)
    if high - low < length:
        return None
    for _ in range(10):
        start = int(rng.integers(low, high - length + 1))
        ends = [start, start + length]
        for k in range(2):
            if rng.random() < quiet_ends:
                ends[k] = _quietest(rng, envelope, ends[k])
        start, end = max(ends[0], low), min(ends[1], high)
        if end - start < int(SHORTEST_S * SAMPLE_RATE * 0.75):
            continue
        frames = envelope[start // HOP : -(-end // HOP)]
        if len(frames) and (frames > threshold).mean() >= min_speech:
            return start, end
    return None


def _quietest(rng: np.random.Generator, envelope: np.ndarray, position: int) -> int:
    reach = int(SNAP_S * SAMPLE_RATE / HOP)
    centre = position // HOP
    first = max(centre - reach, 0)
    frames = envelope[first : centre + reach + 1]
    # Any sample of the frame, so that no joint betrays itself by lying on a 10 ms grid.
    return position if not len(frames) else (first + int(frames.argmin())) * HOP + int(rng.integers(HOP))
