"""Iterate the sound and the pictures of a Recording as blocks in the recording's own time."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from avloc.errors import MissingStreamError, UnreadableMediaError
from avloc.media.clock import GRID_RATE
from avloc.media.probe import check_file, probe
from avloc.media.protocol import Message, pack_path
from avloc.media.supervisor import Limits, borrow_supervisor
from avloc.structures import Reason, Recording

logger = logging.getLogger(__name__)

CROPS = ("mouth96_box",)
LONGEST_COLOUR_S = 60.0


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
        Id of the track; a new one after a cut or a loss.
    boxes : np.ndarray [shape=(n, 4), float32, px]
        x, y, width, height in the source frame; NaN where the face is absent.
    present : np.ndarray [shape=(n,), bool]
        Whether the face was there.
    crops : dict of np.ndarray [shape=(n, 96, 96), uint8]
        Gray crops by name; zeros where the face is absent.
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
        The face tracks that touch the block.
    cuts : np.ndarray [shape=(n,), bool]
        Where a new shot begins; not looked for yet, so False throughout.
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
        Crops to cut from faces; an empty tuple leaves faces alone.
    limits : Limits, optional
        Caps; the defaults without it.
    sample_rate : int [Hz, > 0]
        Rate of the sound.

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
    UnreadableMediaError
        While iterating: the reason is a code such as ``decoder_crash`` or ``changed_during_read``.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        crops: tuple[str, ...] = CROPS,
        limits: Limits | None = None,
        sample_rate: int = 16_000,
    ) -> None:
        unknown = set(crops) - set(CROPS)
        if unknown or sample_rate <= 0:
            raise ValueError(
                f"crops are of {CROPS} and the rate is positive, got {crops!r} and {sample_rate}"
            )
        self.recording = recording
        self.warnings: tuple[Reason, ...] = recording.warnings
        self.notes: tuple[str, ...] = ()
        self.decode_timing_s = 0.0
        self.face_timing_s = 0.0
        self.drift_ppm: float | None = None
        self._limits = limits or Limits()
        self._fields = {"crops": list(crops), "sample_rate": sample_rate, "picture": "faces"}
        self._blocks: Iterator[AudioBlock | VideoBlock] | None = None

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

    def _iterate(self) -> Iterator[AudioBlock | VideoBlock]:
        for message in _request_blocks(self.recording, self._fields, self._limits):
            if message.kind == "audio":
                yield AudioBlock(
                    message.fields["start"], message.arrays["samples"], message.arrays["present"]
                )
            elif message.kind == "video":
                yield _make_video_block(message)
            else:
                self._finish(message)

    def _finish(self, end: Message) -> None:
        noticed = dict.fromkeys((*self.recording.warnings, *map(Reason, end.fields["warnings"])))
        self.warnings, self.notes = tuple(noticed), tuple(end.fields["notes"])
        self.decode_timing_s, self.face_timing_s = end.fields["decode_s"], end.fields["face_s"]
        self.drift_ppm = end.fields["drift_ppm"]
        for note in self.notes:
            logger.warning("%r: limit reached: %s", self.recording.path, note)


def read_audio(path: str | os.PathLike, *, sample_rate: int = 16_000) -> np.ndarray:
    """Read the whole sound of a short recording; for tools, synthesis and training.

    Parameters
    ----------
    path : str or os.PathLike
        A media file.
    sample_rate : int [Hz, > 0]
        Rate of the result.

    Returns
    -------
    np.ndarray [shape=(n_channels, n), float32, range [-1, 1]]
        All channels from time zero; missing sound is zeros.

    Raises
    ------
    MissingStreamError
        If the file has no sound.
    UnreadableMediaError
        If it cannot be opened or decoded.
    """
    recording = probe(path, with_hash=False)
    if recording.audio is None:
        raise MissingStreamError(recording.path, "expected a sound stream, got none", reason="no_samples")
    fields = {"crops": [], "sample_rate": sample_rate, "picture": "none"}
    messages = _request_blocks(recording, fields, Limits())
    blocks = [message.arrays["samples"] for message in messages if message.kind == "audio"]
    return np.concatenate(blocks, axis=1) if blocks else np.zeros((recording.audio.n_channels, 0), np.float32)


def read_frames(path: str | os.PathLike) -> tuple[np.ndarray, Fraction]:
    """Read the pictures of a clip of at most 60 s in colour on the 25 Hz grid; for synthesis.

    Returns
    -------
    frames : np.ndarray [shape=(n, H, W, 3), uint8]
        The picture shown at the centre of each grid frame; the first one stands in before it begins.
    rate : Fraction [Hz]
        25.

    Raises
    ------
    ValueError
        If the clip is longer than 60 s.
    MissingStreamError
        If the file has no video stream.
    UnreadableMediaError
        If it cannot be opened or decoded.
    """
    recording = probe(path, with_hash=False)
    if recording.video is None:
        raise MissingStreamError(recording.path, "expected a video stream, got none", reason="no_samples")
    if recording.duration is not None and recording.duration > LONGEST_COLOUR_S:
        raise ValueError(
            f"read_frames holds all frames: at most {LONGEST_COLOUR_S} s, got {recording.duration:.1f} s"
        )
    fields = {"crops": [], "sample_rate": 16_000, "picture": "colour"}
    frames = []
    for message in _request_blocks(recording, fields, Limits()):
        if message.kind == "colour":
            frames.append(message.arrays["frame"])
        if len(frames) > LONGEST_COLOUR_S * GRID_RATE:
            raise ValueError(f"read_frames holds all frames: at most {LONGEST_COLOUR_S} s, got more")
    return np.stack(frames), GRID_RATE


def _request_blocks(recording: Recording, fields: dict, limits: Limits) -> Iterator[Message]:
    """Ask the child to decode ``recording``; yield its blocks and the final report."""
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
            "audio": audio.index if audio else None,
            "video": video.index if video else None,
            "zero": [zero.numerator, zero.denominator],
        },
    )
    with borrow_supervisor() as supervisor:
        yield from supervisor.exchange(request, path=recording.path, wall_factor=limits.wall_factor)
    if check_file(recording.path, limits) != before:
        raise UnreadableMediaError(
            recording.path, "the file changed while it was read", reason="changed_during_read"
        )


def _make_video_block(message: Message) -> VideoBlock:
    """Split the flat arrays of a message by face track."""
    ids, boxes = message.arrays["face"], message.arrays["boxes"]
    crops = {name.removeprefix("crop_"): a for name, a in message.arrays.items() if name.startswith("crop_")}
    faces = []
    for face in sorted(set(ids[ids >= 0].tolist())):
        present = ids == face
        faces.append(
            FaceFrames(
                face=face,
                boxes=np.where(present[:, None], boxes, np.float32(np.nan)),
                present=present,
                crops={name: np.where(present[:, None, None], a, np.uint8(0)) for name, a in crops.items()},
            )
        )
    sources = message.arrays["source_index"]
    return VideoBlock(message.fields["start"], sources, tuple(faces), np.zeros(len(sources), bool))
