"""The constant offset between sound and picture that the windows of a recording agree on."""

from collections.abc import Sequence

import numpy as np

NEAR_FRAMES = 2  # lags this near to the likeliest one speak for the same offset
MIN_SHARE = 0.5  # of the weight that must lie there; with less, one offset in three is wrong


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
