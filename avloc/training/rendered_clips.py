"""Recordings of nobody's face: a mouth is drawn for the sound of a recording whose phones have times."""

from dataclasses import dataclass

import numpy as np

from avloc.datasets.lips import MIRRORED_LIPS
from avloc.synth.mouth_motion import Phones, draw_style, trace_mouth
from avloc.synth.rendered_mouth import render_mouth
from avloc.training.disguise import disguise_mouth


@dataclass(frozen=True, slots=True)
class RenderedClip:
    """One genuine recording of speech.

    ``phones`` of ``datasets.corpus.Entry``; ``heard`` (V, T, C) and ``states`` (T, K) as of
    ``avloc.training.eye_clips.EyeClip``.
    """

    identity: str
    phones: Phones
    heard: np.ndarray
    states: np.ndarray

    @property
    def n_frames(self) -> int:
        """Length on the 25 Hz grid."""
        return len(self.states)

    def show(
        self, rng: np.random.Generator, cut: slice, *, with_lips: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Draw a new face that says these frames.

        Returns
        -------
        np.ndarray [shape=(T, 96, 96), uint8]
            Crops before some camera.
        np.ndarray [shape=(T,), bool]
            True: the face is always there.
        np.ndarray [shape=(T, 40, 2), float32, px] or None
            Its lips, known exactly, if they are asked for.
        """
        shapes = trace_mouth(draw_style(rng), self.phones, np.arange(cut.start, cut.stop) / 25)
        drawn, lips = render_mouth(rng, shapes)
        crops, lips, mirrored = disguise_mouth(rng, drawn, lips if with_lips else None, repaint=False)
        if mirrored and lips is not None:
            lips = lips[:, MIRRORED_LIPS]
        return crops, np.ones(len(crops), dtype=bool), lips
