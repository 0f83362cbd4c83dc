"""The sound and the picture of a recording as a whole, for encoders that read it at once.

Public speech encoders were run over whole clips. The sound counts as many frames as it fills, the picture as
many as it shows: neither is filled up to the length of the other. A recording that is longer than asked for
is cut, and its features say ``limit_reached``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from avloc.features.audio import SAMPLES_PER_FRAME
from avloc.media.decode import AudioBlock, Decoder, FaceFrames, VideoBlock
from avloc.media.supervisor import Limits
from avloc.pipelines.measures import GRID
from avloc.pipelines.sounds import choose_sound, relate
from avloc.structures import Reason, Recording
from avloc.structures.landmarks import LandmarkTrack


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream on the grid of 25 Hz.

    ``arrays`` holds ``waveform`` float32 (640 T,) at 16 kHz, or crops uint8 (T, H, W) by name; ``present``
    bool (T,) says which frames hold sound or a face, where they do not there are zeros.
    """

    arrays: Mapping[str, np.ndarray]
    present: np.ndarray


def read_streams(
    recording: Recording,
    *,
    crops: tuple[str, ...],
    landmarks: LandmarkTrack | None = None,
    max_frames: int,
    limits: Limits | None = None,
) -> tuple[dict[str, Stream], tuple[Reason, ...]]:
    """Decode a recording as a whole.

    Parameters
    ----------
    recording : Recording
        What ``open_recording`` gave.
    crops : tuple of str
        Crops of the face; without any the picture is left alone.
    landmarks : LandmarkTrack, optional
        Where the faces are; they are looked for without it.
    max_frames : int [>= 1]
        What is longer is cut.
    limits : Limits, optional
        Caps on a recording.

    Returns
    -------
    dict of str to Stream
        ``audio``, the mean of the channels that ``choose_sound`` mixes, and ``visual``, one face a frame: of
        those that show at once the one that is largest over the recording. A stream that the recording lacks
        is absent, and so is a picture without any face.
    tuple of Reason
        What decoding noticed, and ``limit_reached`` where the recording was cut.

    Raises
    ------
    UnreadableMediaError, MissingStreamError
        As of ``Decoder``.
    """
    sound: list[AudioBlock] = []
    faces: dict[int, list[tuple[int, FaceFrames]]] = {}
    n_shown = 0
    decoder = Decoder(recording, crops=crops, landmarks=landmarks, limits=limits, frames=(0, max_frames))
    for block in decoder:
        if isinstance(block, AudioBlock):
            sound.append(block)
            continue
        n_shown = max(n_shown, block.start_frame + len(block.source_index))
        _keep_faces(faces, block)
    streams = {}
    if sound and (heard := _mix(sound, max_frames)) is not None:
        streams["audio"] = heard
    if faces:
        streams["visual"] = _largest_face(faces, n_shown)
    warnings = decoder.warnings
    if is_cut(recording, max_frames):
        warnings = tuple(dict.fromkeys((*warnings, Reason.LIMIT_REACHED)))
    return streams, warnings


def is_cut(recording: Recording, max_frames: int) -> bool:
    """Whether a recording is longer than ``max_frames``, by its headers."""
    return recording.duration is not None and recording.duration > GRID.time(max_frames + 1)


def _keep_faces(faces: dict[int, list[tuple[int, FaceFrames]]], block: VideoBlock) -> None:
    for face in block.faces:
        faces.setdefault(face.face, []).append((block.start_frame, face))


def _mix(blocks: list[AudioBlock], max_frames: int) -> Stream | None:
    """Mix the channels of whole frames; None where there is not even one."""
    samples = np.concatenate([block.samples for block in blocks], axis=1)
    present = np.concatenate([block.present for block in blocks])
    n_frames = min(samples.shape[1] // SAMPLES_PER_FRAME, max_frames)
    if not n_frames:
        return None
    samples = samples[:, : n_frames * SAMPLES_PER_FRAME]
    heard = present[: samples.shape[1]].reshape(n_frames, SAMPLES_PER_FRAME).mean(axis=1) >= 0.5
    mixed = choose_sound(samples, relate(samples, heard), "mix")
    # Of silence, and of less than can be judged, the plain mean.
    waveform = mixed[None] if mixed else samples.mean(axis=0)
    return Stream({"waveform": np.ascontiguousarray(waveform, dtype=np.float32)}, heard)


def _largest_face(faces: Mapping[int, list[tuple[int, FaceFrames]]], n_frames: int) -> Stream:
    """Show in each frame the face that is largest over the recording: it does not change to and fro."""
    total = {
        face: sum(float((f.boxes[f.present, 2] * f.boxes[f.present, 3]).sum()) for _, f in blocks)
        for face, blocks in faces.items()
    }
    shapes = {name: crop.shape[1:] for name, crop in next(iter(faces.values()))[0][1].crops.items()}
    crops = {name: np.zeros((n_frames, *shape), np.uint8) for name, shape in shapes.items()}
    seen = np.zeros(n_frames, dtype=bool)
    for face in sorted(faces, key=lambda face: (-total[face], face)):
        for start, frames in faces[face]:
            rows = np.flatnonzero(frames.present & ~seen[start : start + len(frames.present)])
            seen[start + rows] = True
            for name, crop in frames.crops.items():
                crops[name][start + rows] = crop[rows]
    return Stream(crops, seen)
