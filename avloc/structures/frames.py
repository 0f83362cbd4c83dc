"""FrameTable: what was found in every frame of a recording, as columns."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # NumPy takes as long to load as all else that ``avloc --help`` needs
    import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class FrameTable:
    """One row a frame of the 25 Hz grid and channel, ordered by channel, then by time; columns (n,).

    A face beside the sound of a channel has rows of its own, after those of all channels, for the frames that
    it shows in: their ``score_audio`` is NaN.

    Attributes
    ----------
    time_s : np.ndarray [float64, s]
        Start of the frame.
    source_frame : np.ndarray [int64]
        Source video frame that is shown at its centre; -1 for none.
    channel, face : np.ndarray [int64]
        Channel and face that were analysed; -1 for the mix, and for no face.
    score_audio, score_visual : np.ndarray [float32, range [0, 1]]
        Frame scores of sound and picture; NaN where nothing was analysed.
    score : np.ndarray [float32, range [0, 1]]
        The larger of the two; NaN where neither was analysed.
    in_segment : np.ndarray [bool]
        The centre of the frame lies in a listed segment of this channel.

    Raises
    ------
    ValueError
        If the columns are not arrays of one length.
    """

    time_s: "np.ndarray"
    source_frame: "np.ndarray"
    channel: "np.ndarray"
    face: "np.ndarray"
    score_audio: "np.ndarray"
    score_visual: "np.ndarray"
    score: "np.ndarray"
    in_segment: "np.ndarray"

    def __post_init__(self) -> None:
        shapes = {column.shape for column in self.columns().values()}
        if len(shapes) != 1 or len(*shapes) != 1:
            raise ValueError(f"expected columns (n,) of one length, got {sorted(shapes)}")

    def columns(self) -> dict[str, "np.ndarray"]:
        """Columns by name, in the order in which they are written."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __len__(self) -> int:
        return len(self.time_s)
