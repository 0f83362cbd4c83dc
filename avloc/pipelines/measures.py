"""What is measured along a recording, in memory that does not grow with its samples: channels and faces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from avloc.calibration.abstain import LOW_SNR_DB, MIN_FACE_AREA, MIN_FACE_S, STATIC_FACE
from avloc.features.audio import RATE, SAMPLE_RATE
from avloc.features.quality import RELATED, SILENT_RMS, clipping_fraction, measure_bandwidth, measure_snr
from avloc.media.decode import VideoBlock
from avloc.structures import Face, FrameGrid, Segment

GRID = FrameGrid(rate=RATE, n_frames=0)
LEVEL_SAMPLES = 320  # of a block whose level is taken
MOST_LEVELS = 64  # windows; enough to tell whether channels are loud together
# Correlation of levels below which two channels are two parties, however far microphones stand.
UNRELATED = 0.5
BOX_EVERY = 12  # frames between the boxes that the median is taken of
MIN_FACE_FRAMES = round(MIN_FACE_S * RATE)
MAX_RUN_GAP = 5  # frames without a face that do not break its span in the report


class RunningRelations:
    """Relations of the channels over all sound so far, from sums of products: (C, C) numbers."""

    def __init__(self, n_channels: int) -> None:
        self._products = np.zeros((n_channels, n_channels))
        self._sums = np.zeros(n_channels)
        self._n = 0
        self._levels: list[np.ndarray] = []  # of blocks, (C, m), while they are few

    def push(self, samples: np.ndarray) -> None:
        """Add float32 (C, n)."""
        n_blocks = samples.shape[1] // LEVEL_SAMPLES
        if len(samples) > 1 and n_blocks and len(self._levels) < MOST_LEVELS:
            blocks = samples[:, : n_blocks * LEVEL_SAMPLES].reshape(len(samples), n_blocks, LEVEL_SAMPLES)
            self._levels.append(np.sqrt(np.square(blocks).mean(axis=2, dtype=np.float32)))
        samples = samples.astype(np.float64)
        self._products += samples @ samples.T
        self._sums += samples.sum(axis=1)
        self._n += samples.shape[1]

    def parties(self) -> list[int]:
        """Channels that are loud when no channel before is: not two microphones of one sound."""
        scale, _ = self._correlate()
        audible = np.flatnonzero(scale > SILENT_RMS).tolist()
        if len(audible) < 2 or not self._levels:
            return audible[:1]
        with np.errstate(invalid="ignore"):  # of a constant level, which goes with nothing
            related = np.nan_to_num(np.corrcoef(np.concatenate(self._levels, axis=1)))
        found: list[int] = []
        for channel in audible:
            if all(related[channel, earlier] < UNRELATED for earlier in found):
                found.append(channel)
        return found

    def _correlate(self) -> tuple[np.ndarray, np.ndarray]:
        """RMS of each channel (C,), offset apart, and their correlations (C, C)."""
        n = max(1, self._n)
        covariance = self._products / n - np.outer(self._sums / n, self._sums / n)
        scale = np.sqrt(np.maximum(np.diag(covariance), 1e-20))
        return scale, covariance / np.outer(scale, scale)

    def relations(self) -> list[str]:
        """Relation of each channel, as ``channel_relations`` of all that was pushed."""
        if self._n == 0:
            return ["silent"] * len(self._sums)
        scale, correlation = self._correlate()
        silent = scale <= SILENT_RMS
        found: list[str] = []
        for channel in range(len(silent)):
            earlier = [c for c in range(channel) if found[c] == "distinct"]
            if silent[channel]:
                found.append("silent")
            elif any(correlation[channel, c] > RELATED for c in earlier):
                found.append("identical")
            elif any(correlation[channel, c] < -RELATED for c in earlier):
                found.append("inverted")
            else:
                found.append("distinct")
        return found


@dataclass(slots=True)
class ChannelMeasures:
    """Running quality of one source channel or of the mix; frames are those of the 25 Hz grid."""

    heard_frames: int = 0
    analysed_frames: int = 0
    speech_s: float = 0.0
    low_snr_speech_s: float = 0.0
    bandwidths: list[float] = field(default_factory=list)
    _clipped: float = 0.0
    _clip_weight: int = 0
    _snr_sum: float = 0.0

    def push(self, waveform: np.ndarray, speech: np.ndarray) -> None:
        """Add sound (n,) that was not measured before, with its speech mask bool (n,)."""
        bandwidth = measure_bandwidth(waveform, SAMPLE_RATE)
        if bandwidth > 0:
            self.bandwidths.append(bandwidth)
        self._clipped += clipping_fraction(waveform) * len(waveform)
        self._clip_weight += len(waveform)
        speech_s = float(speech.sum()) / SAMPLE_RATE
        snr_db = measure_snr(waveform, speech)
        if snr_db is None or speech_s == 0:
            return
        self.speech_s += speech_s
        self._snr_sum += snr_db * speech_s
        if snr_db < LOW_SNR_DB:
            self.low_snr_speech_s += speech_s

    @property
    def bandwidth_hz(self) -> float | None:
        """Median over windows; None where nothing was measured."""
        return float(np.median(self.bandwidths)) if self.bandwidths else None

    @property
    def snr_db(self) -> float | None:
        """Mean over windows, weighted by their speech."""
        return self._snr_sum / self.speech_s if self.speech_s > 0 else None

    @property
    def clipping(self) -> float | None:
        """Share of the samples at full scale."""
        return self._clipped / self._clip_weight if self._clip_weight else None

    @property
    def coverage(self) -> float | None:
        """Analysed share of the sound that is there."""
        return min(1.0, self.analysed_frames / self.heard_frames) if self.heard_frames else None


@dataclass(slots=True)
class _Track:
    first: int
    last: int
    n_frames: int = 0
    boxes: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FaceRows:
    """One face in consecutive frames.

    ``area`` float (n,) of its box in pixels, 0 where it is not shown; ``kept`` bool (n,) where it gets a
    score; ``crops`` uint8 (m, H, W) by name, from row ``start`` on as far as there are kept frames: with
    hundreds of short tracks in a window, whole ones would not fit into memory.
    """

    face: int
    area: np.ndarray
    kept: np.ndarray
    start: int
    crops: Mapping[str, np.ndarray]

    def after(self, first: int) -> "FaceRows":
        """Give the frames from row ``first`` on."""
        crops = {name: crop[max(0, first - self.start) :] for name, crop in self.crops.items()}
        return FaceRows(self.face, self.area[first:], self.kept[first:], max(0, self.start - first), crops)


class FaceMeasures:
    """Face tracks along a recording: extents, boxes, and which frames are good enough for a score.

    Parameters
    ----------
    frame_size : (int, int), optional [px]
        Width and height of the source frame.
    """

    def __init__(self, frame_size: tuple[int, int] | None) -> None:
        self._area = float(frame_size[0] * frame_size[1]) if frame_size and min(frame_size) > 0 else None
        self._tracks: dict[int, _Track] = {}
        self.usable_frames = 0
        self.several_frames = 0
        self.small_frames = 0
        self.static_frames = 0
        self.runs: list[tuple[int, int, int]] = []  # (face, start, end) of usable frames
        self._last_run: dict[int, int] = {}  # place of a face's latest run

    def push_block(self, block: VideoBlock) -> None:
        """Take note of the boxes of a block."""
        for faces in block.faces:
            present = np.flatnonzero(faces.present)
            if len(present) == 0:
                continue
            first = block.start_frame + int(present[0])
            track = self._tracks.setdefault(faces.face, _Track(first, first))
            track.last = block.start_frame + int(present[-1])
            track.n_frames += len(present)
            track.boxes.extend(faces.boxes[present[::BOX_EVERY]].tolist())

    def usable(self, face: int, area: np.ndarray, *, ended: bool) -> np.ndarray:
        """Frames of a window where a face is shown and its track is large and lasting enough, bool (n,).

        Parameters
        ----------
        face : int
            Id of the track.
        area : float (n,) [px]
            Area of its box, 0 where it is not shown.
        ended : bool
            No frame follows the window; otherwise a track that reaches its end may still become long enough.
        """
        shown = area > 0
        if not shown.any():
            return shown
        lasting = self._tracks[face].n_frames >= MIN_FACE_FRAMES or (shown[-1] and not ended)
        return shown & (lasting and not self._is_small(float(np.median(area[shown]))))

    def push_new(self, start: int, rows: Sequence[FaceRows]) -> None:
        """Count frames that no window held before; ``start`` is the grid frame of the first."""
        if not rows:
            return
        kept = np.stack([row.kept for row in rows])  # (F, n)
        small = np.stack([(row.area > 0) & self._are_small(row.area) for row in rows])
        moves = np.stack([_moves(row) for row in rows])
        self.usable_frames += int(kept.any(axis=0).sum())
        self.several_frames += int((kept.sum(axis=0) > 1).sum())
        self.small_frames += int((small.any(axis=0) & ~kept.any(axis=0)).sum())
        pairs = kept[:, 1:] & kept[:, :-1]  # of neighbouring frames
        self.static_frames += int((pairs.any(axis=0) & ~(moves & pairs).any(axis=0)).sum())
        for row in rows:
            for frame in (start + np.flatnonzero(row.kept)).tolist():
                self._extend_run(row.face, frame)

    def _extend_run(self, face: int, frame: int) -> None:
        place = self._last_run.get(face)
        if place is not None and frame - self.runs[place][2] <= MAX_RUN_GAP:
            self.runs[place] = (face, self.runs[place][1], frame + 1)
            return
        self._last_run[face] = len(self.runs)
        self.runs.append((face, frame, frame + 1))

    def faces(self, duration_s: float) -> tuple[Face, ...]:
        """Tracks of at least a second, or with a usable frame, in order of their ids."""
        used = {run[0] for run in self.runs}
        found = []
        for identity, track in sorted(self._tracks.items()):
            start, end = GRID.time(track.first), min(GRID.time(track.last + 1), duration_s)
            if start < end and (identity in used or track.n_frames >= MIN_FACE_FRAMES):
                box = np.median(track.boxes, axis=0)
                found.append(Face(identity, Segment(start, end), tuple(round(float(v)) for v in box)))
        return tuple(found)

    def _is_small(self, area_px: float) -> bool:
        return bool(self._are_small(np.array(area_px)))

    def _are_small(self, area_px: np.ndarray) -> np.ndarray:
        return area_px < (0.0 if self._area is None else MIN_FACE_AREA * self._area)


def _moves(row: FaceRows) -> np.ndarray:
    """Whether any crop is another than one frame earlier, bool (n - 1,); False where it is not kept."""
    moves = np.zeros(max(0, len(row.kept) - 1), dtype=bool)
    for crop in row.crops.values():
        if len(crop) > 1:
            change = np.abs(np.diff(crop[:, ::4, ::4].astype(np.int16), axis=0)).mean(axis=(1, 2))
            moves[row.start : row.start + len(change)] |= change >= STATIC_FACE
    return moves
