"""What a real lossy coder leaves of sound: encoded in memory and decoded again."""

import io
from fractions import Fraction
from functools import cache
from importlib.util import find_spec

import numpy as np

CODECS = {"mp3": ("libmp3lame", "mp3"), "aac": ("aac", "mp4"), "opus": ("libopus", "ogg")}
FRAME = 960  # samples; encoders cut it as they need
SHORTEST = 8 * FRAME  # a file of less than a few frames is not recognised


@cache
def can_recode() -> bool:
    """Whether PyAV is installed; a machine that only trains need not have it."""
    return find_spec("av") is not None


def recode(samples: np.ndarray, sample_rate: int, *, codec: str, bit_rate: int) -> np.ndarray:
    """Send sound through a lossy coder and back.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,), float32, range [-1, 1]]
        One channel.
    sample_rate : int [Hz]
        8000, 16000, 24000 or 48000: what all three coders take.
    codec : str
        ``"mp3"``, ``"aac"`` or ``"opus"``.
    bit_rate : int [bit/s]
        As asked of the encoder, which takes the nearest it knows.

    Returns
    -------
    np.ndarray [shape=(n,), float32]
        Aligned with the input within two samples: the delays of encoder and decoder are taken off.

    Raises
    ------
    ValueError
        If the codec is unknown or ``samples`` has more than one axis.
    """
    if codec not in CODECS:
        raise ValueError(f"codec must be one of {sorted(CODECS)}, got {codec!r}")
    if samples.ndim != 1:
        raise ValueError(f"samples must be (n,), got {samples.shape}; pass channels one by one")
    longer = np.pad(samples, (0, max(SHORTEST - len(samples), 0)))
    coded = _decode(_encode(longer, sample_rate, codec, bit_rate), sample_rate)
    return np.pad(coded[: len(samples)], (0, max(len(samples) - len(coded), 0)))


def _encode(samples: np.ndarray, sample_rate: int, codec: str, bit_rate: int) -> bytes:
    import av

    encoder, container = CODECS[codec]
    stored = io.BytesIO()
    with av.open(stored, "w", format=container) as file:
        stream = file.add_stream(encoder, rate=sample_rate, layout="mono")
        stream.bit_rate = bit_rate
        wanted = stream.codec_context.codec.audio_formats[-1].name if codec == "opus" else "fltp"
        for start in range(0, len(samples), FRAME):
            piece = np.ascontiguousarray(samples[None, start : start + FRAME], dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(piece, format=wanted, layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = sample_rate, start, Fraction(1, sample_rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return stored.getvalue()


def _decode(stored: bytes, sample_rate: int) -> np.ndarray:
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate)
    pieces = []
    with av.open(io.BytesIO(stored)) as file:
        for frame in file.decode(audio=0):
            pieces += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    pieces += [part.to_ndarray()[0] for part in resampler.resample(None)]
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)
