"""One pass over one recording in the child: packets to frames to the tracks, under the caps.

Works on the objects of the demuxer without importing it; only ``worker.py`` opens files.
"""

import time as wall
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from avloc.media.clock import GRID_RATE, timestamp_to_seconds
from avloc.media.headers import has_exact_durations
from avloc.media.picture import ColourTrack, PictureTrack
from avloc.media.protocol import Message
from avloc.media.sound import SoundTrack

HEARTBEAT_S = 1.0
FAR_S = 10  # a timestamp this far after the one before is believed when the next does not go back
LONGER_S = 0.5  # beyond the cap on duration: headers leave out the padding of a codec
CUT_S = 0.5  # a stream that ends this much before its header says was truncated
DRIFT_PPM = 100.0  # quartz clocks differ by less than a third of it each
DRIFT_S = 0.04  # one grid frame; less over the whole recording is not worth a warning


class Refusal(Exception):
    """The recording cannot be used; ``reason`` is a code of ``avloc.structures.Reason``."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Streaming:
    """Feeds the tracks of a recording and reports at the end what was noticed.

    Parameters
    ----------
    container : object
        The opened container.
    tracks : dict
        Track by stream index.
    zero : Fraction [s]
        Time zero of the recording on the container's clock.
    limits : mapping
        Caps by name, see ``avloc.media.supervisor.Limits``.
    is_cut : bool
        The structure of the file runs past its end.
    is_part : bool
        Packets before some moment were left out, so that a stream may have none.
    errors : tuple of exception classes
        What a decoder raises for broken data.
    """

    def __init__(
        self,
        container: Any,
        tracks: dict[int, SoundTrack | PictureTrack | ColourTrack],
        *,
        zero: Fraction,
        limits: Mapping[str, float],
        is_cut: bool,
        is_part: bool = False,
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._container, self._tracks, self._all = container, tracks, dict(tracks)
        self._zero, self._limits, self._errors = zero, limits, errors
        self._is_cut, self._is_part = is_cut, is_part
        self._n_file_bytes = max(1, container.size)
        self._n_decoded_bytes = dict.fromkeys(tracks, 0)
        self._last_duration: Fraction | None = None
        self._end = dict.fromkeys(tracks, 0)  # in the time base of the stream
        self._time: dict[int, Fraction] = {}  # the latest that was believed
        self._doubtful: dict[int, tuple[Any, Fraction]] = {}  # a frame that seems to be far away
        self._n_errors = 0
        self._n_corrupt = 0
        self._notes: list[str] = []

    def run(self, packets: Iterator[Any]) -> Iterator[Message]:
        """Yield blocks, heartbeats and, as ``end``, the report."""
        began = told = wall.perf_counter()
        paused_s = 0.0
        for message in self._blocks(packets):
            before = wall.perf_counter()
            if message.kind != "heartbeat" or before - told > HEARTBEAT_S:
                yield message
                told = wall.perf_counter()
                paused_s += told - before
        face_s = sum(track.face_s for track in self._all.values())
        decode_s = wall.perf_counter() - began - paused_s - face_s
        yield Message("end", {**self._report(), "decode_s": decode_s, "face_s": face_s})

    def _blocks(self, packets: Iterator[Any]) -> Iterator[Message]:
        for packet in packets:
            # not ``stream_index``, which is 0 in the packet that flushes a decoder
            index = None if packet is None else packet.stream.index
            if index in self._tracks:
                for frame in self._decode(packet):
                    yield from self._push(index, frame)
                    if index not in self._tracks:
                        break
            if not self._tracks:
                return
            yield Message("heartbeat")  # each packet is a sign of life; ``run`` passes on one a second
        for index, track in self._tracks.items():
            yield from self._decide(index, None)
            yield from track.finish(self._last_duration)

    def _decode(self, packet: Any) -> list[Any]:
        # not that of the packet, which may come from a second demuxer: the decoder knows what was before
        context = self._container.streams[packet.stream.index].codec_context
        if packet.is_corrupt and not context.name.startswith("pcm_"):
            # a packet that was cut off can end a decoder by a signal; PCM has no decoder to speak of
            self._n_corrupt += 1
            return []
        try:
            return context.decode(packet)
        except MemoryError:
            raise
        except self._errors:
            self._n_errors += 1
            return []

    def _push(self, index: int, frame: Any) -> Iterator[Message]:
        track = self._tracks[index]
        excess = self._find_excess(index, frame)
        if excess is not None:
            self._notes.append(f"{excess} (stream {index})")
            del self._tracks[index]
            if not self._tracks:
                raise Refusal("limit_reached", self._notes[-1])
            yield from track.finish(self._last_duration)
            return
        time = None
        if frame.pts is not None:
            time = timestamp_to_seconds(frame.pts, frame.time_base) - self._zero
            duration = frame.duration or 0
            self._end[index] = max(self._end[index], frame.pts + duration)
            if track.is_picture:
                self._last_duration = timestamp_to_seconds(duration, frame.time_base) or None
        yield from self._decide(index, time)
        if time is not None and time - self._time.get(index, time) > FAR_S:
            self._doubtful[index] = frame, time
            return
        if time is not None:
            self._time[index] = time
        yield from track.push(frame, time)
        if track.is_over:
            del self._tracks[index]
            yield from track.finish(self._last_duration)

    def _decide(self, index: int, following: Fraction | None) -> Iterator[Message]:
        """Let the track have the frame that seemed far away, with its timestamp unless the next goes back."""
        frame, time = self._doubtful.pop(index, (None, None))
        if frame is None:
            return
        if following is not None and following < time:
            time = None
        else:
            self._time[index] = time
        yield from self._tracks[index].push(frame, time)

    def _find_excess(self, index: int, frame: Any) -> str | None:
        """Name the cap that a decoded frame goes over; headers may have said something else."""
        limits, track = self._limits, self._tracks[index]
        position_s = float(track.n_grid_frames / GRID_RATE if track.is_picture else track.clock.position)
        if position_s > limits["duration_s"] + LONGER_S:
            return f"duration_s: goes on after {position_s:.0f} s, at most {limits['duration_s']:.0f} s"
        if track.is_picture:
            n_bytes = frame.width * frame.height * 3 // 2  # 4:2:0, the usual sampling
            if frame.width * frame.height > limits["pixels"]:
                return f"pixels: {frame.width}x{frame.height} px, at most {limits['pixels']:.0f} px"
        else:
            n_channels = len(frame.layout.channels)
            n_bytes = frame.samples * n_channels * frame.format.bytes
            if n_channels > limits["channels"]:
                return f"channels: {n_channels} channels, at most {limits['channels']:.0f}"
            if frame.sample_rate < limits["sample_rate_min"]:
                return f"sample_rate_min: {frame.sample_rate} Hz, at least {limits['sample_rate_min']:.0f}"
            if frame.sample_rate > limits["sample_rate_max"]:
                return f"sample_rate_max: {frame.sample_rate} Hz, at most {limits['sample_rate_max']:.0f}"
        self._n_decoded_bytes[index] += n_bytes
        if self._n_decoded_bytes[index] > limits["expansion"] * self._n_file_bytes:
            return f"expansion: over {limits['expansion']:.0f} decoded bytes for each byte of the file"
        return None

    def _report(self) -> dict[str, Any]:
        """Sum up what was noticed, or refuse where nothing could be decoded."""
        sounds = [t for t in self._all.values() if not t.is_picture]
        pictures = [t for t in self._all.values() if t.is_picture]
        is_cut = self._is_cut or self._ends_early()
        n_errors = self._n_errors + (
            0 if is_cut else self._n_corrupt
        )  # the last packet of a cut file is corrupt
        if not self._is_part and not any(track.n_frames for track in self._all.values()):
            if self._is_cut or (is_cut and not n_errors):
                raise Refusal("truncated", "the file ends before the first frame could be decoded")
            if n_errors:
                raise Refusal("decode_errors", f"none of {n_errors} packets could be decoded")
            raise Refusal("no_samples", "the streams hold no frame")
        # a stream that was left before its end, or is damaged, holds more frames than were counted
        is_whole = not is_cut and not n_errors and len(self._tracks) == len(self._all)
        drift_ppm = sounds[0].clock.drift_ppm if sounds else None
        drift_s = abs(sounds[0].clock.stretched_s) if sounds else 0.0
        noticed = {
            "truncated": is_cut,
            "decode_errors": n_errors > 0,
            "limit_reached": bool(self._notes),
            "timestamps_repaired": any(t.clock.n_repaired for t in self._all.values()),
            "sanitised_samples": any(t.n_sanitised for t in sounds),
            "drift": drift_ppm is not None and abs(drift_ppm) > DRIFT_PPM and drift_s > DRIFT_S,
        }
        return {
            "warnings": [code for code, is_so in noticed.items() if is_so],
            "notes": self._notes,
            "n_errors": n_errors,
            "n_samples": sounds[0].n_samples if sounds else None,
            "n_grid_frames": pictures[0].n_grid_frames if pictures else None,
            "n_frames": pictures[0].n_frames if pictures else None,
            "n_sources": pictures[0].n_sources if is_whole and pictures else None,
            "n_gaps": sounds[0].clock.n_gaps if sounds else None,
            "drift_ppm": drift_ppm,
        }

    def _ends_early(self) -> bool:
        """Compare the decoded end of each stream with the duration in its header."""
        if not has_exact_durations(self._container):
            return False
        for index, end in self._end.items():
            stream = self._container.streams[index]
            if self._is_part and not self._all[index].n_frames:
                continue
            if index in self._tracks and stream.duration:
                missing = (stream.start_time or 0) + stream.duration - end
                if missing * stream.time_base > CUT_S:
                    return True
        return False
