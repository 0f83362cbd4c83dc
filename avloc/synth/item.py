"""Item: one made recording with its exact truth."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from avloc.features.audio import RATE
from avloc.structures import Timeline
from avloc.synth.picture import Picture


@dataclass(frozen=True, slots=True)
class Item:
    """A genuine or partially forged recording.

    Parameters
    ----------
    waveform : np.ndarray [shape=(1, N), float32, range [-1, 1]] or None
        Sound at ``sample_rate``; its values are those of 16-bit samples.
    audio, visual : Timeline [s]
        What was forged in each stream, exact to a sample and a frame; empty for a genuine recording.
    family : str
        How it was forged, or ``"genuine"``.
    attributes : mapping
        Ids and identities of the sources, the drawn parameters of each segment. JSON values only.
    crops : mapping of str to np.ndarray [shape=(T, H, W), uint8]
        Crops of the face by name, on the 25 Hz grid; empty without a picture.
    present : np.ndarray [shape=(T,), bool] or None
        Whether a face was there.
    picture : Picture or None
        How the crops were made, to repeat it on whole frames.
    """

    waveform: np.ndarray | None
    sample_rate: int
    audio: Timeline
    visual: Timeline
    family: str
    attributes: Mapping = field(default_factory=dict)
    crops: Mapping[str, np.ndarray] = field(default_factory=dict)
    present: np.ndarray | None = None
    picture: Picture | None = None

    @property
    def duration(self) -> float:
        """Length in seconds, of the sound where there is sound."""
        if self.waveform is not None:
            return self.waveform.shape[1] / self.sample_rate
        return len(self.present) / float(RATE) if self.present is not None else 0.0
