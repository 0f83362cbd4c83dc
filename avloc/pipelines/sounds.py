"""Which channels of a window are analysed, alone or mixed.

Sound without a video stream is analysed for each channel by itself. With a video stream it is the mean of the
distinct channels that are not silent, an inverted one flipped first. A user may choose otherwise. The
relations are judged in each window anew and not once for the recording: a channel that is silent or identical
at first may be another one later (a customer joins a call), and must then be analysed.
"""

import numpy as np

from avloc.features.quality import channel_relations
from avloc.pipelines.windows import MIN_STREAM_FRAMES


def relate(samples: np.ndarray | None, heard: np.ndarray) -> tuple[str, ...]:
    """Relation of each channel of a window: distinct, identical, silent or inverted; empty without sound."""
    if samples is None or heard.sum() < MIN_STREAM_FRAMES:
        return ()
    return tuple(channel_relations(samples))


def choose_sound(
    samples: np.ndarray | None, relations: tuple[str, ...], channels: str | int
) -> dict[int | None, np.ndarray]:
    """Say which sound of a window goes through the network.

    Parameters
    ----------
    samples : float32 (C, 640 n), optional
        Sound of all channels.
    relations : tuple of str
        What ``relate`` gave.
    channels : {"each", "mix"} or int
        Each channel that is not silent and no copy, their mean, or one alone unless it is silent.

    Returns
    -------
    dict of float32 (640 n,)
        By channel, None for the mix; empty where there is nothing to hear.
    """
    if channels == "mix":
        mixed = _mix(samples, relations)
        return {} if mixed is None else {None: mixed}
    if channels == "each":
        chosen = [c for c, relation in enumerate(relations) if relation not in ("silent", "identical")]
    else:
        chosen = [channels] if relations and relations[channels] != "silent" else []
    return {channel: np.ascontiguousarray(samples[channel]) for channel in chosen}


def _mix(samples: np.ndarray | None, relations: tuple[str, ...]) -> np.ndarray | None:
    """Mean of the distinct channels, inverted ones flipped, float32 (640 n,); None if all are silent."""
    signs = {"distinct": 1.0, "inverted": -1.0}
    kept = [channel for channel, relation in enumerate(relations) if relation in signs]
    if not kept:
        return None
    weights = np.array([signs[relations[channel]] for channel in kept], dtype=np.float32) / len(kept)
    return weights @ samples[kept]
