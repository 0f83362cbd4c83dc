"""Everything that avloc says about one recording, and the truth that it is scored against."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from avloc.structures.frames import FrameTable
from avloc.structures.segment import Segment
from avloc.structures.timeline import Timeline

if TYPE_CHECKING:
    from avloc.structures.recording import Recording


class Modality(StrEnum):
    """What was forged; ``UNKNOWN`` for networks that do not tell."""

    AUDIO = "audio"
    VISUAL = "visual"
    BOTH = "both"
    UNKNOWN = "unknown"


class Status(StrEnum):
    """Whether a recording could be analysed."""

    ANALYSED = "analysed"
    NOT_ANALYSABLE = "not_analysable"
    ERROR = "error"


class Verdict(StrEnum):
    """What an analysis found. There is no "authentic": a detector can only fail to find."""

    FORGED_SEGMENTS_FOUND = "forged_segments_found"
    NONE_FOUND = "none_found"
    INCONCLUSIVE = "inconclusive"


class Reason(StrEnum):
    """Closed list of codes for what could not be analysed and why; ``avloc explain CODE`` tells more."""

    TOO_SHORT = "too_short"
    NO_SPEECH = "no_speech"
    NO_FACE = "no_face"
    FACE_TOO_SMALL = "face_too_small"
    FACE_STATIC = "face_static"
    SEVERAL_FACES = "several_faces"
    LOW_SNR = "low_snr"
    NARROWBAND = "narrowband"
    MUSIC = "music"
    CROSS_TALK = "cross_talk"
    HEAVY_COMPRESSION = "heavy_compression"
    SYNC_UNKNOWN = "sync_unknown"
    OFF_SCREEN_SPEECH = "off_screen_speech"
    OUT_OF_DOMAIN = "out_of_domain"
    UNCALIBRATED = "uncalibrated"
    DECODE_ERRORS = "decode_errors"
    TRUNCATED = "truncated"
    PARTIAL_COVERAGE = "partial_coverage"
    LIMIT_REACHED = "limit_reached"
    PLAYLIST_REFUSED = "playlist_refused"
    EXTERNAL_REFERENCE = "external_reference"
    UNRECOGNISED = "unrecognised"
    NOT_MEDIA = "not_media"
    ENCRYPTED = "encrypted"
    CODEC_UNSUPPORTED = "codec_unsupported"
    EMPTY = "empty"
    NO_SAMPLES = "no_samples"
    SILENT = "silent"
    DECODER_CRASH = "decoder_crash"
    DECODER_TIMEOUT = "decoder_timeout"
    NOT_FOUND = "not_found"
    PERMISSION_DENIED = "permission_denied"
    CHANGED_DURING_READ = "changed_during_read"
    SPECIAL_FILE = "special_file"
    TIMESTAMPS_REPAIRED = "timestamps_repaired"
    DRIFT = "drift"
    CONSTANT_OFFSET = "constant_offset"
    VARIABLE_RATE = "variable_rate"
    EXTENSION_MISMATCH = "extension_mismatch"
    SANITISED_SAMPLES = "sanitised_samples"
    INTERNAL_ERROR = "internal_error"
    OUT_OF_MEMORY = "out_of_memory"
    OUTPUT_FAILED = "output_failed"


ERROR_REASONS = frozenset(
    (
        Reason.NOT_FOUND,
        Reason.PERMISSION_DENIED,
        Reason.SPECIAL_FILE,
        Reason.CHANGED_DURING_READ,
        Reason.DECODER_CRASH,
        Reason.DECODER_TIMEOUT,
        Reason.INTERNAL_ERROR,
        Reason.OUT_OF_MEMORY,
        Reason.OUTPUT_FAILED,
    )
)
"""Reasons that come with ``Status.ERROR``; any other that stops an analysis makes it ``NOT_ANALYSABLE``."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A segment that is held to be forged.

    ``score`` in [0, 1]; ``llr`` log10 likelihood ratio or None; ``channel`` and ``face`` ids or None;
    ``start_interval`` and ``end_interval`` (s, s) bounds of the edges or None.
    """

    segment: Segment
    score: float
    modality: Modality
    channel: int | None = None
    face: int | None = None
    llr: float | None = None
    start_interval: tuple[float, float] | None = None
    end_interval: tuple[float, float] | None = None
    evidence: tuple[Mapping, ...] = ()


@dataclass(frozen=True, slots=True)
class Curve:
    """Values on the 25 Hz grid; ``name`` is score_audio, score_visual, discrepancy or boundary.

    ``values`` holds None where nothing was analysed.
    """

    name: str
    start: float
    rate: Fraction
    values: tuple[float | None, ...]
    channel: int | None = None
    face: int | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time of a kind: speech, face, analysed, event, off_screen_speech or shot."""

    kind: str
    segment: Segment
    code: str | None = None
    channel: int | None = None
    face: int | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """One source channel that was analysed or set aside; ``path`` names the operating threshold used."""

    index: int
    role: str
    path: str | None
    relation: str
    bandwidth_hz: float | None = None
    snr_db: float | None = None
    clipping: float | None = None
    threshold: float | None = None
    score: float | None = None
    coverage: float | None = None


@dataclass(frozen=True, slots=True)
class Face:
    """A face track; ``box`` is (x, y, width, height) in pixels of the source frame, the median over time."""

    id: int
    segment: Segment
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Sync:
    """Audio-video offset in seconds (positive: the sound is late) and drift in parts per million."""

    offset_s: float | None = None
    drift_ppm: float | None = None


@dataclass(frozen=True, slots=True)
class Analysed:
    """How much there was and how much of it was analysed, in seconds; coverages in [0, 1] or None."""

    duration_s: float | None = None
    audio_s: float | None = None
    speech_s: float | None = None
    video_s: float | None = None
    face_s: float | None = None
    coverage_audio: float | None = None
    coverage_visual: float | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """The ground truth of one recording.

    ``segments`` in file order; no segment means a genuine recording. ``audio`` and ``visual`` hold what was
    forged in each stream, None where that is not known. ``duration`` in seconds. ``rows`` holds
    (start_s, end_s) as the annotation has them, for scoring, where not all of them are segments: of zero
    length, or before the start; otherwise None.
    """

    recording_id: str
    segments: tuple[Segment, ...]
    audio: Timeline | None = None
    visual: Timeline | None = None
    duration: float | None = None
    attributes: Mapping = field(default_factory=dict)
    rows: tuple[tuple[float, float], ...] | None = None

    @property
    def is_forged(self) -> bool:
        """Whether the annotation lists anything, which is the truth of official recording scores."""
        return bool(self.segments if self.rows is None else self.rows)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a prediction: no clock time, no host name. ``device`` is the kind (``"cpu"``) or None."""

    model: str
    model_sha256: str
    network: str
    version: str
    kernels: str
    device: str | None
    calibration: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall time of an analysis in seconds, and divided by the recording's duration."""

    wall_s: float
    real_time_factor: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Everything avloc says about one recording; ``avloc.result/1`` is its written form.

    ``detections`` and ``proposals`` are sorted by descending score, then start. A proposal is
    (score, start_s, end_s); ``proposals`` is None unless asked for. ``frames``, None unless asked for, has a
    file of its own: it is no part of the document, and of equality.
    """

    recording: "Recording"
    status: Status
    verdict: Verdict | None = None
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()
    message: str | None = None
    score: float | None = None
    llr: float | None = None
    threshold: float | None = None
    detections: tuple[Detection, ...] = ()
    curves: tuple[Curve, ...] = ()
    spans: tuple[Span, ...] = ()
    channels: tuple[Channel, ...] = ()
    faces: tuple[Face, ...] = ()
    sync: Sync = Sync()
    analysed: Analysed = Analysed()
    provenance: Provenance | None = None
    timing: Timing | None = None
    proposals: tuple[tuple[float, float, float], ...] | None = None
    frames: FrameTable | None = field(default=None, compare=False)

    def timeline(self, min_score: float = 0.0) -> Timeline:
        """Segments of the detections that score at least ``min_score``."""
        return Timeline(tuple(d.segment for d in self.detections if d.score >= min_score))
