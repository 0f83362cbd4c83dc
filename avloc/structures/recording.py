"""What a media file contains, known before anything is decoded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from avloc.structures.prediction import Reason


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """Header facts of one audio stream; ``start`` and ``duration`` in seconds of the recording's clock."""

    index: int
    codec: str
    sample_rate: int
    n_channels: int
    start: float
    duration: float | None
    used: bool


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Header facts of one video stream; ``frame_rate`` in Hz, sizes in pixels, times in seconds."""

    index: int
    codec: str
    frame_rate: Fraction | None
    width: int
    height: int
    start: float
    duration: float | None
    variable_rate: bool | None
    used: bool


RAW_CODECS = ("mulaw", "alaw", "u8", "s16le", "s16be", "s24le", "s32le", "f32le")
"""Names of sample formats of sound without a header: ITU-T G.711, and linear PCM."""


@dataclass(frozen=True, slots=True)
class RawFormat:
    """How to read sound that has no header: one of ``RAW_CODECS``, ``sample_rate`` in Hz, channels.

    Examples
    --------
    >>> RawFormat.parse("mulaw,8000,2")
    RawFormat(codec='mulaw', sample_rate=8000, n_channels=2)
    """

    codec: str
    sample_rate: int
    n_channels: int

    def __post_init__(self) -> None:
        counts = (self.sample_rate, self.n_channels)
        if self.codec not in RAW_CODECS or not all(isinstance(n, int) and n > 0 for n in counts):
            raise ValueError(
                f"sound without a header is one of {', '.join(RAW_CODECS)}, with a rate and a number of "
                f"channels from 1 on, got {self.codec!r}, {self.sample_rate!r} and {self.n_channels!r}"
            )

    @classmethod
    def parse(cls, text: str) -> "RawFormat":
        """Read ``CODEC,RATE[,CHANNELS]``, by default one channel.

        Raises
        ------
        ValueError
            If the text has another form, or a value is none of those.
        """
        codec, *numbers = text.split(",")
        if len(numbers) not in (1, 2) or not all(re.fullmatch("[0-9]{1,9}", n) for n in numbers):
            raise ValueError(f"expected CODEC,RATE[,CHANNELS] such as mulaw,8000,2; got {text!r}")
        rate, n_channels = (*map(int, numbers), 1)[:2]
        return cls(codec, rate, n_channels)


@dataclass(frozen=True, slots=True)
class Recording:
    """One media file with an id.

    Time zero is the earliest presented timestamp of any used stream; ``start`` is that timestamp on the
    container's own clock, in seconds. ``duration`` is the time from zero to the end of the longest used
    stream, as the headers and packets say. ``warnings`` holds what opening noticed, such as
    ``Reason.EXTENSION_MISMATCH``, and ``notes`` says in words which cap kept a stream out.
    """

    id: str
    path: str
    sha256: str | None
    n_bytes: int | None
    container: str | None
    start: float | None
    duration: float | None
    streams: tuple[AudioInfo | VideoInfo, ...] = ()
    extra: Mapping[str, str] | None = None
    warnings: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    # What the file system said of the file when it was hashed; ``avloc.media`` compares it before it decodes.
    # It is no property of the recording: neither written, nor shown, nor part of equality.
    _file_state: tuple[int, ...] | None = field(default=None, repr=False, compare=False, kw_only=True)
    # How a file without a header was opened; ``avloc.media`` decodes it in the same way.
    _raw_format: RawFormat | None = field(default=None, repr=False, compare=False, kw_only=True)

    @property
    def audio(self) -> AudioInfo | None:
        """The audio stream that is analysed, or None."""
        return next((s for s in self.streams if isinstance(s, AudioInfo) and s.used), None)

    @property
    def video(self) -> VideoInfo | None:
        """The video stream that is analysed, or None."""
        return next((s for s in self.streams if isinstance(s, VideoInfo) and s.used), None)
