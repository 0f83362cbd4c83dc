"""What a network has to beat: random segments, spectral novelty, sound envelope against mouth motion.

Plain NumPy, nothing learned, no threshold tuned on the items. Rows are (score, start_s, end_s), scores in [0,
1).
"""

import numpy as np

SHORTEST_S, LONGEST_S = 0.2, 5.0
MAX_SEGMENTS = 20
FRAME_RATE = 25
Row = tuple[float, float, float]

HOP_S, WINDOW_S, CONTEXT_S = 0.01, 0.025, 0.1  # novelty: 100 frames a second, mean of 0.1 s against 0.1 s
N_BANDS, FLOOR_DB = 40, 60.0
N_PEAKS = 20
CORRELATION_FRAMES, MAX_LAG = 25, 3  # 1 s of picture; 0.12 s either way


def random_segments(duration_s: float, generator: np.random.Generator) -> list[Row]:
    """Random segments of log-uniform length with uniform scores, one for every 2 s of media."""
    rows = []
    for _ in range(int(np.clip(duration_s / 2.0, 1, MAX_SEGMENTS))):
        longest = min(LONGEST_S, duration_s)
        exponent = generator.uniform(np.log(min(SHORTEST_S, longest)), np.log(longest))
        length = min(float(np.exp(exponent)), longest)
        start = float(generator.uniform()) * (duration_s - length)
        rows.append((float(generator.uniform()), start, start + length))
    return sorted(rows, reverse=True)


def spectral_novelty(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Distance of the log spectra before and after each instant, 100 values a second.

    Log power of a Hann-windowed frame in 40 bands (equal on a mel-like scale), at most 60 dB under the
    loudest, its mean over bands taken away so that loudness alone makes no edge; then the root mean square
    difference of the means over 0.1 s before and after (Foote, "Automatic audio segmentation using a measure
    of audio novelty", ICME 2000, with the kernel reduced to its two blocks).
    """
    hop, width = round(HOP_S * sample_rate), round(WINDOW_S * sample_rate)
    padded = np.pad(np.asarray(waveform, dtype=np.float64), (width // 2, width))
    frames = np.lib.stride_tricks.sliding_window_view(padded, width)[::hop][: max(1, len(waveform) // hop)]
    power = np.abs(np.fft.rfft(frames * np.hanning(width), axis=1)) ** 2
    edges = np.expm1(np.linspace(0.0, np.log1p(sample_rate / 2 / 700.0), N_BANDS + 1)) * 700.0
    bins = np.searchsorted(edges[1:-1], np.fft.rfftfreq(width, 1 / sample_rate), side="right")
    bands = np.stack([power[:, bins == b].sum(axis=1) for b in np.unique(bins)], axis=1)
    decibel = 10.0 * np.log10(bands + 1e-12)
    decibel = np.maximum(decibel, decibel.max() - FLOOR_DB)
    shape = decibel - decibel.mean(axis=1, keepdims=True)
    reach = round(CONTEXT_S / HOP_S)
    sums = np.concatenate([np.zeros((1, shape.shape[1])), np.cumsum(shape, axis=0)])
    novelty = np.zeros(len(shape))
    for t in range(reach, len(shape) - reach):
        change = sums[t + reach] - 2 * sums[t] + sums[t - reach]
        novelty[t] = np.sqrt(np.mean((change / reach) ** 2))
    return novelty


def novelty_segments(waveform: np.ndarray, sample_rate: int) -> list[Row]:
    """Pairs of novelty peaks 0.2 to 5 s apart; the pair's score grows with the weaker of its two peaks.

    The best row is the segment between the two strongest peaks that are so far apart.
    """
    novelty = spectral_novelty(waveform, sample_rate)
    inner = np.flatnonzero((novelty[1:-1] > novelty[:-2]) & (novelty[1:-1] >= novelty[2:])) + 1
    peaks = np.sort(inner[np.argsort(-novelty[inner], kind="stable")[:N_PEAKS]])
    typical = float(np.median(novelty[novelty > 0])) if np.any(novelty > 0) else 1.0
    rows = []
    for i, first in enumerate(peaks):
        for last in peaks[i + 1 :]:
            if SHORTEST_S <= (last - first) * HOP_S <= LONGEST_S:
                weaker, stronger = sorted((novelty[first], novelty[last]))
                strength = (weaker + 1e-3 * stronger) / typical
                span = float(first * HOP_S), float(last * HOP_S)
                rows.append((float(strength / (1.0 + strength)), *span))
    return keep_apart(rows)


def motion_discrepancy(
    waveform: np.ndarray, sample_rate: int, crops: np.ndarray, present: np.ndarray
) -> np.ndarray:
    """How little the loudness follows the mouth, (1 - correlation) / 2 on the 25 Hz grid; NaN without a face.

    Loudness: log of the root mean square of a frame. Motion: mean absolute difference of neighbouring crops.
    Their Pearson correlation over 1 s around the frame, the best of lags up to 0.12 s.

    Parameters
    ----------
    crops : (T, 96, 96) uint8
    present : (T,) bool
    """
    n = min(len(crops), round(len(waveform) / sample_rate * FRAME_RATE))
    borders = np.round(np.arange(n + 1) * sample_rate / FRAME_RATE).astype(int)
    loudness = np.array(
        [
            np.log(1e-4 + np.sqrt(np.mean(waveform[a:b] ** 2))) if b > a else 0.0
            for a, b in zip(borders, borders[1:], strict=False)
        ]
    )
    motion = np.zeros(n)
    motion[1:] = np.abs(np.diff(crops[:n].astype(np.float32), axis=0)).mean(axis=(1, 2))
    known = present[:n] & np.concatenate([[False], present[: n - 1]])
    half = CORRELATION_FRAMES // 2
    curve = np.full(n, np.nan)
    for t in range(n):
        span = np.arange(max(0, t - half), min(n, t + half + 1))
        if known[span].mean() < 0.8 or len(span) < half:
            continue
        best = -1.0
        for lag in range(-MAX_LAG, MAX_LAG + 1):
            paired = span[(span + lag >= 0) & (span + lag < n) & known[span]]
            a, b = loudness[paired + lag], motion[paired]
            spread = a.std() * b.std()
            if spread > 0:
                best = max(best, float(((a - a.mean()) * (b - b.mean())).mean() / spread))
        curve[t] = (1.0 - best) / 2.0
    return curve


def discrepancy_segments(curve: np.ndarray) -> list[Row]:
    """Take runs of at least 0.2 s above the 70th, 80th and 90th percentile of a recording, scored by mean."""
    known = curve[~np.isnan(curve)]
    rows = []
    for level in np.quantile(known, [0.7, 0.8, 0.9]) if len(known) else ():
        above = np.concatenate([[False], np.nan_to_num(curve, nan=-1.0) > level, [False]])
        firsts, lasts = np.flatnonzero(~above[:-1] & above[1:]), np.flatnonzero(above[:-1] & ~above[1:])
        for first, last in zip(firsts, lasts, strict=True):
            if SHORTEST_S <= (last - first) / FRAME_RATE <= LONGEST_S:
                span = float(first / FRAME_RATE), float(last / FRAME_RATE)
                rows.append((float(curve[first:last].mean()), *span))
    return keep_apart(rows)


def keep_apart(rows: list[Row], iou_threshold: float = 0.5) -> list[Row]:
    """Drop rows that overlap a better one by IoU >= ``iou_threshold``; at most ``MAX_SEGMENTS`` stay."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda r: (-r[0], r[1])):
        if len(kept) == MAX_SEGMENTS:
            break
        overlaps = [min(row[2], other[2]) - max(row[1], other[1]) for other in kept]
        hulls = [max(row[2], other[2]) - min(row[1], other[1]) for other in kept]
        if all(overlap < iou_threshold * hull for overlap, hull in zip(overlaps, hulls, strict=True)):
            kept.append(row)
    return kept


def rows_to_frames(rows: list[Row], duration_s: float) -> np.ndarray:
    """Largest score of the segments that hold the centre of each 25 Hz frame, 0 where there is none."""
    centres = (np.arange(max(1, round(duration_s * FRAME_RATE))) + 0.5) / FRAME_RATE
    values = np.zeros(len(centres))
    for score, start, end in rows:
        inside = (centres >= start) & (centres < end)
        values[inside] = np.maximum(values[inside], score)
    return values
