"""The constant offset between sound and picture that the windows of a recording agree on."""

from collections.abc import Sequence

import numpy as np

NEAR_FRAMES = 2  # lags this near to the likeliest one speak for the same offset
# Of the weight, how much must lie there. The weights compare lags with each other, so one lag wins even where
# the true one lies beyond all of them; on clips that were never trained on, 0.5 lets one in three of those
# through and 0.7 one in ten, and either tells nine of ten offsets within reach (benchmarks/sync.py).
MIN_SHARE = 0.7


def measure_offset(lag_weights: Sequence[np.ndarray]) -> float | None:
    """Give the offset of the sound against the picture, or nothing where the evidence is spread.

    Parameters
    ----------
    lag_weights : sequence of float (2 L + 1,)
        One a window: weights over the lags -L to L frames, which sum to 1.

    Returns
    -------
    float or None [frames]
        Positive where the sound is late: the mean over the lags near the likeliest one.
    """
    if not lag_weights:
        return None
    weights = np.mean(np.stack(lag_weights).astype(np.float64), axis=0)
    lags = np.arange(len(weights)) - len(weights) // 2
    near = np.abs(lags - lags[np.argmax(weights)]) <= NEAR_FRAMES
    share = weights[near].sum() / weights.sum()
    return float((weights * lags)[near].sum() / weights[near].sum()) if share >= MIN_SHARE else None
