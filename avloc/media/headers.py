"""What an opened container says about its streams: facts for the record, choice, caps, first timestamps.

Works on the objects of the demuxer without importing it; only ``worker.py`` opens files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from avloc.media.clock import is_variable_rate, timestamp_to_seconds

ATTACHED_PICTURE = 0x0400  # AV_DISPOSITION_ATTACHED_PIC
DEFAULT = 0x0001  # AV_DISPOSITION_DEFAULT
PACKETS_READ = 20_000  # about four minutes of a talking face: enough to see that a rate is variable
REORDERED = 64  # the last timestamps of a cut list may still lack a neighbour
EXACT_DURATIONS = ("mov", "matroska", "wav", "w64", "flac", "avi")  # others estimate from the bit rate
FAMILIES = {
    "mov": "mp4 m4a m4v mov qt 3gp 3g2 mj2 m4b",
    "matroska": "mkv mka webm mk3d",
    "wav": "wav wave",
    "w64": "w64 wav",
    "avi": "avi",
    "flac": "flac",
    "mp3": "mp3 mp2 mpa",
    "ogg": "ogg oga ogv opus spx",
    "aac": "aac",
    "amr": "amr 3ga awb",
    "aiff": "aif aiff aifc",
    "au": "au snd",
    "caf": "caf",
    "asf": "asf wma wmv",
    "flv": "flv",
    "mpegts": "ts m2ts mts",
    "mpeg": "mpg mpeg vob mpe",
}


@dataclass(slots=True)
class Choice:
    """Streams of a container: all that are listed, and the indices of those that are analysed."""

    listed: list[dict[str, Any]] = field(default_factory=list)
    audio: int | None = None
    video: int | None = None
    notes: list[str] = field(default_factory=list)  # which cap kept a stream out
    undecodable: list[str] = field(default_factory=list)

    @property
    def used(self) -> list[int]:
        """Indices of the analysed streams."""
        return [index for index in (self.audio, self.video) if index is not None]


def choose_streams(container: Any, limits: Mapping[str, float]) -> Choice:
    """List the streams and choose the first decodable one of each kind, a default one before others."""
    choice = Choice()
    candidates: dict[str, list[tuple[bool, int]]] = {"audio": [], "video": []}
    for stream in container.streams:
        if stream.type not in candidates:
            continue
        if len(choice.listed) >= limits["streams_listed"]:
            choice.notes.append(f"streams_listed: more than {limits['streams_listed']:.0f} streams")
            break
        choice.listed.append(describe_stream(stream))
        disposition = int(stream.disposition)
        if disposition & ATTACHED_PICTURE:
            continue
        excess = find_excess(choice.listed[-1], limits)
        if excess:
            choice.notes.append(f"{excess} (stream {stream.index})")
        elif choice.listed[-1]["codec"] is None or stream.codec_context is None:
            choice.undecodable.append(f"stream {stream.index}")
        else:
            candidates[stream.type].append((not disposition & DEFAULT, stream.index))
    # at most one stream of each kind is decoded, so a cap of one keeps the sound
    if candidates["audio"] and limits["streams_analysed"] >= 1:
        choice.audio = min(candidates["audio"])[1]
    if candidates["video"] and limits["streams_analysed"] >= 1 + (choice.audio is not None):
        choice.video = min(candidates["video"])[1]
    return choice


def describe_stream(stream: Any) -> dict[str, Any]:
    """Give the header facts of an audio or video stream as plain values."""
    context = stream.codec_context
    facts = {"index": stream.index, "kind": stream.type, "codec": _codec_name(stream)}
    if stream.type == "audio":
        facts["sample_rate"] = int(context.sample_rate or 0) if context else 0
        facts["channels"] = int(context.channels or 0) if context else 0
    else:
        rate = stream.average_rate or stream.guessed_rate
        facts["frame_rate"] = [rate.numerator, rate.denominator] if rate else None
        facts["width"] = int(context.width or 0) if context else 0
        facts["height"] = int(context.height or 0) if context else 0
    return facts


def _codec_name(stream: Any) -> str | None:
    try:
        return stream.codec_context.codec.name if stream.codec_context else None
    except (AttributeError, ValueError):
        return None


def find_excess(facts: Mapping[str, Any], limits: Mapping[str, float]) -> str | None:
    """Name the cap that the listed facts of a stream go over, or None."""
    if facts["kind"] == "audio":
        if facts["channels"] > limits["channels"]:
            return f"channels: {facts['channels']} channels, at most {limits['channels']:.0f}"
        if facts["sample_rate"] and facts["sample_rate"] < limits["sample_rate_min"]:
            return f"sample_rate_min: {facts['sample_rate']} Hz, at least {limits['sample_rate_min']:.0f}"
        if facts["sample_rate"] > limits["sample_rate_max"]:
            return f"sample_rate_max: {facts['sample_rate']} Hz, at most {limits['sample_rate_max']:.0f}"
        return None
    if facts["width"] * facts["height"] > limits["pixels"]:
        return f"pixels: {facts['width']}x{facts['height']} px, at most {limits['pixels']:.0f} px"
    if facts["frame_rate"] and Fraction(*facts["frame_rate"]) > limits["frame_rate"]:
        rate = float(Fraction(*facts["frame_rate"]))
        return f"frame_rate: {rate:.3f} Hz, at most {limits['frame_rate']:.0f}"
    return None


@dataclass(slots=True)
class Times:
    """Presented timestamps of one stream as far as they were read, in seconds of the container's clock."""

    first: Fraction | None = None
    end: Fraction | None = None
    presented: list[Fraction] = field(default_factory=list)
    n_packets: int = 0
    n_untimed: int = 0

    def add(self, packet: Any) -> None:
        """Take note of one packet."""
        self.n_packets += 1
        timestamp = packet.pts if packet.pts is not None else packet.dts
        if timestamp is None:
            self.n_untimed += 1
            return
        skip = _samples_to_skip(packet)
        if packet.is_discard and not skip:
            return
        time = timestamp_to_seconds(timestamp, packet.time_base)
        presented = time + skip
        self.first = presented if self.first is None else min(self.first, presented)
        end = time + timestamp_to_seconds(packet.duration or 0, packet.time_base)
        self.end = end if self.end is None else max(self.end, end)
        if packet.pts is None:
            self.n_untimed += 1
        elif packet.stream.type == "video" and len(self.presented) < PACKETS_READ:
            self.presented.append(time)


def _samples_to_skip(packet: Any) -> Fraction:
    """Give the encoder priming that the decoder will drop, in seconds (side data of the packet)."""
    if packet.stream.type != "audio" or not packet.has_sidedata("skip_samples"):
        return Fraction(0)
    n_samples = int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")
    return Fraction(n_samples, packet.stream.codec_context.sample_rate or 1)


def read_times(packets: Iterator[Any], indices: list[int], *, whole: bool) -> tuple[dict[int, Times], bool]:
    """Collect timestamps from the first packets, or from all when ``whole``.

    Returns
    -------
    times : dict
        By stream index.
    complete : bool
        Whether the end of the file was reached.
    """
    times = {index: Times() for index in indices}
    n_read = 0
    for packet in packets:
        if packet.dts is None and packet.size == 0:  # the demuxer's sign that a stream ends
            continue
        if packet.stream_index in times:
            times[packet.stream_index].add(packet)
        n_read += 1
        begun = all(t.first is not None for t in times.values())
        if n_read >= PACKETS_READ and begun and not whole:
            return times, False
    return times, True


def add_times(choice: Choice, times: Mapping[int, Times], container: Any, *, complete: bool) -> None:
    """Complete the listed facts with start, duration (seconds, container's clock) and variable rate."""
    streams = {stream.index: stream for stream in container.streams}
    for facts in choice.listed:
        stream, read = streams[facts["index"]], times.get(facts["index"])
        base = Fraction(stream.time_base or Fraction(1, 1_000_000))
        declared = timestamp_to_seconds(stream.duration, base) if stream.duration else None
        header_start = (
            timestamp_to_seconds(stream.start_time, base) if stream.start_time is not None else None
        )
        start = read.first if read and read.first is not None else header_start
        if (
            read
            and complete
            and read.end is not None
            and (declared is None or not has_exact_durations(container))
        ):
            declared = read.end - start
        if declared is None and container.duration:
            declared = Fraction(container.duration, 1_000_000)
        facts["start"] = None if start is None else [start.numerator, start.denominator]
        facts["duration"] = None if declared is None else float(declared)
        if facts["kind"] == "video":
            timed = read is not None and read.n_untimed == 0 and len(read.presented) > 2
            known = sorted(read.presented)[: None if complete else -REORDERED] if timed else []
            facts["variable_rate"] = is_variable_rate(known, base) if timed else None


def has_exact_durations(container: Any) -> bool:
    """Whether the durations in this kind of container are counted, not estimated."""
    return container.format.name.split(",")[0] in EXACT_DURATIONS


def is_extension_wrong(path: str, format_name: str) -> bool:
    """Whether the name of a file ends like that of another container than it is.

    Examples
    --------
    >>> [is_extension_wrong(name, "wav") for name in ("call.mp4", "call.WAV", "call")]
    [True, False, False]
    """
    extension = path.rsplit("/", 1)[-1].rpartition(".")[2].lower() if "." in path.rsplit("/", 1)[-1] else ""
    known = {e for extensions in FAMILIES.values() for e in extensions.split()}
    mine = {e for name in format_name.split(",") for e in FAMILIES.get(name, "").split()}
    return extension in known and bool(mine) and extension not in mine
