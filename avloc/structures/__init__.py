"""Values: no torch, no input or output."""

from avloc.structures.frames import FrameTable
from avloc.structures.grid import FrameGrid
from avloc.structures.prediction import (
    ERROR_REASONS,
    Analysed,
    Channel,
    Curve,
    Detection,
    Face,
    Modality,
    Prediction,
    Provenance,
    Reason,
    Reference,
    Span,
    Status,
    Sync,
    Timing,
    Verdict,
)
from avloc.structures.recording import RAW_CODECS, AudioInfo, RawFormat, Recording, VideoInfo
from avloc.structures.segment import Segment
from avloc.structures.timeline import Timeline
