"""A bed of made-up music: chords of plucked or held tones over a beat, so that no recording is needed."""

import numpy as np

from avloc.features.audio import SAMPLE_RATE

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9))  # semitones
SILENT_SHARE = 1e-3  # of a note's amplitude: from there on it is left out


def play_music(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Play a random piece.

    Parameters
    ----------
    rng : np.random.Generator
        For key, tempo, instrument, chords and beat.
    n_samples : int
        Length at 16 kHz.

    Returns
    -------
    np.ndarray [shape=(n_samples,), float32]
        Of RMS 1 unless empty.
    """
    scale = SCALES[int(rng.integers(len(SCALES)))]
    root = 110.0 * 2 ** (rng.uniform(0, 12) / 12)
    beat = int(SAMPLE_RATE * 60 / rng.uniform(60, 140))
    decay_s, n_partials, bright = rng.uniform(0.2, 2.5), int(rng.integers(2, 8)), rng.uniform(0.5, 2.0)
    drum = float(rng.choice([0.0, 0.0, 0.3]))
    out = np.zeros(n_samples + 4 * SAMPLE_RATE, dtype=np.float32)
    place = -int(rng.integers(0, 4 * beat))  # anywhere in a bar
    degree, notes = 0, {}
    for k in range((n_samples - place) // beat + 1):
        if k % 4 == 0:
            degree = int(rng.integers(len(scale)))
        chosen = rng.choice([0, 2, 4], size=int(rng.integers(1, 4)), replace=False)
        for step in sorted(int(c) for c in chosen):
            octave, tone = divmod(degree + step, len(scale))
            key = 12 * octave + scale[tone]
            if key not in notes:
                notes[key] = _note(root * 2 ** (key / 12), decay_s, n_partials, bright)
            _add(out, place + k * beat, notes[key])
        if drum and k % 2 == 0:
            _add(out, place + k * beat, drum * _hit(rng))
    out = out[:n_samples]
    return out / max(float(np.sqrt((out**2).mean())), 1e-9) if n_samples else out


def _note(pitch_hz: float, decay_s: float, n_partials: int, bright: float) -> np.ndarray:
    n = int(min(decay_s * np.log(1 / SILENT_SHARE), 4.0) * SAMPLE_RATE)
    time = np.arange(n) / SAMPLE_RATE
    partials = [p for p in range(1, n_partials + 1) if p * pitch_hz < 0.45 * SAMPLE_RATE]
    tone = sum(
        np.sin(2 * np.pi * p * pitch_hz * time) * p**-bright * np.exp(-time * p**0.5 / decay_s)
        for p in partials
    )
    return (tone * np.minimum(time / 0.01, 1)).astype(np.float32)


def _hit(rng: np.random.Generator) -> np.ndarray:
    n = SAMPLE_RATE // 8
    return (rng.standard_normal(n) * np.exp(-np.arange(n) / (0.02 * SAMPLE_RATE))).astype(np.float32)


def _add(out: np.ndarray, start: int, sound: np.ndarray) -> None:
    first, last = max(start, 0), min(start + len(sound), len(out))
    if last > first:
        out[first:last] += sound[first - start : last - start]
