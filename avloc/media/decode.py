"""Iterate the sound and the pictures of a Recording as blocks in the recording's own time."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from fractions import Fraction

import numpy as np

from avloc.errors import MissingStreamError, UnreadableMediaError
from avloc.media.probe import check_file
from avloc.media.protocol import CROP_SHAPES, LANDMARK_CROP, Message, pack_path
from avloc.media.supervisor import Limits, Supervisor, borrow_supervisor
from avloc.structures import Reason, Recording
from avloc.structures.landmarks import LandmarkTrack

logger = logging.getLogger(__name__)

MOUTH = ("mouth96_box",)


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """Sound, at most one second of it; blocks follow each other without a hole from time zero.

    Attributes
    ----------
    start_sample : int
        Position of the first sample.
    samples : np.ndarray [shape=(n_channels, n), float32, range [-1, 1]]
        The channels as recorded, never mixed; zeros where there was no sound.
    present : np.ndarray [shape=(n,), bool]
        False where sound is missing: a late start, a gap, a packet that could not be decoded.
    """

    start_sample: int
    samples: np.ndarray
    present: np.ndarray


@dataclass(frozen=True, slots=True)
class FaceFrames:
    """One face track on consecutive grid frames.

    Attributes
    ----------
    face : int
        Id of the track; higher after a cut than all before it, and a new one after a loss.
    boxes : np.ndarray [shape=(n, 4), float32, px]
        x, y, width, height in the source frame; NaN where the face is absent.
    present : np.ndarray [shape=(n,), bool]
        Whether the face was there.
    crops : dict of np.ndarray [uint8]
        Gray crops by name, those of ``CROP_SHAPES`` that were asked for; zeros where the face is absent.
    """

    face: int
    boxes: np.ndarray
    present: np.ndarray
    crops: dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class VideoBlock:
    """Pictures, at most one second of them; blocks follow each other without a hole from grid frame 0.

    Attributes
    ----------
    start_frame : int
        First frame of the 25 Hz grid.
    source_index : np.ndarray [shape=(n,), int64]
        Source frame, in order of presentation, shown at the centre of each grid frame; -1 for none.
    faces : tuple of FaceFrames
        The face tracks that touch the block, in order of their ids; a frame has at most four.
    cuts : np.ndarray [shape=(n,), bool]
        Where a new shot begins, never on the first frame that is decoded. They are looked for with the faces;
        False throughout where those are left alone.
    """

    start_frame: int
    source_index: np.ndarray
    faces: tuple[FaceFrames, ...]
    cuts: np.ndarray


class Decoder:
    """Decodes the used streams of a recording in the child, side by side and block by block.

    Iterate it once. Sound and pictures come in the order in which the file holds them, each without holes.
    After the last block the attributes below say what was noticed. A consumer that does not go on holds the
    child back; nothing piles up.

    Parameters
    ----------
    recording : Recording
        What ``open_recording`` gave.
    crops : tuple of str
        Crops to cut from faces, of ``mouth96_box`` and ``face112``; an empty tuple leaves faces alone.
    limits : Limits, optional
        Caps; the defaults without it.
    sample_rate : int [Hz, > 0]
        Rate of the sound.
    frames : (int, int or None) [frames of 25 Hz]
        The part that is decoded: blocks begin with the first of them and end before the last.
    landmarks : LandmarkTrack, optional
        Where the faces are; they are looked for without it.

    Attributes
    ----------
    warnings : tuple of Reason
        ``truncated``, ``decode_errors``, ``timestamps_repaired``, ``sanitised_samples``, ``drift``,
        ``limit_reached``, and what opening had noticed.
    notes : tuple of str
        Which cap was reached, in words.
    decode_timing_s, face_timing_s : float [s]
        What the child spent on decoding and on faces.
    drift_ppm : float or None
        How much the timestamps of the sound outrun its samples, in parts per million.

    Raises
    ------
    ValueError
        If a crop is unknown, the rate is not positive, there are landmarks and no crops, or a crop needs
        landmarks and there are none.
    MissingStreamError
        If there are landmarks and no pictures, or, at the end of the iteration, fewer pictures.
    UnreadableMediaError
        While iterating: the reason is a code such as ``decoder_crash`` or ``changed_during_read``.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        crops: tuple[str, ...] = MOUTH,
        limits: Limits | None = None,
        sample_rate: int = 16_000,
        frames: tuple[int, int | None] = (0, None),
        landmarks: LandmarkTrack | None = None,
    ) -> None:
        unknown = set(crops) - set(CROP_SHAPES)
        if unknown or sample_rate <= 0:
            raise ValueError(
                f"crops are of {tuple(CROP_SHAPES)} and the rate is positive, got {crops!r} and {sample_rate}"
            )
        if landmarks is not None and not crops:
            raise ValueError("landmarks say where crops are cut, and no crops were asked for")
        if landmarks is None and LANDMARK_CROP in crops and recording.video is not None:
            raise ValueError(f"{LANDMARK_CROP} is cut by landmarks, and none were given")
        if landmarks is not None and recording.video is None:
            message = "landmarks were given, and there is no video stream; leave them out"
            raise MissingStreamError(recording.path, message, reason="no_samples")
        self.recording = recording
        self.warnings: tuple[Reason, ...] = recording.warnings
        self.notes: tuple[str, ...] = ()
        self.decode_timing_s = 0.0
        self.face_timing_s = 0.0
        self.drift_ppm: float | None = None
        self._limits = limits or Limits()
        self._landmarks = landmarks
        self._fields = {
            "crops": list(crops),
            "sample_rate": sample_rate,
            "picture": "faces",
            "frames": frames,
        }
        self._blocks: Iterator[AudioBlock | VideoBlock] | None = None
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[AudioBlock | VideoBlock]:
        if self._blocks is not None:
            raise ValueError("a decoder is iterated once; make another one")
        self._blocks = self._iterate()
        return self._blocks

    def close(self) -> None:
        """Stop before the end; the child is ended if it was at work."""
        if self._blocks is not None:
            self._blocks.close()

    def kill(self) -> None:
        """End the child that is at work, from another thread than the one that waits for its blocks."""
        if (supervisor := self._supervisor) is not None:
            supervisor.kill()

    def _iterate(self) -> Iterator[AudioBlock | VideoBlock]:
        try:
            with borrow_supervisor() as self._supervisor:
                yield from self._make_blocks(self._supervisor)
        finally:
            self._supervisor = None

    def _make_blocks(self, supervisor: Supervisor) -> Iterator[AudioBlock | VideoBlock]:
        request = self._request(supervisor)
        with closing(request) as messages:  # before the supervisor is given back, whatever happens here
            for message in messages:
                if message.kind == "audio":
                    yield AudioBlock(
                        message.fields["start"], message.arrays["samples"], message.arrays["present"]
                    )
                elif message.kind == "video":
                    yield _make_video_block(message)
                else:
                    self._finish(message)

    def _request(self, supervisor: Supervisor) -> Iterator[Message]:
        track, arrays = self._landmarks, {}
        if track is not None:
            arrays = {"points": track.points, "frame": track.frame, "face": track.face}
        return request_blocks(supervisor, self.recording, self._fields, self._limits, arrays)

    def _check_length(self, n_sources: int | None) -> None:
        """Refuse landmarks of a longer recording: they were made of another file, and fit nowhere."""
        last = -1 if self._landmarks is None else int(self._landmarks.frame.max(initial=-1))
        if n_sources is not None and last >= n_sources:
            message = (
                f"landmarks were given for frame {last}, and the video has {n_sources} frames, counted "
                "from 0; give those of this recording"
            )
            raise MissingStreamError(self.recording.path, message, reason="no_samples")

    def _finish(self, end: Message) -> None:
        self._check_length(end.fields["n_sources"])
        noticed = dict.fromkeys((*self.recording.warnings, *map(Reason, end.fields["warnings"])))
        self.warnings, self.notes = tuple(noticed), tuple(end.fields["notes"])
        self.decode_timing_s, self.face_timing_s = end.fields["decode_s"], end.fields["face_s"]
        self.drift_ppm = end.fields["drift_ppm"]
        for note in self.notes:
            logger.warning("%r: limit reached: %s", self.recording.path, note)


def request_blocks(
    supervisor: Supervisor,
    recording: Recording,
    fields: dict,
    limits: Limits,
    arrays: Mapping[str, np.ndarray] | None = None,
) -> Iterator[Message]:
    """Ask the child to decode ``recording``; yield its blocks and the final report.

    ``arrays`` are those of a ``LandmarkTrack``, if faces are not to be looked for.
    """
    before = check_file(recording.path, limits)
    state = recording._file_state
    # what was read back from a document knows the size only
    if recording.n_bytes not in (None, before.n_bytes) or state not in (None, before):
        raise UnreadableMediaError(
            recording.path,
            f"the file is no longer the one that was opened: {recording.n_bytes} bytes then, "
            f"{before.n_bytes} now",
            reason="changed_during_read",
        )
    audio = recording.audio if fields["picture"] != "colour" else None
    video = recording.video if fields["picture"] != "none" else None
    zero = Fraction(recording.start or 0)
    request = Message(
        "decode",
        {
            **fields,
            "path": pack_path(os.path.abspath(recording.path)),  # the child has its own working folder
            "limits": limits.to_dict(),
            "raw": None if recording._raw_format is None else asdict(recording._raw_format),
            "audio": audio.index if audio else None,
            "video": video.index if video else None,
            "channels": audio.n_channels if audio else None,
            "zero": [zero.numerator, zero.denominator],
        },
        arrays or {},
    )
    yield from supervisor.exchange(request, path=recording.path, wall_factor=limits.wall_factor)
    if check_file(recording.path, limits) != before:
        raise UnreadableMediaError(
            recording.path, "the file changed while it was read", reason="changed_during_read"
        )


def _make_video_block(message: Message) -> VideoBlock:
    """Spread the rows of a message, one a face and frame, over the frames of each track."""
    arrays = message.arrays
    n, frames, ids = len(arrays["source_index"]), arrays["row_frame"], arrays["face"]
    crops = {name.removeprefix("crop_"): a for name, a in arrays.items() if name.startswith("crop_")}
    faces = []
    for face in np.unique(ids).tolist():
        rows = np.flatnonzero(ids == face)
        boxes, present = np.full((n, 4), np.nan, np.float32), np.zeros(n, bool)
        boxes[frames[rows]], present[frames[rows]] = arrays["boxes"][rows], True
        spread = {name: np.zeros((n, *crop.shape[1:]), np.uint8) for name, crop in crops.items()}
        for name, crop in crops.items():
            spread[name][frames[rows]] = crop[rows]
        faces.append(FaceFrames(face, boxes, present, spread))
    return VideoBlock(message.fields["start"], arrays["source_index"], tuple(faces), arrays["cuts"])
