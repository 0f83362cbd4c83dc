"""Decoded frames of sound to continuous blocks at the working rate, channel by channel, in the child."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from avloc.media.clock import SampleClock
from avloc.media.protocol import Message

FLOAT_FORMATS = frozenset(("flt", "fltp", "dbl", "dblp"))
MANY_CHANNELS = 8  # PyAV reads past the list of planes of a planar frame with as many, and dies by a signal
LOUDEST = 2.0  # times full scale


class SoundTrack:
    """Places sound on the recording's clock, resamples it and cuts it into blocks of one second.

    Parameters
    ----------
    make_resampler : callable
        ``make_resampler(rate)`` gives an object whose ``resample(frame or None)`` gives packed float frames
        of that rate with the channels of its input: channels are never mixed.
    make_converter : callable
        ``make_converter(rate, form)`` gives one whose frames have the sample format ``form``, one for each
        frame of that rate that it is given.
    sample_rate : int [Hz]
        Rate of the blocks.
    n_channels : int or None
        Channels of the blocks, whatever the frames have; None or 0 for as many as the first frame has.
    limit : Fraction [s]
        No timestamp after this is believed.
    first, last : int [samples, >= 0]
        Blocks begin with the output sample ``first`` and end before ``last`` where it is given.

    Attributes
    ----------
    n_sanitised : int
        Samples that are no numbers, and those over twice full scale. What is less loud is only clipped:
        lossy codecs go over full scale by up to a half where the sound was at its limit.
    """

    is_picture: ClassVar[bool] = False

    def __init__(
        self,
        make_resampler: Callable[[int], Any],
        make_converter: Callable[[int, str], Any],
        *,
        sample_rate: int,
        n_channels: int | None = None,
        limit: Fraction,
        first: int = 0,
        last: int | None = None,
    ) -> None:
        self._make_resampler, self._make_converter = make_resampler, make_converter
        self._rate = sample_rate
        self.clock = SampleClock(limit)
        self._resampler: Any = None
        self._converter: Any = None
        self._converted: tuple | None = None  # rate, format and layout that the converter takes
        self._layout: tuple | None = None
        self._position = 0  # output sample at which the next resampled sample belongs
        self._written = first  # end of what is in blocks and in the buffer, in output samples
        self._emitted = first
        self._last = last
        self._n_channels = n_channels or 0
        self._buffer: list[tuple[np.ndarray, bool]] = []
        self.n_sanitised = 0
        self.n_frames = 0
        self.face_s = 0.0

    @property
    def n_samples(self) -> int:
        """End of the track so far, in output samples."""
        return self._written

    @property
    def is_over(self) -> bool:
        """Whether the last sample that is wanted was decoded."""
        return self._last is not None and self._written >= self._last

    def push(self, frame: Any, time: Fraction | None) -> Iterator[Message]:
        """Take one decoded frame that begins at ``time`` seconds; yield the blocks that are full."""
        n_channels = len(frame.layout.channels)
        if not self._n_channels:
            self._n_channels = n_channels
        place = self.clock.place(time, frame.samples, frame.sample_rate)
        self.n_frames += 1
        if place.n_samples <= 0:
            return
        frame = self._clean(self._make_readable(frame))
        if place.skip or place.n_samples != frame.samples:
            frame = _reshape(frame, place.skip, place.n_samples)
        layout = (frame.sample_rate, frame.format.name, frame.layout.name)
        if place.new_run or layout != self._layout:
            yield from self._end_run()
            self._resampler, self._layout = self._make_resampler(self._rate), layout
            self._position = round(place.start * self._rate)
        frame.pts = None  # the clock above has placed it; the resampler must not move it
        for resampled in self._resampler.resample(frame):
            self._write(_by_channel(resampled))
        yield from self._emit(whole=False)

    def finish(self, duration: Fraction | None = None) -> Iterator[Message]:
        """Yield what is left; sound knows how long it is, so ``duration`` is not needed."""
        yield from self._end_run()
        yield from self._emit(whole=True)

    def _end_run(self) -> Iterator[Message]:
        if self._resampler is not None:
            for resampled in self._resampler.resample(None):
                self._write(_by_channel(resampled))
            self._resampler = None
        yield from self._emit(whole=False)

    def _make_readable(self, frame: Any) -> Any:
        """Give the frame in a format whose samples can be read as an array."""
        form = frame.format.packed.name
        if form == "s64":  # NumPy arrays are not made of it
            form = "dbl"
        elif not frame.format.is_planar or len(frame.layout.channels) < MANY_CHANNELS:
            return frame
        kind = (frame.sample_rate, frame.format.name, frame.layout.name)
        if kind != self._converted:
            self._converter, self._converted = self._make_converter(frame.sample_rate, form), kind
        frame.pts = None
        (converted,) = self._converter.resample(frame)
        return converted

    def _clean(self, frame: Any) -> Any:
        """Replace NaN and infinite samples by zero, and bound others, before a filter can spread them."""
        if frame.format.name not in FLOAT_FORMATS:
            return frame
        samples = frame.to_ndarray()
        usable = np.abs(samples) <= LOUDEST
        if usable.all():
            return frame
        self.n_sanitised += int(samples.size - usable.sum())
        replaced = np.where(np.isfinite(samples), np.clip(samples, -LOUDEST, LOUDEST), 0)
        return _with_samples(frame, replaced.astype(samples.dtype))

    def _write(self, samples: np.ndarray) -> None:
        """Put resampled sound of shape (C, n) where it belongs, less what is written already."""
        start, self._position = self._position, self._position + samples.shape[1]
        end = None if self._last is None else max(0, self._last - start)
        samples = samples[:, max(0, self._written - start) : end]
        if samples.shape[1] == 0:
            return
        if samples.shape[0] != self._n_channels:  # the layout changed, or the header knew of others
            fitted = np.zeros((self._n_channels, samples.shape[1]), np.float32)
            n_common = min(self._n_channels, samples.shape[0])
            fitted[:n_common] = samples[:n_common]
            samples = fitted
        start = max(start, self._written)
        if start > self._written:
            self._buffer.append(
                (np.broadcast_to(np.float32(0), (self._n_channels, start - self._written)), False)
            )
        self._buffer.append((np.clip(samples, -1.0, 1.0).astype(np.float32, copy=False), True))
        self._written = start + samples.shape[1]

    def _emit(self, *, whole: bool) -> Iterator[Message]:
        """Yield blocks of one second from the buffer; the last, shorter one only when ``whole``."""
        waiting = self._written - self._emitted
        while waiting >= self._rate or (whole and waiting > 0):
            samples = np.zeros((self._n_channels, min(self._rate, waiting)), np.float32)
            present = np.zeros(samples.shape[1], bool)
            filled = 0
            while filled < len(present):
                piece, real = self._buffer[0]
                n_taken = min(piece.shape[1], len(present) - filled)
                samples[:, filled : filled + n_taken] = piece[:, :n_taken]
                present[filled : filled + n_taken] = real
                filled += n_taken
                self._buffer[0] = (piece[:, n_taken:], real)
                if piece.shape[1] == n_taken:
                    del self._buffer[0]
            fields = {"start": self._emitted, "media_s": (self._emitted + filled) / self._rate}
            self._emitted += filled
            waiting -= filled
            yield Message("audio", fields, {"samples": samples, "present": present})


def _by_channel(frame: Any) -> np.ndarray:
    """Give the samples of a readable frame, (C, n)."""
    samples = frame.to_ndarray()
    return samples if frame.format.is_planar else samples.reshape(-1, len(frame.layout.channels)).T


def _with_samples(frame: Any, samples: np.ndarray) -> Any:
    """Give a frame like ``frame`` with other samples, in the array layout of its format."""
    made = type(frame).from_ndarray(samples, format=frame.format.name, layout=frame.layout.name)
    made.sample_rate = frame.sample_rate
    return made


def _reshape(frame: Any, skip: int, n_samples: int) -> Any:
    """Leave out the first ``skip`` samples and stretch the rest linearly to ``n_samples``."""
    by_channel = _by_channel(frame)[:, skip:]
    if by_channel.shape[1] != n_samples:
        positions = np.linspace(0, by_channel.shape[1] - 1, n_samples)
        below = np.minimum(positions.astype(int), max(0, by_channel.shape[1] - 2))
        above = np.minimum(below + 1, by_channel.shape[1] - 1)
        weight = positions - below
        mixed = by_channel[:, below] * (1 - weight) + by_channel[:, above] * weight
        rounded = mixed if by_channel.dtype.kind == "f" else np.rint(mixed)
        by_channel = rounded.astype(by_channel.dtype)
    ordered = by_channel if frame.format.is_planar else by_channel.T.reshape(1, -1)
    return _with_samples(frame, np.ascontiguousarray(ordered))
