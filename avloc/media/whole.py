"""Sound and colour pictures without blocks; for tools, synthesis and training, never for analysis."""

import os
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction

import numpy as np

from avloc.errors import MissingStreamError
from avloc.media.clock import GRID_RATE
from avloc.media.decode import request_blocks
from avloc.media.probe import probe
from avloc.media.supervisor import Limits, borrow_supervisor
from avloc.structures import Recording

LONGEST_COLOUR_S = 60.0


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
    fields = {"crops": [], "sample_rate": sample_rate, "picture": "none", "frames": (0, None)}
    with (
        borrow_supervisor() as supervisor,
        closing(request_blocks(supervisor, recording, fields, Limits())) as messages,
    ):
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
    if recording.duration is not None and recording.duration > LONGEST_COLOUR_S:
        raise ValueError(
            f"read_frames holds all frames: at most {LONGEST_COLOUR_S} s, got {recording.duration:.1f} s"
        )
    frames = []
    with closing(stream_frames(recording)) as pictures:
        for _, picture in pictures:
            frames.append(picture)
            if len(frames) > LONGEST_COLOUR_S * GRID_RATE:
                raise ValueError(f"read_frames holds all frames: at most {LONGEST_COLOUR_S} s, got more")
    return np.stack(frames), GRID_RATE


def stream_frames(
    recording: Recording, *, limits: Limits | None = None, frames: tuple[int, int | None] = (0, None)
) -> Iterator[tuple[int, np.ndarray]]:
    """Iterate the pictures of a recording of any length in colour on the 25 Hz grid.

    Parameters
    ----------
    recording : Recording
    limits, frames
        As of ``Decoder``.

    Yields
    ------
    int
        Source frame, in order of presentation, that is shown at the centre of the next grid frame; -1 where
        the first one stands in before it begins.
    uint8 (H, W, 3)
        Its picture, upright.

    Raises
    ------
    MissingStreamError
        If the file has no video stream.
    UnreadableMediaError
        If it cannot be decoded, or goes over a limit.
    """
    if recording.video is None:
        raise MissingStreamError(recording.path, "expected a video stream, got none", reason="no_samples")
    fields = {"crops": [], "sample_rate": 16_000, "picture": "colour", "frames": frames}
    with (
        borrow_supervisor() as supervisor,
        closing(request_blocks(supervisor, recording, fields, limits or Limits())) as messages,
    ):
        for message in messages:
            if message.kind == "colour":
                yield int(message.arrays["source_index"][0]), message.arrays["frame"]
