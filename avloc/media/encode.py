"""Write sound as WAV or FLAC and clips as MP4; for synthesis, corruptions and fixtures only."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain

import av
import numpy as np
import soundfile

AUDIO_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
AAC_FRAME = 1024  # samples


def write_audio(
    path: str | os.PathLike, samples: np.ndarray, sample_rate: int, *, subtype: str = "PCM_16"
) -> None:
    """Write sound to a WAV or FLAC file, by the extension of its name.

    Parameters
    ----------
    path : str or os.PathLike
        Ends with ``.wav`` or ``.flac``.
    samples : np.ndarray [shape=(n_channels, n), range [-1, 1]]
        What lies outside the range is clipped by integer formats.
    sample_rate : int [Hz, > 0]
        Rate of the samples.
    subtype : str
        How a sample is stored, in libsndfile's words: ``PCM_16``, ``PCM_24``, ``FLOAT``, ``ULAW``, ...

    Raises
    ------
    ValueError
        If the extension, the shape or the subtype is not supported.
    """
    extension = os.path.splitext(os.fsdecode(path))[1].lower()
    if extension not in AUDIO_FORMATS:
        raise ValueError(f"sound is written as {sorted(AUDIO_FORMATS)}, got {os.fsdecode(path)!r}")
    _check_samples(samples)
    if not soundfile.check_format(AUDIO_FORMATS[extension], subtype):
        raise ValueError(f"{AUDIO_FORMATS[extension]} cannot hold samples as {subtype!r}")
    with open(path, "wb") as stream:  # soundfile itself cannot open every name
        soundfile.write(stream, samples.T, sample_rate, format=AUDIO_FORMATS[extension], subtype=subtype)


def write_video(
    path: str | os.PathLike,
    frames: Iterable[np.ndarray],
    rate: Fraction,
    samples: np.ndarray | None = None,
    sample_rate: int | None = None,
    *,
    quality: int = 20,
) -> None:
    """Write pictures and, if given, sound to an MP4 with H.264 and AAC; both begin at zero.

    Parameters
    ----------
    path : str or os.PathLike
        Name of the file.
    frames : iterable of np.ndarray [shape=(H, W, 3), uint8]
        Colour pictures of one size; both sides are even. They are taken one at a time.
    rate : Fraction [Hz, > 0]
        Pictures a second.
    samples : np.ndarray [shape=(n_channels, n), range [-1, 1]], optional
        Sound of one or two channels.
    sample_rate : int [Hz], optional
        Rate of the samples; needed with them.
    quality : int [0 to 51]
        Constant rate factor of H.264; smaller is better and larger on disk.

    Raises
    ------
    ValueError
        If sizes, channels or rates do not fit.
    """
    if (samples is None) != (sample_rate is None):
        raise ValueError("samples and sample_rate go together, got one of them")
    if samples is not None:
        _check_samples(samples)
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise ValueError("a clip needs at least one picture, got none")
    height, width = _even_sides(first)
    with av.open(os.fspath(path), "w", format="mp4") as container:
        picture = container.add_stream("libx264", rate=Fraction(rate))
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        picture.options = {
            "crf": str(quality),
            "preset": "veryfast",
            "threads": "1",
        }  # the same bytes each time
        sound, pieces = None, deque()
        if samples is not None:
            sound = container.add_stream("aac", rate=sample_rate, layout=_layout(samples))
            pieces = deque(_cut_sound(samples, sample_rate))
        for index, frame in enumerate(_make_frames(first, iterator, Fraction(rate))):
            while pieces and pieces[0].pts < (index + 1) / Fraction(rate) * sample_rate:
                container.mux(sound.encode(pieces.popleft()))  # up to the end of this picture: interleaved
            container.mux(picture.encode(frame))
        for piece in pieces:
            container.mux(sound.encode(piece))
        for stream in filter(None, (picture, sound)):
            container.mux(stream.encode(None))


def _check_samples(samples: np.ndarray) -> None:
    if samples.ndim != 2 or not 1 <= samples.shape[0] <= 64:
        raise ValueError(f"sound has the shape (n_channels, n) with 1 to 64 channels, got {samples.shape}")


def _even_sides(picture: np.ndarray) -> tuple[int, int]:
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"H.264 needs even sides, got {width}x{height} px")
    return height, width


def _layout(samples: np.ndarray) -> str:
    if len(samples) > 2:
        raise ValueError(f"a clip has sound of one or two channels, got {len(samples)}")
    return "mono" if len(samples) == 1 else "stereo"


def _cut_sound(samples: np.ndarray, sample_rate: int) -> Iterator[av.AudioFrame]:
    for start in range(0, samples.shape[1], AAC_FRAME):
        piece = np.ascontiguousarray(samples[:, start : start + AAC_FRAME], np.float32)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=_layout(samples))
        frame.sample_rate, frame.pts, frame.time_base = sample_rate, start, Fraction(1, sample_rate)
        yield frame


def _make_frames(first: np.ndarray, rest: Iterator[np.ndarray], rate: Fraction) -> Iterator[av.VideoFrame]:
    for index, pixels in enumerate(chain([first], rest)):
        if pixels.shape != first.shape:
            raise ValueError(f"all pictures have the shape {first.shape}, got {pixels.shape}")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = index, 1 / rate
        yield frame
