"""Changing tempo or pitch of a span with long sequences of its own waveform, joined where they fit."""

import numpy as np

from avloc.synth.phase_vocoder import resample_to


def sola(
    samples: np.ndarray, factor: float, *, sequence: int = 960, overlap: int = 160, seek: int = 240
) -> np.ndarray:
    """Make ``samples`` (n,) ``factor`` times as long at the same pitch.

    Each sequence begins within ``seek`` samples of its due place, where it is most alike to the end of what
    was put out before, and cross-fades with that over ``overlap`` samples.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,), float32]
        Any sound.
    factor : float [> 0]
        Length of the result over the length of ``samples``.
    sequence, overlap, seek : int [samples]
        Length of a sequence, of a cross-fade and of the search; a sequence is longer than two overlaps.

    Returns
    -------
    np.ndarray [shape=(round(factor n),), float32]

    References
    ----------
    .. [1] Roucos and Wilgus, "High quality time-scale modification for speech", ICASSP 1985.
    """
    step = sequence - overlap
    n_out = round(len(samples) * factor)
    n_sequences = -(-n_out // step) + 1
    padded = np.pad(samples.astype(np.float32), (0, sequence + seek + round(n_sequences * step / factor)))
    out = np.zeros(n_sequences * step + overlap, dtype=np.float32)
    out[:sequence] = padded[:sequence]
    rising = (np.arange(overlap, dtype=np.float32) + 0.5) / overlap
    for k in range(1, n_sequences):
        place, due = k * step, round(k * step / factor)
        before = out[place : place + overlap]
        around = padded[due : due + seek + overlap]
        likeness = np.correlate(around, before, "valid")
        power = np.convolve(around**2, np.ones(overlap, dtype=np.float32), "valid")
        start = due + int((likeness / np.sqrt(power + 1e-6)).argmax())
        taken = padded[start : start + sequence]
        out[place : place + overlap] = before * (1 - rising) + taken[:overlap] * rising
        out[place + overlap : place + sequence] = taken[overlap:]
    return out[:n_out]


def shift_by_rate(samples: np.ndarray, semitones: float, **parameters: int) -> np.ndarray:
    """Raise pitch and formants of ``samples`` (n,) by ``semitones``: stretched, then resampled."""
    return resample_to(sola(samples, 2 ** (semitones / 12), **parameters), len(samples))
