"""Changing tempo or pitch of a span with pieces of its own waveform, overlapped and added."""

import numpy as np

from avloc.features.audio import SAMPLE_RATE
from avloc.synth.source_filter import pitch

UNVOICED = 128  # samples, 8 ms: between marks where there is no period
PITCH_HOP = 80


def wsola(samples: np.ndarray, factor: float, *, frame: int = 512, tolerance: int = 160) -> np.ndarray:
    """Make ``samples`` (n,) ``factor`` times as long at the same pitch.

    Each frame of ``frame`` samples is taken where, within ``tolerance`` samples of its due place, it goes on
    most alike to the frame before.

    References
    ----------
    .. [1] Verhelst and Roelands, "An overlap-add technique based on waveform similarity (WSOLA)",
       ICASSP 1993.
    """
    hop = frame // 2
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)).astype(np.float32)
    n_out = round(len(samples) * factor)
    n_frames = -(-n_out // hop) + 2
    padded = np.pad(samples, (frame + tolerance, 2 * frame + 2 * tolerance))
    origin = frame + tolerance - hop  # output frame k begins at k * hop - hop
    out = np.zeros((n_frames + 1) * hop + frame, dtype=np.float32)
    weight = np.zeros_like(out)
    last = None
    for k in range(n_frames):
        due = min(origin + round(k * hop / factor), len(padded) - 2 * frame - tolerance)
        if last is None:
            start = due
        else:
            wanted = padded[last + hop : last + hop + frame]
            around = padded[due - tolerance : due + tolerance + frame]
            likeness = np.correlate(around, wanted, "valid")
            power = np.convolve(around**2, np.ones(frame, dtype=np.float32), "valid")
            start = due - tolerance + int((likeness / np.sqrt(power + 1e-6)).argmax())
        out[k * hop : k * hop + frame] += padded[start : start + frame] * window
        weight[k * hop : k * hop + frame] += window
        last = start
    return (out / np.maximum(weight, 1e-3))[hop : hop + n_out]


def psola(samples: np.ndarray, semitones: float, *, periods: float = 1.0) -> np.ndarray:
    """Raise the pitch of ``samples`` (n,) by ``semitones``; the formants, and what is unvoiced, stay.

    ``periods`` is the half length of a piece in periods.

    References
    ----------
    .. [1] Moulines and Charpentier, "Pitch-synchronous waveform processing techniques for text-to-speech
       synthesis using diphones", Speech Communication 1990 (time domain).
    """
    marks, period, voiced = pitch_marks(samples)
    factor = 2 ** (semitones / 12)
    longest = int(period.max() * periods) + 1
    padded = np.pad(samples, longest)
    out, weight = np.zeros_like(padded), np.zeros_like(padded)
    place = float(marks[0])
    while place < len(samples):
        k = int(np.abs(marks - place).argmin())
        half = int(period[k] * periods)
        window = (0.5 + 0.5 * np.cos(np.pi * np.arange(-half, half + 1) / (half + 1))).astype(np.float32)
        to, source = round(place) + longest, int(marks[k]) + longest
        out[to - half : to + half + 1] += padded[source - half : source + half + 1] * window
        weight[to - half : to + half + 1] += window
        place += period[k] / factor if voiced[k] else period[k]
    # Where pieces leave a gap, a lower pitch has one too: it is not blown up.
    return (out / np.maximum(weight, 0.5))[longest : longest + len(samples)].astype(np.float32)


def pitch_marks(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find where the periods of ``samples`` (n,) peak.

    Returns
    -------
    np.ndarray [shape=(M,), int64]
        Marks in samples, a period apart; ``UNVOICED`` samples apart where there is none.
    np.ndarray [shape=(M,), int64]
        Period at each mark in samples.
    np.ndarray [shape=(M,), bool]
        Whether it is voiced.
    """
    f0 = pitch(samples, PITCH_HOP, len(samples) // PITCH_HOP + 1)
    marks, periods, voiced = [], [], []
    place = 0
    while place < len(samples):
        hertz = float(f0[min(place // PITCH_HOP, len(f0) - 1)])
        period = round(SAMPLE_RATE / hertz) if hertz > 0 else UNVOICED
        if hertz > 0:
            reach = max(period // 5 if voiced and voiced[-1] else period // 2, 1)
            first = max(place - reach, (marks[-1] + 1) if marks else 0)
            near = samples[first : place + reach + 1]
            place = first + int(near.argmax()) if len(near) else place
        marks.append(place)
        periods.append(period)
        voiced.append(hertz > 0)
        place += period
    return np.array(marks), np.array(periods), np.array(voiced)
