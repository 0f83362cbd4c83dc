"""The decoding child: opens, lists, decodes. The only importer of PyAV for reading.

It reads requests from its standard input and answers on its standard output; see ``protocol.py``. Whatever
a library prints goes to stderr. A failure is an answer with a reason; a death is noticed by the parent.
"""

import argparse
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from typing import Any, BinaryIO

import av
import av.logging
from av.video.reformatter import VideoReformatter

from avloc.media import headers
from avloc.media.clock import GRID_RATE, FrameClock, frame_to_sample
from avloc.media.content import Content, inspect_content
from avloc.media.interleave import interleave
from avloc.media.picture import ColourTrack, PictureTrack
from avloc.media.protocol import CROP_SHAPES, Message, encode_message, read_message, unpack_path
from avloc.media.sandbox import enter_sandbox
from avloc.media.skipping import Skipper
from avloc.media.sound import SoundTrack
from avloc.media.streaming import LONGER_S, Refusal, Streaming

CONTAINERS = (
    "mov,matroska,avi,wav,w64,flac,ogg,mp3,aac,amr,amrnb,amrwb,aiff,au,caf,asf,flv,mpegts,mpeg,wv,tta,ac3,eac3,"
    "gsm,g722,g723_1,nistsphere,mxf,ivf,dv,h264,hevc,mpegvideo"
)
LARGE_PICTURE = 1_000_000  # pixels; smaller ones are decoded faster than real time by one thread
MAX_ERRORS = 1000  # in a row; a demuxer that only fails is given up
SHORT_HEADER = 4096  # a known container that cannot be opened and is smaller than this was cut


def main(arguments: list[str]) -> None:
    """Serve requests until the parent closes the pipe."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--die-with-parent-thread", action="store_true")
    options = parser.parse_args(arguments)
    requests, answers = _claim_pipes()
    av.logging.set_level(None)
    enter_sandbox(die_with_parent_thread=options.die_with_parent_thread, parent=options.parent)
    _send(answers, Message("ready"))
    while (request := read_message(requests.read)) is not None:
        for answer in serve(request):
            _send(answers, answer)


def serve(request: Message) -> Iterator[Message]:
    """Answer one request; the last message is of kind ``end`` or ``failure``."""
    handlers = {"open": open_recording, "decode": decode_recording}
    try:
        yield from handlers[request.kind](request)
    except Refusal as refusal:
        yield Message("failure", {"reason": refusal.reason, "message": str(refusal)})
    except MemoryError:
        yield Message(
            "failure", {"reason": "out_of_memory", "message": "decoding needs more memory than is allowed"}
        )
    except Exception:  # the boundary of one recording: the next one must still be served
        yield Message("failure", {"reason": "internal_error", "message": traceback.format_exc(limit=-8)})


def open_recording(request: Message) -> Iterator[Message]:
    """List streams and read packet timestamps; nothing is decoded."""
    fields = request.fields
    path, limits = unpack_path(fields["path"]), fields["limits"]
    content = _inspect(path)
    with _open(path, content, limits, fields["raw"]) as container:
        choice = _choose(container, limits)
        yield Message("heartbeat")
        whole = container.duration is None
        packets = _demux(container, choice.used)
        times, complete = headers.read_times(packets, choice.used, whole=whole)
        _drop_silent_streams(choice, times, content)
        headers.add_times(choice, times, container, complete=complete)
        duration_s = max(f["duration"] or 0.0 for f in choice.listed if f["index"] in choice.used)
        if duration_s > limits["duration_s"]:
            raise Refusal(
                "limit_reached", f"duration_s: {duration_s:.0f} s, at most {limits['duration_s']:.0f} s"
            )
        if content.promised_s and choice.audio is not None:  # what is missing of it counts as not analysed
            facts = next(f for f in choice.listed if f["index"] == choice.audio)
            facts["duration"] = max(facts["duration"] or 0.0, content.promised_s)
        zero = min(times[index].first for index in choice.used)
        name = container.format.name
    warnings = ["truncated"] if content.truncated else []
    warnings += ["extension_mismatch"] if headers.is_extension_wrong(path, name) else []
    warnings += ["limit_reached"] if choice.notes else []
    warnings += ["codec_unsupported"] if choice.undecodable else []
    answer = {"container": name, "zero": [zero.numerator, zero.denominator], "streams": choice.listed}
    answer |= {"audio": choice.audio, "video": choice.video, "warnings": warnings, "notes": choice.notes}
    yield Message("end", answer)


def decode_recording(request: Message) -> Iterator[Message]:
    """Decode the chosen streams, in one pass over the file where it holds them side by side."""
    fields = request.fields
    path, limits = unpack_path(fields["path"]), fields["limits"]
    content = _inspect(path)
    with _open(path, content, limits, fields["raw"]) as container:
        tracks = {}
        first, last = fields["frames"]
        limit = Fraction(limits["duration_s"]) + 2 * Fraction(LONGER_S)  # a track ends before it gets there
        if fields["audio"] is not None:
            rate = fields["sample_rate"]
            tracks[fields["audio"]] = SoundTrack(
                _make_resampler,
                _make_sample_converter,
                sample_rate=rate,
                n_channels=fields["channels"],
                limit=limit,
                first=frame_to_sample(first, rate),
                last=None if last is None else frame_to_sample(last, rate),
            )
        if fields["video"] is not None:
            stream = container.streams[fields["video"]]
            _set_threads(stream)
            nominal = 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)
            clock = FrameClock(nominal, limit, first=first, last=last)
            tracks[fields["video"]] = _make_picture(clock, request)
        streaming = Streaming(
            container,
            tracks,
            zero=Fraction(*fields["zero"]),
            limits=limits,
            is_cut=content.truncated,
            is_part=first > 0,
            errors=(av.error.FFmpegError, ValueError),
        )
        indices = list(tracks)
        again = partial(_demux_again, path, content, limits, fields["raw"], indices)
        packets = interleave(_demux(container, indices), again, indices)
        if first:
            packets = Skipper(packets, Fraction(*fields["zero"]) + first / GRID_RATE, picture=fields["video"])
            if fields["video"] is not None:
                tracks[fields["video"]].n_before = packets.n_before
        yield from streaming.run(packets)


def _make_resampler(rate: int) -> av.AudioResampler:
    # without a layout: with one, the two parties of a call would be mixed
    # frame_size: a codec's frames may be a hundredth of a second long, and each costs the same to place
    return av.AudioResampler(format="flt", rate=rate, frame_size=rate // 4)


def _make_sample_converter(rate: int, form: str) -> av.AudioResampler:
    return av.AudioResampler(format=form, rate=rate)  # at its own rate a frame comes out as it goes in


def _make_picture(clock: FrameClock, request: Message) -> PictureTrack | ColourTrack:
    if request.fields["picture"] == "colour":
        return ColourTrack(clock, _make_converter())
    if not request.fields["crops"]:
        return PictureTrack(clock, _make_converter())
    # here, not above: recordings without a picture need not wait for OpenCV
    from avloc.features.crops import face_crop, mouth_crop
    from avloc.features.face import FaceTracker
    from avloc.features.mean_face import mouth_patch
    from avloc.features.sidecar import SidecarTracker
    from avloc.structures.landmarks import MAX_FACES, LandmarkTrack

    known = {"mouth96_box": mouth_crop, "face112": face_crop, "mouth88_landmarks": mouth_patch}
    crops = {name: (CROP_SHAPES[name], known[name]) for name in request.fields["crops"]}
    make_tracker = partial(FaceTracker, max_faces=MAX_FACES)
    if request.arrays:
        make_tracker = partial(SidecarTracker, landmarks=LandmarkTrack(**request.arrays))
    return PictureTrack(clock, _make_converter(), make_tracker=make_tracker, crops=crops)


def _make_converter() -> Callable[..., Any]:
    """Convert pixel formats with one context for all frames; a frame's own would be set up anew each time."""
    return partial(VideoReformatter().reformat, threads=1)


def _set_threads(stream: Any) -> None:
    context = stream.codec_context
    large = context.width * context.height > LARGE_PICTURE
    context.thread_count = 2 if large else 1
    context.thread_type = "FRAME" if large else "NONE"


def _claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the two pipes to ourselves: what a library reads or prints must not reach them."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return requests, answers


def _send(answers: BinaryIO, message: Message) -> None:
    for buffer in encode_message(message):
        answers.write(buffer)
    answers.flush()


def _inspect(path: str) -> Content:
    try:
        return inspect_content(path)
    except OSError as error:  # the parent has just seen it readable
        raise Refusal("changed_during_read", f"the file cannot be read any more: {error.strerror}") from error


def _open(path: str, content: Content, limits: Mapping[str, float], raw: Mapping[str, Any] | None) -> Any:
    if content.refusal:
        raise Refusal(*content.refusal)
    if raw is not None and content.kind is None:
        return _open_raw(path, limits, raw)
    if content.n_channels is not None:
        claimed = {"kind": "audio", "channels": content.n_channels, "sample_rate": content.sample_rate}
        if excess := headers.find_excess(claimed, limits):
            raise Refusal("limit_reached", excess)
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file", "max_streams": "4096"}
    options["max_size"] = "32768"  # bytes a packet of WAV; its own choice is small, and each packet costs
    try:
        return av.open(f"file:{path}", options=options, metadata_errors="replace")
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error  # without the path: results name no folders
        small = os.stat(path).st_size < SHORT_HEADER
        if content.truncated or (content.kind and small):
            raise Refusal("truncated", f"the file ends inside its header: {why}") from error
        raise Refusal(
            "unrecognised", f"no known media container: {why}; sound without a header needs an input format"
        ) from error


def _open_raw(path: str, limits: Mapping[str, float], raw: Mapping[str, Any]) -> Any:
    """Open sound without a header as the user says it is."""
    claimed = {"kind": "audio", "channels": raw["n_channels"], "sample_rate": raw["sample_rate"]}
    if excess := headers.find_excess(claimed, limits):
        raise Refusal("limit_reached", excess)
    options = {"format_whitelist": raw["codec"], "protocol_whitelist": "file"}
    options |= {"sample_rate": str(raw["sample_rate"]), "ch_layout": f"{raw['n_channels']}C"}
    return av.open(f"file:{path}", format=raw["codec"], options=options)


def _choose(container: Any, limits: Mapping[str, float]) -> headers.Choice:
    choice = headers.choose_streams(container, limits)
    if choice.used:
        return choice
    if choice.notes:
        raise Refusal("limit_reached", "; ".join(choice.notes))
    if choice.undecodable:
        raise Refusal("codec_unsupported", f"no decoder for {', '.join(choice.undecodable)}")
    raise Refusal("no_samples", "the file holds neither a sound nor a video stream")


def _drop_silent_streams(
    choice: headers.Choice, times: Mapping[int, headers.Times], content: Content
) -> None:
    """Streams without a packet are not used; without any stream there is nothing to analyse."""
    if choice.audio is not None and times[choice.audio].first is None:
        choice.audio = None
    if choice.video is not None and times[choice.video].first is None:
        choice.video = None
    if not choice.used:
        cut = content.truncated and content.kind == "mp4"
        raise Refusal(
            *(("truncated", "no media left") if cut else ("no_samples", "the streams have no samples"))
        )


@contextmanager
def _demux_again(
    path: str,
    content: Content,
    limits: Mapping[str, float],
    raw: Mapping[str, Any] | None,
    indices: list[int],
) -> Iterator[Iterator[Any]]:
    with _open(path, content, limits, raw) as container:
        yield _demux(container, indices)


def _demux(container: Any, indices: list[int]) -> Iterator[Any]:
    """Yield packets; go on after errors in between, stop where nothing but errors comes."""
    streams = [container.streams[index] for index in indices]
    n_errors = 0
    while n_errors < MAX_ERRORS:
        try:
            for packet in container.demux(streams):
                n_errors = 0
                yield packet
            return
        except (av.error.EOFError, MemoryError):
            raise
        except av.error.FFmpegError:
            n_errors += 1
