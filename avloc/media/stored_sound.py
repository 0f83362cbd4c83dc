"""Sound as the bytes of a small file, written and read without a media decoder: FLAC, Opus, MP3.

Reading happens in this process and not in the media worker: it is for files of a training pack, whose hashes
were checked, and not for recordings from anywhere.
"""

import io
from pathlib import Path

import numpy as np

from avloc.errors import UnreadableMediaError

FORMATS = {"flac": ("FLAC", "PCM_16", 1.0), "opus": ("OGG", "OPUS", 0.9)}  # Opus: about 30 kbit/s at 16 kHz
SUFFIXES = {"flac": ".flac", "opus": ".ogg"}


def encode_sound(samples: np.ndarray, sample_rate: int, *, codec: str) -> bytes:
    """Code samples (n,) int16 as ``"flac"``, which gives them back exactly, or ``"opus"``."""
    import soundfile

    container, subtype, level = FORMATS[codec]
    stored = io.BytesIO()
    soundfile.write(stored, samples, sample_rate, format=container, subtype=subtype, compression_level=level)
    return stored.getvalue()


def decode_sound(path: Path, *, sample_rate: int) -> np.ndarray:
    """Read a file of one channel at ``sample_rate``.

    Returns
    -------
    np.ndarray [shape=(1, n), float32, range [-1, 1]]

    Raises
    ------
    UnreadableMediaError
        If libsndfile cannot read it, it is otherwise, or the package soundfile is missing.
    """
    try:
        import soundfile
    except ModuleNotFoundError as error:
        message = "is read with the package soundfile, which is not installed; pip install soundfile"
        raise UnreadableMediaError(str(path), message) from error
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise UnreadableMediaError(str(path), f"expected sound, got {error}") from error
    if rate != sample_rate or samples.shape[1] != 1:
        got = f"{samples.shape[1]} at {rate} Hz"
        raise UnreadableMediaError(str(path), f"expected one channel at {sample_rate} Hz, got {got}")
    return samples.T
