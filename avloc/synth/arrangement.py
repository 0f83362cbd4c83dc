"""Arrangement: pieces of one recording in another order, in its sound and in its picture alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avloc.features.audio import SAMPLES_PER_FRAME
from avloc.synth.splice import Piece, join


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Samples ``[first, last)`` of a recording, one range after the other.

    ``fades`` holds, for each joint, the samples of its cross-fade and the law of that. Where a
    picture belongs to the sound, every joint moves time by whole frames: see :meth:`frames`.
    """

    pieces: tuple[tuple[int, int], ...]
    fades: tuple[tuple[int, str], ...]

    @property
    def joints(self) -> tuple[int, ...]:
        """Where the joints lie in the result, in samples."""
        return tuple(int(p) for p in np.cumsum([last - first for first, last in self.pieces])[:-1])

    @property
    def n_samples(self) -> int:
        """Length of the result."""
        return sum(last - first for first, last in self.pieces)

    def sound(self, samples: np.ndarray) -> np.ndarray:
        """Arrange the sound (n,) of the recording."""
        return join([Piece(samples, *piece) for piece in self.pieces], self.fades)

    def frames(self) -> np.ndarray:
        """Give the recording's frame that each frame (T,) of the result shows, at 25 Hz.

        A frame belongs to the piece that plays when it appears. Sound and picture stay together where every
        piece is shifted by a multiple of a frame.
        """
        starts = np.array([0, *self.joints])
        shifts = np.array([first for first, _ in self.pieces]) - starts  # recording minus result
        if (shifts % SAMPLES_PER_FRAME).any():
            raise ValueError(
                f"pieces of a picture are shifted by whole frames, got {shifts.tolist()} samples"
            )
        frame = np.arange(self.n_samples // SAMPLES_PER_FRAME)
        piece = np.searchsorted(starts, frame * SAMPLES_PER_FRAME, side="right") - 1
        return frame + shifts[piece] // SAMPLES_PER_FRAME

    def dissolves(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the frame that shines through each frame (T,) of the result, and its weight [0, 0.5].

        Around each joint the picture is cross-faded as the sound is; a fade under a frame is a hard cut.
        """
        shown = self.frames()
        beneath, weight = shown.copy(), np.zeros(len(shown), dtype=np.float32)
        for k, (joint, (length, _)) in enumerate(zip(self.joints, self.fades, strict=True)):
            if length < SAMPLES_PER_FRAME:
                continue
            half = length / 2 / SAMPLES_PER_FRAME
            place = joint / SAMPLES_PER_FRAME
            leaving = self.pieces[k][1] // SAMPLES_PER_FRAME - joint // SAMPLES_PER_FRAME
            coming = self.pieces[k + 1][0] // SAMPLES_PER_FRAME - joint // SAMPLES_PER_FRAME
            for frame in range(max(int(np.ceil(place - half)), 0), min(int(place + half) + 1, len(shown))):
                reached = (frame - place + half) / (2 * half)
                beneath[frame] = frame + (leaving if reached >= 0.5 else coming)
                weight[frame] = min(reached, 1 - reached)
        return beneath, weight


def without(n_samples: int, first: int, last: int, fade: tuple[int, str]) -> Arrangement:
    """Leave samples ``[first, last)`` of ``n_samples`` out."""
    return Arrangement(((0, first), (last, n_samples)), (fade,))


def cut_to(pieces: Sequence[tuple[int, int]], n_samples: int) -> tuple[tuple[int, int], ...]:
    """Shorten the last pieces so that ``n_samples`` are left."""
    kept, room = [], n_samples
    for first, last in pieces:
        if room > 0:
            kept.append((first, min(last, first + room)))
            room -= last - first
    return tuple(kept)
