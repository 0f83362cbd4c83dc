"""What of a window is analysed together: which channels, alone or mixed, with which face.

Sound without a video stream is analysed for each channel by itself. With a video stream it is the mean of the
distinct channels that are not silent, an inverted one flipped first, and the face that the tracks carry. A
user may choose otherwise. The
relations are judged in each window anew and not once for the recording: a channel that is silent or identical
at first may be another one later (a customer joins a call), and must then be analysed.
"""

from dataclasses import dataclass

import numpy as np

from avloc.features.quality import channel_relations

MIN_STREAM_FRAMES = 12  # of a window: less than half a second of a stream is no ground for a score


@dataclass(frozen=True, slots=True)
class View:
    """One channel, or the mix, of one window with the picture that it is compared with.

    ``channel`` is None for the mix; ``waveform`` float32 (640 n,) or None; ``heard`` bool (n,) frames that
    hold sound; ``mouth`` uint8 (n, 96, 96) or None; ``seen`` bool (n,) frames with a usable face.
    """

    channel: int | None
    waveform: np.ndarray | None
    heard: np.ndarray
    mouth: np.ndarray | None
    seen: np.ndarray


def relate(samples: np.ndarray | None, heard: np.ndarray) -> tuple[str, ...]:
    """Relation of each channel of a window: distinct, identical, silent or inverted; empty without sound."""
    if samples is None or heard.sum() < MIN_STREAM_FRAMES:
        return ()
    return tuple(channel_relations(samples))


def choose_views(
    samples: np.ndarray | None,
    heard: np.ndarray,
    mouth: np.ndarray | None,
    seen: np.ndarray,
    *,
    relations: tuple[str, ...],
    channels: str | int,
    has_video: bool,
) -> tuple[View, ...]:
    """Say what of a window goes through the network.

    Parameters
    ----------
    samples : float32 (C, 640 n), optional
        Sound of all channels.
    heard, seen : bool (n,)
        Frames with sound, and with a usable face.
    mouth : uint8 (n, 96, 96), optional
        Mouth crops.
    relations : tuple of str
        What ``relate`` gave.
    channels : {"each", "mix"} or int
        Which channels: each distinct one, their mean, or one alone unless it is silent.
    has_video : bool
        The recording has a video stream, so that there may be a picture without sound.

    Returns
    -------
    tuple of View
        Empty where there is neither sound nor a face.
    """
    nothing = np.zeros_like(heard)
    if seen.sum() < MIN_STREAM_FRAMES:
        mouth, seen = None, nothing
    waveforms = _waveforms(samples, relations, channels)
    if not waveforms and has_video and mouth is not None:
        return (View(None, None, nothing, mouth, seen),)
    return tuple(View(channel, waveform, heard, mouth, seen) for channel, waveform in waveforms.items())


def _waveforms(
    samples: np.ndarray | None, relations: tuple[str, ...], channels: str | int
) -> dict[int | None, np.ndarray]:
    """Sound that is analysed, float32 (640 n,), by channel; None for the mix."""
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
