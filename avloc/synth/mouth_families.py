"""The ways in which the mouth of a span is forged: each draws what replaces it and says what is true."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avloc.datasets.talking_faces import FaceClip, TalkingFaces
from avloc.synth.mouth import MouthEdit, draw_mask, draw_source_frames

SHORTEST_FRAMES = 3
LARGEST_BLEND_LAG = 4  # frames of 40 ms


@dataclass(frozen=True, slots=True)
class Face:
    """A clip of ``faces`` and the frames (T,) of it that an item shows."""

    faces: TalkingFaces
    index: int
    clip: FaceClip
    frames: np.ndarray


@dataclass(frozen=True, slots=True)
class MouthChange:
    """``edit`` with the mouth of clip ``source``; the truth is frames ``[first, last)`` of the item."""

    edit: MouthEdit
    source: int
    first: int
    last: int
    parameters: dict


MouthMaker = Callable[[np.random.Generator, Face, int, int], MouthChange | None]


def mouth_blend(rng: np.random.Generator, face: Face, first: int, last: int) -> MouthChange | None:
    """Take the mouth of another time or clip of the same person."""
    members = face.faces.by_identity[face.clip.entry.identity]
    other = int(rng.choice(members)) if len(members) > 1 and rng.random() < 0.6 else face.index
    source = face.clip if other == face.index else face.faces[other]
    away = face.frames[first:last] if other == face.index else None
    frames = draw_source_frames(rng, source.present, last - first, away)
    return None if frames is None else _change(rng, first, last, frames, other)


def mouth_freeze(rng: np.random.Generator, face: Face, first: int, last: int) -> MouthChange | None:
    """Hold the mouth of the frame before the span."""
    held = np.full(last - first, face.frames[first - 1])
    return _change(rng, first, last, held, face.index) if _inside(held, face.clip) else None


def mouth_reverse(rng: np.random.Generator, face: Face, first: int, last: int) -> MouthChange | None:
    """Play the mouth of the span backwards.

    The span has an even number of frames: the middle one of an odd number would be left as it is.
    """
    last -= (last - first) % 2
    reversed_frames = face.frames[first:last][::-1].copy()
    return (
        _change(rng, first, last, reversed_frames, face.index)
        if _inside(reversed_frames, face.clip)
        else None
    )


def mouth_self_blend(rng: np.random.Generator, face: Face, first: int, last: int) -> MouthChange | None:
    """Blend the mouth with its own copy 1 to 4 frames later or earlier, under a soft gate.

    The gate rises and falls over 1 to 4 frames beside the span; the truth is where it is above half of its
    height. Parameters: ``lag_frames``, positive where the copy comes late, and ``share``, the height.

    References
    ----------
    .. [1] arXiv 2604.09110 (self-blended forgeries in time).
    """
    lag = int(rng.integers(1, LARGEST_BLEND_LAG + 1)) * int(rng.choice([-1, 1]))
    slopes = rng.integers(1, 5, size=2)  # frames, each half outside of the span
    share = float(rng.uniform(0.5, 1.0))
    shown = np.arange(first - slopes[0] // 2, last + slopes[1] // 2)
    source = face.frames[np.clip(shown, 0, len(face.frames) - 1)] - lag
    if shown[0] < 0 or shown[-1] >= len(face.frames) or not _inside(source, face.clip):
        return None
    # Height at the middle of each frame: a half at the edges of the span, which are edges of frames.
    rising = 0.5 + (shown + 0.5 - first) / slopes[0]
    falling = 0.5 + (last - shown - 0.5) / slopes[1]
    gate = share * np.clip(np.minimum(rising, falling), 0, 1)
    edit = MouthEdit(int(shown[0]), int(shown[-1]) + 1, source, draw_mask(rng), 0.0, gate)
    return MouthChange(edit, face.index, first, last, {"lag_frames": lag, "share": share})


def _inside(frames: np.ndarray, clip: FaceClip) -> bool:
    """All ``frames`` are in the clip and show its face."""
    return bool(frames.min() >= 0 and frames.max() < clip.n_frames and clip.present[frames].all())


def _change(
    rng: np.random.Generator, first: int, last: int, frames: np.ndarray, source: int
) -> MouthChange | None:
    edit = MouthEdit(first, last, frames, draw_mask(rng), float(rng.choice([0.0, 0.0, 0.7, 1.2])))
    return MouthChange(edit, source, first, last, {})


MOUTH_FAMILIES: dict[str, MouthMaker] = {
    "mouth_blend": mouth_blend,
    "mouth_freeze": mouth_freeze,
    "mouth_reverse": mouth_reverse,
    "mouth_self_blend": mouth_self_blend,
}
"""Name of each family of forged mouths and what draws it; the sound stays as it is."""
