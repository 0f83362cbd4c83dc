"""Comfort noise: pauses in which steady noise of another kind replaces the background.

A sender that transmits nothing in pauses lets the receiver make noise (ITU-T G.711 appendix II, RFC 3389).
It begins a hangover after the last word: background, then, from one packet to the next, noise of another
level or colour, until the next word brings the background back. The same step is what a splice leaves once;
so the step must recur, always in this direction. Comfort noise that matches its background is not found.
"""

from dataclasses import dataclass

import numpy as np

from avloc.features.audio import SAMPLE_RATE

N_FFT, HOP = 512, 128
EDGES_HZ = (200, 500, 800, 1200, 1700, 2300, 3000, 3700)  # what a telephone leaves
STEP_FRAMES = 4  # 32 ms
BEFORE_STEPS, GAP_STEPS, AFTER_STEPS = 3, 2, 13  # background, windows across the step, 0.42 s of noise
CONTEXT_STEPS = BEFORE_STEPS + GAP_STEPS + AFTER_STEPS
LEVEL_RANGE_DB = (-85.0, -30.0)
# Gaussian noise has standard deviations of 0.8 to 1.3 dB in these bands.
BEFORE_SPREAD_DB, AFTER_SPREAD_DB, AFTER_BAND_SPREAD_DB, AFTER_TREND_DB = 1.5, 1.4, 2.0, 1.0
STEP_MAX_DB, STEP_RMS_DB = 6.0, 4.0
DEPARTURE_DB, DEPARTURE_SHARE = 4.0, 0.5  # mean over the bands, or share of the step, that ends a span
FADE_SHARE, BETWEEN_FRAMES = 0.2, 3  # of the step; a window of 32 ms across a switch gives two frames
MIN_SPANS, ALIKE_DB, BACKGROUND_ALIKE_DB, MAX_REVERSED = 3, 2.5, 4.0, 1 / 3


@dataclass(slots=True)
class _Change:
    """A step from one steady noise to another: band levels before and after [dB], and steps of 32 ms."""

    before: np.ndarray
    after: np.ndarray
    start: int
    end: int

    def way(self, levels: np.ndarray) -> np.ndarray:
        """How far levels (n, bands) are on the way from the noise before, 0, to the one after, 1: (n,)."""
        difference = self.after - self.before
        return (levels - self.before) @ difference / (difference @ difference)


class ComfortNoiseFinder:
    """Spans of comfort noise; ``push`` consecutive blocks of power spectra, ``finish``, then call ``spans``.

    A span begins where noise that was steady for at least 0.1 s changes by at least 6 dB in a band, and 4 dB
    over all, into noise that is as steady as Gaussian noise for at least 0.45 s; it ends where that changes.
    It counts if three spans of the recording have the same noise after the same background, and at most a
    third as many steps lead back.

    Notes
    -----
    Clips with one background that were pasted into one steady noise, three or more, look the same.
    """

    def __init__(self) -> None:
        self._changes: list[_Change] = []
        self._open: _Change | None = None
        self._bands = np.zeros((0, STEP_FRAMES, len(EDGES_HZ) - 1))  # power of what later steps need
        self._levels = self._bands.mean(axis=1)  # [dB]
        self._first = 0  # step of the first row of both

    def push(self, power: np.ndarray) -> None:
        """Take the next block: power spectra (T, 257) of Hann windows every 128 samples; 4 divides T."""
        edges = [round(edge * N_FFT / SAMPLE_RATE) for edge in EDGES_HZ]
        bands = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1, dtype=np.float64)
        bands = bands.reshape(-1, STEP_FRAMES, bands.shape[1]) / (3.0 * N_FFT**2 / 16.0) + 1e-12
        self._bands = np.concatenate([self._bands, bands])
        self._levels = np.concatenate([self._levels, 10.0 * np.log10(bands.mean(axis=1))])
        self._advance(len(self._levels) - CONTEXT_STEPS + 1)

    def finish(self) -> None:
        """Close the last span."""
        self._follow(len(self._levels))
        self._close(self._first + len(self._levels))

    def spans(self) -> list[tuple[float, float]]:
        """Spans [s] so far, if their noise recurs."""
        if len(self._changes) < MIN_SPANS:
            return []
        before = np.stack([change.before for change in self._changes])
        after = np.stack([change.after for change in self._changes])
        alike = [_alike(b, a, before, after) for b, a in zip(before, after, strict=True)]
        best = max(range(len(alike)), key=lambda index: (alike[index].sum(), -index))
        n = int(alike[best].sum())
        n_back = int(_alike(after[best], before[best], before, after).sum())
        if n < MIN_SPANS or n_back > MAX_REVERSED * n:
            return []
        found = [self._changes[index] for index in np.flatnonzero(alike[best])]
        step_s = STEP_FRAMES * HOP / SAMPLE_RATE
        return [(change.start * step_s, change.end * step_s) for change in found]

    def _advance(self, n_ready: int) -> None:
        """Examine the first ``n_ready`` rows and forget them."""
        if n_ready <= 0:
            return
        for row in _steps(self._levels[: n_ready + CONTEXT_STEPS - 1]).tolist():
            start = row + BEFORE_STEPS + GAP_STEPS // 2
            if self._open is not None:
                self._follow(start)
            if self._open is None:
                change = self._begin(row, self._first + start)
                self._open = change if self._is_abrupt(row, change) else None
        self._follow(n_ready)
        self._bands, self._levels = self._bands[n_ready:], self._levels[n_ready:]
        self._first += n_ready

    def _begin(self, row: int, start: int) -> _Change:
        middle = row + BEFORE_STEPS
        before = self._levels[row:middle].mean(axis=0)
        after = self._levels[middle + GAP_STEPS : row + CONTEXT_STEPS].mean(axis=0)
        return _Change(before, after, start, self._first + row + CONTEXT_STEPS)

    def _is_abrupt(self, row: int, change: _Change) -> bool:
        """Tell a switch from a fade: both noises are level, and few frames of 8 ms lie between them."""
        stop = row + BEFORE_STEPS + GAP_STEPS + BEFORE_STEPS
        way = change.way(10.0 * np.log10(self._bands[row:stop].reshape(-1, self._bands.shape[2])))
        n = BEFORE_STEPS * STEP_FRAMES
        early, late = way[: n // 2].mean(), way[n // 2 : n].mean()
        between = (way > 0.25) & (way < 0.75)
        return bool(abs(late - early) <= FADE_SHARE and between[n // 2 :].sum() <= BETWEEN_FRAMES)

    def _follow(self, stop: int) -> None:
        """Go on with the open span up to row ``stop`` or to where its noise changes."""
        if self._open is None:
            return
        rows = self._levels[max(0, self._open.end - self._first) : stop]
        apart = np.abs((rows - self._open.after).mean(axis=1)) > DEPARTURE_DB
        apart |= np.abs(self._open.way(rows) - 1.0) > DEPARTURE_SHARE
        if apart.any():
            self._close(max(self._open.end, self._first) + int(apart.argmax()))
        elif len(rows):
            self._open.end = self._first + stop

    def _close(self, end: int) -> None:
        if self._open is not None:
            self._open.end = end
            self._changes.append(self._open)
        self._open = None


def _steps(levels: np.ndarray) -> np.ndarray:
    """Rows (n,) of levels (T, bands) at which a change begins after the first three of 18 rows, ascending."""
    windows = np.lib.stride_tricks.sliding_window_view(levels, CONTEXT_STEPS, axis=0)  # (T - 17, bands, 18)
    # Speech is hardly ever steady before, so that few rows need the rest.
    rows = np.flatnonzero(windows[..., :BEFORE_STEPS].std(axis=2).mean(axis=1) <= BEFORE_SPREAD_DB)
    before, after = windows[rows, :, :BEFORE_STEPS], windows[rows, :, BEFORE_STEPS + GAP_STEPS :]
    difference = after.mean(axis=2) - before.mean(axis=2)
    found = np.abs(difference).max(axis=1) >= STEP_MAX_DB
    found &= np.sqrt(np.square(difference).mean(axis=1)) >= STEP_RMS_DB
    for part in (before, after):
        found &= (part.mean(axis=2) >= LEVEL_RANGE_DB[0]).all(axis=1)
        found &= (part.mean(axis=2) <= LEVEL_RANGE_DB[1]).all(axis=1)
    spread = after.std(axis=2)
    found &= (spread.mean(axis=1) <= AFTER_SPREAD_DB) & (spread.max(axis=1) <= AFTER_BAND_SPREAD_DB)
    half = AFTER_STEPS // 2
    trend = after[..., :half].mean(axis=(1, 2)) - after[..., -half:].mean(axis=(1, 2))
    return rows[found & (np.abs(trend) <= AFTER_TREND_DB)]


def _alike(
    before: np.ndarray, after: np.ndarray, all_before: np.ndarray, all_after: np.ndarray
) -> np.ndarray:
    """Which changes (n, bands) lead from this background (bands,) to this noise (bands,): bool (n,)."""
    apart_after = np.sqrt(np.square(all_after - after).mean(axis=1))
    apart_before = np.sqrt(np.square(all_before - before).mean(axis=1))
    return (apart_after <= ALIKE_DB) & (apart_before <= BACKGROUND_ALIKE_DB)
