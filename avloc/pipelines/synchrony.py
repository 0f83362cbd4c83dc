"""How well sound and picture agree, and the constant offset that the windows of a recording agree on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NEAR_FRAMES = 2  # lags this near to the likeliest one speak for the same offset
# Of the weight, how much must lie there. The weights compare lags with each other, so one lag wins even where
# the true one lies beyond all of them; on clips that were never trained on, 0.5 lets one in three of those
# through and 0.7 one in ten, and either tells nine of ten offsets within reach (benchmarks/sync.py).
MIN_SHARE = 0.7
# Speech beside a face that an offset rests on. Of held-out clips cut to 1, 1.5, 2, 4, 5 and 6 s and moved by
# known offsets, 26 of 56, 40 of 68, 47 of 61, 53 of 65, 47 of 55 and 39 of 43 that were told were right.
MIN_SPEECH_S = 4.0
FAR_FRAMES = 4  # lags this far from the best one say what unrelated sound gives


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a face goes with a sound.

    ``peak`` [-1, 1] is the largest mean cosine over the lags; ``confidence`` how far it lies above the median
    of the far lags; both rest on ``n_frames``, and are 0 without any.
    """

    peak: float = 0.0
    confidence: float = 0.0
    n_frames: int = 0


def measure_agreement(band: np.ndarray | None, frames: np.ndarray) -> Agreement:
    """Measure how well a face goes with a sound, whatever the constant offset between them.

    Parameters
    ----------
    band : float (2 L + 1, n), optional
        Cosine at each lag in each frame; None where the two were not compared.
    frames : bool (n,)
        Frames with both.

    References
    ----------
    .. [1] Chung and Zisserman, "Out of Time: Automated Lip Sync in the Wild", ACCV Workshops 2016 (the
       confidence: the best against the median over offsets).
    """
    n_frames = int(frames.sum())
    if band is None or n_frames == 0:
        return Agreement()
    mean = band[:, frames].mean(axis=1, dtype=np.float64)
    best = int(np.argmax(mean))
    far = np.abs(np.arange(len(mean)) - best) >= FAR_FRAMES
    return Agreement(float(mean[best]), float(mean[best] - np.median(mean[far])), n_frames)


def measure_offset(lag_weights: Sequence[np.ndarray], *, speech_s: float) -> float | None:
    """Give the offset of the sound against the picture, or nothing where the evidence is spread or short.

    Parameters
    ----------
    lag_weights : sequence of float (2 L + 1,)
        One a window: weights over the lags -L to L frames, which sum to 1.
    speech_s : float [s]
        Speech that was compared with a face.

    Returns
    -------
    float or None [frames]
        Positive where the sound is late: the mean over the lags near the likeliest one.
    """
    if not lag_weights or speech_s < MIN_SPEECH_S:
        return None
    weights = np.mean(np.stack(lag_weights).astype(np.float64), axis=0)
    lags = np.arange(len(weights)) - len(weights) // 2
    near = np.abs(lags - lags[np.argmax(weights)]) <= NEAR_FRAMES
    share = weights[near].sum() / weights.sum()
    return float((weights * lags)[near].sum() / weights[near].sum()) if share >= MIN_SHARE else None
