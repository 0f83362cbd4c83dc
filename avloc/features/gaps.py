"""Holes in a stream of samples: spans of one value, and frames that repeat the one before.

A hole of whole packets inside a signal is a lost packet; a longer one, in a recording whose pauses otherwise
hold noise, was made by somebody who muted it. Recordings whose every pause is digital silence (noise gates,
muted microphones, synthesised speech) have no holes.
"""

from array import array
from dataclasses import dataclass

import numpy as np

from avloc.features.audio import SAMPLE_RATE
from avloc.features.tones import stretches

LOOKBACK = 1024  # samples before a block that must be known, 64 ms
LOOKAHEAD = 2048
FLAT = 2.0**-17  # a quarter of a step of 16 bits: what a resampler leaves of a constant
MUTED = 0.02  # a larger constant is no silence but a clipped peak
SHORTEST_SAMPLES = 88  # 5.5 ms: a lost packet of 10 ms whose edges a resampler has smeared
SMEAR_S, OVERHANG_S = 0.0045, 0.0007
PACKET_S = 0.01
MIN_REDACTION_S = 0.0955  # 0.1 s with smeared edges

EDGE_SAMPLES, CONTEXT_SAMPLES = 64, 384  # 4 ms at the edge of a hole against 24 ms
WIDE_EDGE_SAMPLES, WIDE_CONTEXT_SAMPLES = 192, 640  # lossy coders spread an edge
FADE_DB = 12.0  # a fade or the natural end of a word falls by more within the context
LOUD_DB, AUDIBLE_DB = -60.0, -75.0

LEVEL_SAMPLES = 256  # 16 ms
FLOOR_QUANTILE, FLOOR_RANGE_DB = 0.1, 6.0
PAUSE_FRAMES, CLEAR_FRAMES = 6, 12  # 0.1 s of floor, at least 0.2 s from any hole
MIN_PAUSES = 2
SILENT_DB, NOTHING_DB = -120, -100.0  # one value; less than the rounding to 16 bits
MUTED_DB, BELOW_FLOOR_DB = -72.0, 25.0
SMEAR_FRAMES = 3
LOWEST_CODED_FLOOR_DB = -65.0  # lossy coders drop noise below it of themselves

LAGS = (160, 320, 480)  # packets of 10, 20 and 30 ms
MAX_REPEATS = 3
STEP_SAMPLES = 16  # 1 ms, the step in which repetition is measured
LOST_STEPS = 4  # of a repeated frame: both edges, smeared and off the grid of steps
SIDE_STEPS = 6  # 6 ms on each side of a repeated frame
REPEATED, BROKEN = 0.9995, 0.9  # correlation inside a repeated frame, and at its sides
LOUD_CHANGE_DB = -65.0  # of the difference of neighbouring samples, which holds no mains hum


@dataclass(frozen=True, slots=True)
class _Hole:
    """A span of one value; levels [dB] at both edges and in the context of both, narrow then wide."""

    start: int
    end: int
    before_db: tuple[float, ...]
    after_db: tuple[float, ...]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return (self.end - self.start) / SAMPLE_RATE

    def is_hard(self, *, wide: bool) -> bool:
        """Tell whether the signal goes on up to both edges."""
        edge, context = (2, 3) if wide else (0, 1)
        sides = (self.before_db, self.after_db)
        return all(side[edge] >= side[context] - FADE_DB and side[edge] >= AUDIBLE_DB for side in sides)


class GapFinder:
    """Lost packets and muted spans; ``push`` consecutive blocks of a multiple of 256 samples.

    Notes
    -----
    What is kept grows by 62.5 bytes a second: the level of every 16 ms, of which the noise floor is taken.
    """

    def __init__(self) -> None:
        self._n_samples = 0
        self._open: tuple[int, tuple[float, ...]] | None = None
        self._holes: list[_Hole] = []
        self._repeats: list[tuple[int, int]] = []
        self._levels = array("b")

    def push(self, samples: np.ndarray) -> None:
        """Take a block with its surroundings.

        Parameters
        ----------
        samples : float32 (1024 + n + 2048,)
            The block of n samples, what came before it (zeros at the start) and what follows (zeros).
        """
        n = len(samples) - LOOKBACK - LOOKAHEAD
        own = samples[LOOKBACK : LOOKBACK + n]
        power = np.square(own, dtype=np.float32).reshape(-1, LEVEL_SAMPLES).mean(axis=1)
        spread = np.ptp(own.reshape(-1, LEVEL_SAMPLES), axis=1)
        level = np.where(
            (spread <= FLAT) & (power <= MUTED**2), SILENT_DB, np.round(10.0 * np.log10(power + 1e-12))
        )
        self._levels.frombytes(level.clip(SILENT_DB, 10).astype(np.int8).tobytes())
        self._find_holes(samples, n)
        self._find_repeats(samples, n)
        self._n_samples += n

    def losses(self) -> list[tuple[float, float]]:
        """Spans [s] of lost packets so far.

        A span of one value that lasts a multiple of 10 ms, up to 100 ms, between loud signal that breaks off;
        or a frame of 10, 20 or 30 ms that repeats the one before it as it was or fainter, as concealment of a
        lost packet does (ITU-T G.711 appendix I names both). Concealment by pitch periods is not recognised.
        """
        lost = [(h.start, h.end) for h in self._holes if h.duration_s < MIN_REDACTION_S]
        return [(start / SAMPLE_RATE, end / SAMPLE_RATE) for start, end in sorted(lost + self._repeats)]

    def redactions(self) -> list[tuple[float, float]]:
        """Spans [s] that somebody muted: at least 0.1 s of silence between signal that breaks off.

        Silence is one value, or, after a lossy coder, at least 25 dB less than the noise floor. The recording
        must also have pauses with noise in them, at least two and as many as silent spans, hard or not;
        otherwise silence is what its pauses are made of.
        """
        level = np.frombuffer(self._levels, dtype=np.int8).astype(np.float64)
        if not (level > NOTHING_DB).any():
            return []
        floor = float(np.quantile(level[level > NOTHING_DB], FLOOR_QUANTILE))
        silent = level <= max(NOTHING_DB, min(MUTED_DB, floor - BELOW_FLOOR_DB))
        muted = [h for h in self._holes if h.duration_s >= MIN_REDACTION_S]
        dips = [(start, stop) for start, stop in stretches(silent) if stop - start >= PAUSE_FRAMES]
        if _count_pauses(level, floor, silent) < max(MIN_PAUSES, len(muted), len(dips)):
            return []
        hard = [(h.start / SAMPLE_RATE, h.end / SAMPLE_RATE) for h in muted if h.is_hard(wide=True)]
        if floor < LOWEST_CODED_FLOOR_DB:
            return hard
        for dip in dips:
            span = _coded_mute(level, floor, *dip)
            is_new = span is not None and all(end <= span[0] or span[1] <= start for start, end in hard)
            if is_new and not _is_exact(span, muted):
                hard.append(span)
        return sorted(hard)

    def _find_holes(self, samples: np.ndarray, n: int) -> None:
        own = samples[LOOKBACK - 1 : LOOKBACK + n]
        flat = np.abs(own[1:] - own[:-1]) <= FLAT  # flat[i]: sample i of the block equals the one before it
        if self._open is not None and not flat[0]:
            self._close(samples, 0)
        for start, stop in stretches(flat, SHORTEST_SAMPLES - 1):
            if not (start == 0 and self._open is not None):
                if stop - start < SHORTEST_SAMPLES - 1 and stop < n:
                    continue
                first = max(0, start - 1)
                if abs(float(own[first + 1])) > MUTED:
                    continue
                self._open = (self._n_samples + first, _levels_db(samples[: LOOKBACK + first + 1][::-1]))
            if stop < n:
                self._close(samples, stop)

    def _close(self, samples: np.ndarray, stop: int) -> None:
        """End the open hole before sample ``stop`` of the block."""
        start, before_db = self._open
        self._open = None
        end = self._n_samples + stop
        if end - start < SHORTEST_SAMPLES or start <= 0:  # nothing came before the recording's first sample
            return
        hole = _Hole(start, end, before_db, _levels_db(samples[LOOKBACK + stop :]))
        if hole.duration_s >= MIN_REDACTION_S or _is_loss(hole):
            self._holes.append(hole)

    def _find_repeats(self, samples: np.ndarray, n: int) -> None:
        longest = LAGS[-1] // STEP_SAMPLES
        n_own = n // STEP_SAMPLES + 2 * SIDE_STEPS + MAX_REPEATS * longest
        first = LOOKBACK - (SIDE_STEPS + longest) * STEP_SAMPLES
        heard = samples[first - 1 : first + (longest + n_own) * STEP_SAMPLES]
        change = (heard[1:] - heard[:-1]).reshape(-1, STEP_SAMPLES)
        energy = _products(change, change)
        loud = energy[longest:] >= STEP_SAMPLES * 10.0 ** (LOUD_CHANGE_DB / 10.0)
        for lag in (samples // STEP_SAMPLES for samples in LAGS):
            # A repeated frame holds at least one of these.
            probes = np.arange(0, n_own, lag - LOST_STEPS)
            if not (loud[probes] & (_likeness(change, energy, longest + probes, lag) >= REPEATED)).any():
                continue
            alike = _likeness(change, energy, np.arange(longest, longest + n_own), lag)
            for start, stop in stretches((alike >= REPEATED) & loud):
                is_own = SIDE_STEPS <= start < SIDE_STEPS + n // STEP_SAMPLES
                if is_own and _is_repeat(alike, start, stop, lag):
                    base = self._n_samples - SIDE_STEPS * STEP_SAMPLES
                    self._repeats.append((base + start * STEP_SAMPLES, base + stop * STEP_SAMPLES))


def _count_pauses(level: np.ndarray, floor: float, silent: np.ndarray) -> int:
    """Stretches of at least 0.1 s within 6 dB of the noise floor and away from silence."""
    near = np.convolve(silent, np.ones(2 * CLEAR_FRAMES + 1))[CLEAR_FRAMES : CLEAR_FRAMES + len(silent)] > 0.5
    quiet = (np.abs(level - floor) <= FLOOR_RANGE_DB) & ~near
    return sum(stop - start >= PAUSE_FRAMES for start, stop in stretches(quiet))


def _coded_mute(level: np.ndarray, floor: float, start: int, stop: int) -> tuple[float, float] | None:
    """Span [s] of a silent stretch of frames with the smear at its ends; None if the signal fades there."""
    heard = floor - FLOOR_RANGE_DB
    before = [k for k in range(start - 1, start - 2 - SMEAR_FRAMES, -1) if k >= 0 and level[k] >= heard]
    after = [k for k in range(stop, stop + 1 + SMEAR_FRAMES) if k < len(level) and level[k] >= heard]
    if not before or not after:
        return None
    first, last = before[0], after[0]
    for edge, context in ((first, level[max(0, first - 3) : first]), (last, level[last + 1 : last + 4])):
        if len(context) == 0 or level[edge] < 10.0 * np.log10(np.mean(10.0 ** (context / 10.0))) - FADE_DB:
            return None
    return (first + 1) * LEVEL_SAMPLES / SAMPLE_RATE, last * LEVEL_SAMPLES / SAMPLE_RATE


def _is_exact(span: tuple[float, float], holes: list[_Hole]) -> bool:
    """Tell whether one value fills a span up to its ends; a lossy coder would have smeared them."""
    start, end = ((span[0] + SMEAR_S) * SAMPLE_RATE, (span[1] - SMEAR_S) * SAMPLE_RATE)
    return any(hole.start <= start and hole.end >= end for hole in holes)


def _is_loss(hole: _Hole) -> bool:
    n_packets = max(1, round((hole.duration_s + (SMEAR_S - OVERHANG_S) / 2) / PACKET_S))
    fits = -SMEAR_S <= hole.duration_s - n_packets * PACKET_S <= OVERHANG_S
    is_loud = min(hole.before_db[1], hole.after_db[1]) >= LOUD_DB
    return fits and hole.duration_s < MIN_REDACTION_S and is_loud and hole.is_hard(wide=False)


def _is_repeat(alike: np.ndarray, start: int, stop: int, lag: int) -> bool:
    """Tell whether steps (start, stop) are one to three whole frames of ``lag`` steps and end abruptly."""
    if stop + SIDE_STEPS > len(alike):
        return False
    n_frames = -(-(stop - start) // lag)
    sides = (alike[start - SIDE_STEPS : start - 1], alike[stop + 1 : stop + SIDE_STEPS])
    fits = n_frames <= MAX_REPEATS and n_frames * lag - (stop - start) <= LOST_STEPS
    return fits and all(np.median(side) < BROKEN for side in sides)


def _levels_db(outward: np.ndarray) -> tuple[float, ...]:
    """RMS [dB] of the nearest 4 and 24 ms, then 12 and 40 ms, of samples (n,) that lead away from a hole."""
    lengths = (EDGE_SAMPLES, CONTEXT_SAMPLES, WIDE_EDGE_SAMPLES, WIDE_CONTEXT_SAMPLES)
    return tuple(
        float(10.0 * np.log10(np.square(outward[:k], dtype=np.float64).mean() + 1e-12)) for k in lengths
    )


def _likeness(change: np.ndarray, energy: np.ndarray, steps: np.ndarray, lag: int) -> np.ndarray:
    """Correlation of some steps (n,) of ``change`` (T, 16) with those ``lag`` steps earlier: float32 (n,)."""
    product = _products(change[steps], change[steps - lag])
    return product / np.sqrt(np.maximum(energy[steps] * energy[steps - lag], 1e-20))


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum products over steps of 1 ms: float32 (n,) of (n, 16)."""
    return np.einsum("ij,ij->i", a, b)
