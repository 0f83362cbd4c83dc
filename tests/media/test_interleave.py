"""Files that hold one stream after the other, and made packets of every awkward order."""

from collections import namedtuple
from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np
import pytest

from avloc.media.decode import AudioBlock, Decoder
from avloc.media.interleave import LAG_S, interleave
from avloc.media.probe import open_recording

Stream = namedtuple("Stream", "index")
SECONDS = 60


class Packet:
    """Number ``number`` of stream ``index`` at ``dts`` seconds, or without a time."""

    time_base = Fraction(1)

    def __init__(self, index: int, number: int, dts: int | None) -> None:
        self.stream, self.number, self.dts = Stream(index), number, dts


def packets(index: int, times) -> list[Packet]:
    return [Packet(index, number, time) for number, time in enumerate(times)]


def run(made: list[Packet], indices=(0, 1)):
    """What comes out, and how often the file was opened again."""
    opened = []

    @contextmanager
    def open_again():
        opened.append(1)
        yield iter(made)

    return list(interleave(iter(made), open_again, indices)), len(opened)


def furthest(given: list[Packet]) -> int:
    """How far one stream was ahead of the other while both went on."""
    times, lag = dict.fromkeys((0, 1), given[0].dts), 0
    ends = {index: max(p.dts for p in given if p.stream.index == index) for index in times}
    for packet in given:
        times[packet.stream.index] = packet.dts
        if all(times[index] < ends[index] for index in times):
            lag = max(lag, abs(times[0] - times[1]))
    return lag


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("start", [0, -500])
def test_streams_that_follow_each_other_come_side_by_side(first, start):
    times = range(start, start + 200)
    given, n_opened = run(packets(first, times) + packets(1 - first, times))
    kept = [p for p in given if p is not None]
    assert n_opened == 1 and len(kept) == 400 and furthest(kept) <= LAG_S + 4
    for index in (0, 1):
        assert [p.number for p in kept if p.stream.index == index] == list(range(200))


@pytest.mark.parametrize(
    ("one", "other"),
    [(range(100), range(5)), (range(100), range(60, 100)), (range(100), []), (range(100), [None] * 100)],
)
def test_every_packet_comes_once_and_in_order(one, other):
    both = sorted(packets(0, one) + packets(1, other), key=lambda p: (p.dts or 0, p.number))
    given, n_opened = run([*both, *packets(0, [None]), *packets(1, [None])])
    assert n_opened == 1
    for index, times in ((0, one), (1, other)):
        numbers = [p.number for p in given if p is not None and p.stream.index == index]
        assert numbers == [*range(len(times)), 0]


def test_a_file_that_is_in_order_is_read_once():
    both = sorted(packets(0, range(100)) + packets(1, range(0, 100, 4)), key=lambda p: p.dts)
    assert run(both) == (both, 0)
    assert run(packets(3, range(0, 1000, 100)), indices=(3,))[1] == 0


def write(path, *, picture_first: bool, sound_is_stream_0: bool = False, seconds: int = SECONDS) -> None:
    """Write a loud second after a quiet one, and all packets of one stream before those of the other."""
    with av.open(str(path), "w", options={"max_interleave_delta": "1"}) as container:
        if sound_is_stream_0:
            sound = container.add_stream("aac", rate=16000, layout="mono")
        picture = container.add_stream("libx264", rate=25)  # its frames come late out of the decoder
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        if not sound_is_stream_0:
            sound = container.add_stream("aac", rate=16000, layout="mono")
        seen, heard = [], []
        for i in range(seconds * 25):
            pixels = np.full((48, 64, 3), i % 200, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            seen += picture.encode(frame)
        t = np.arange(seconds * 16000)
        tone = (0.3 * np.sin(t * 0.1) * (t // 16000 % 2)).astype(np.float32)[None]
        for i in range(0, len(t), 1024):
            piece = np.ascontiguousarray(tone[:, i : i + 1024])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, i, Fraction(1, 16000)
            heard += sound.encode(frame)
        seen, heard = seen + picture.encode(None), heard + sound.encode(None)
        for packet in seen + heard if picture_first else heard + seen:
            container.mux(packet)


def read(path):
    """Sound (n,), source frame of each grid frame, largest distance of the two in seconds, the decoder."""
    samples, sources, times, lag = [], [], {True: 0.0, False: 0.0}, 0.0
    decoder = Decoder(open_recording(path), crops=())
    for block in decoder:
        is_sound = isinstance(block, AudioBlock)
        if is_sound:
            samples.append(block.samples[0])
        else:
            sources.append(block.source_index)
        times[is_sound] += len(samples[-1]) / 16000 if is_sound else len(sources[-1]) / 25
        lag = max(lag, abs(times[True] - times[False]))
    return np.concatenate(samples), np.concatenate(sources), lag, decoder


@pytest.mark.parametrize("picture_first", [True, False])
def test_a_file_with_one_stream_after_the_other_is_read_side_by_side(make, picture_first):
    path = make.folder / "a.mkv"
    write(path, picture_first=picture_first)
    samples, sources, lag, decoder = read(path)
    assert lag <= LAG_S + 2 and decoder.warnings == ()
    assert sources.tolist() == list(range(SECONDS * 25))
    loud = [np.abs(samples[s * 16000 + 4000 : s * 16000 + 12000]).max() > 0.1 for s in range(SECONDS)]
    assert loud == [s % 2 == 1 for s in range(SECONDS)]


def test_the_last_frames_of_a_decoder_go_to_their_own_stream(make):
    path = make.folder / "a.mkv"
    write(path, picture_first=True, sound_is_stream_0=True, seconds=4)
    _, sources, _, decoder = read(path)
    assert decoder.warnings == () and sources.tolist() == list(range(100))
