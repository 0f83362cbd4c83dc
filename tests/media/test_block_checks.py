import math

import numpy as np
import pytest

from avloc.media.block_checks import BlockCheck, DurationError
from avloc.media.protocol import Message, ProtocolError
from avloc.media.supervisor import Limits
from avloc.structures.landmarks import MAX_FACES

RATE = 16000


def decoding(**changes) -> BlockCheck:
    fields = {"limits": Limits(duration_s=100.0).to_dict(), "audio": 0, "video": 1, "picture": "faces"}
    return BlockCheck(
        {
            **fields,
            "channels": 2,
            "frames": (0, None),
            "crops": ["mouth96_box"],
            "sample_rate": RATE,
            **changes,
        }
    )


def sound(start: int = 0, n: int = RATE, channels: int = 2, fields=None, **arrays) -> Message:
    arrays = {"samples": np.zeros((channels, n), np.float32), "present": np.ones(n, bool), **arrays}
    return Message("audio", {"start": start, "media_s": (start + n) / RATE, **(fields or {})}, arrays)


def pictures(start: int = 0, n: int = 25, rows=(), cuts=(), **arrays) -> Message:
    """A block whose ``rows`` are pairs of frame and face."""
    frame, face = np.array(rows, np.int32).reshape(-1, 2).T
    flags = np.zeros(n, bool)
    flags[list(cuts)] = True
    known = {"source_index": np.arange(n), "cuts": flags, "row_frame": frame, "face": face}
    known |= {
        "boxes": np.full((len(face), 4), 9.0, np.float32),
        "crop_mouth96_box": np.zeros((len(face), 96, 96), np.uint8),
    }
    return Message("video", {"start": start, "media_s": (start + n) / 25}, {**known, **arrays})


def colour(start: int, shape=(48, 64, 3), source: int = 0) -> Message:
    return Message(
        "colour",
        {"start": start, "media_s": (start + 1) / 25},
        {"frame": np.zeros(shape, np.uint8), "source_index": np.array([source])},
    )


def refuse(check: BlockCheck, message: Message) -> None:
    with pytest.raises(ProtocolError) as caught:
        check(message)
    assert caught.value.reason == "decoder_crash"
    assert len(str(caught.value)) < 500


def test_what_an_honest_child_sends_passes():
    check = decoding()
    for message in (sound(), pictures(), sound(RATE), sound(2 * RATE, 7), pictures(25, 3)):
        check(message)
    many = [(frame, face) for frame in range(25) for face in range(MAX_FACES)]
    check = decoding()
    check(pictures(rows=many))
    check(pictures(25, rows=[(0, 0), (0, 3), (5, 1), (6, 7), (24, 7)], cuts=[6]))
    check(pictures(50, rows=[(0, 7), (3, 8), (9, 9), (10, 9)], cuts=[1, 9]))
    check = decoding(picture="colour", audio=None, crops=[])
    check(colour(0))
    check(colour(1))


@pytest.mark.parametrize(
    "message",
    [
        sound(start=16 * 10**12),
        sound(fields={"start": True}),
        sound(fields={"start": -RATE}),
        sound(fields={"media_s": "abc"}),
        sound(fields={"media_s": math.nan}),
        sound(fields={"media_s": 1e300}),
        sound(fields={"media_s": 2.0}),
        sound(fields={"more": 1}),
        Message("audio", {"media_s": 1.0}, sound().arrays),
        Message("audio", sound().fields, {"samples": sound().arrays["samples"]}),
        sound(n=0),
        sound(n=RATE + 1),
        sound(channels=0),
        sound(channels=65),
        sound(samples=np.zeros((2, RATE), np.uint8)),
        sound(samples=np.zeros((3, 7), np.float32)),
        sound(samples=np.zeros(RATE, np.float32)),
        sound(samples=np.full((2, RATE), np.nan, np.float32)),
        sound(samples=np.full((2, RATE), 1.5, np.float32)),
        sound(present=np.full(RATE, 2, np.uint8).view(bool)),
        sound(present=np.ones(RATE, np.uint8)),
        sound(more=np.ones(1, bool)),
        pictures(start=25),
        pictures(n=26),
        pictures(source_index=np.full(25, -2)),
        pictures(source_index=np.arange(24)),
        pictures(source_index=np.full(25, 1 << 60)),
        pictures(source_index=np.arange(25, dtype=np.int32)),
        pictures(cuts=[0]),  # nothing was before it
        pictures(rows=[(0, -1)]),
        pictures(rows=[(-1, 0)]),
        pictures(rows=[(25, 0)]),
        pictures(n=3, rows=[(3, 0)]),
        pictures(rows=[(1, 0), (0, 0)]),
        pictures(rows=[(0, 1), (0, 0)]),
        pictures(rows=[(0, 0), (0, 0)]),
        pictures(rows=[(0, 2**31 - 1), (0, -(2**31))]),
        pictures(rows=[(7, face) for face in range(MAX_FACES + 1)]),
        pictures(rows=[(0, 0)], boxes=np.full((1, 4), 1e9, np.float32)),
        pictures(rows=[(0, 0)], boxes=np.full((1, 4), np.nan, np.float32)),
        pictures(rows=[(0, 0)], boxes=np.zeros((1, 4), np.float32)),
        pictures(rows=[(0, 0)], boxes=np.full((1, 5), 9.0, np.float32)),
        pictures(rows=[(0, 0)], boxes=np.full((2, 4), 9.0, np.float32)),
        pictures(rows=[(0, 0)], boxes=np.full((1, 4), 9.0)),
        pictures(rows=[(0, 0)], face=np.zeros(2, np.int32)),
        pictures(rows=[(0, 0)], face=np.zeros(1, np.int64)),
        pictures(rows=[(0, 0)], crop_mouth96_box=np.zeros((2, 96, 96), np.uint8)),
        pictures(rows=[(0, 0)], crop_mouth96_box=np.zeros((1, 9, 9), np.uint8)),
        pictures(crop_other=np.zeros((25, 96, 96), np.uint8)),
        pictures(rows=[(4, 0), (5, 0)], cuts=[5]),  # a track across a cut
        pictures(rows=[(2, 0), (4, 1), (5, 0)], cuts=[3]),
    ],
)
def test_a_block_that_does_not_fit_is_a_breach(message):
    refuse(decoding(), message)


@pytest.mark.parametrize(
    "flags", [np.zeros(24, bool), np.zeros(25, np.uint8), np.full(25, 2, np.uint8).view(bool)]
)
def test_cuts_are_said_for_each_frame_and_are_true_or_false(flags):
    message = pictures()
    refuse(decoding(), Message("video", message.fields, {**message.arrays, "cuts": flags}))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (sound(), sound()),
        (sound(), sound(2 * RATE)),
        (sound(n=9), sound(9)),  # a shorter one is the last
        (sound(), sound(RATE, channels=1)),
        (pictures(n=3), pictures(3)),
        (pictures(rows=[(24, 3)]), pictures(25, rows=[(0, 3)], cuts=[0])),
        (pictures(rows=[(0, 3), (24, 4)]), pictures(25, rows=[(9, 3)], cuts=[8])),
        (pictures(rows=[(2, 3), (20, 5)], cuts=[10]), pictures(25, rows=[(9, 3)])),
    ],
)
def test_a_block_that_does_not_follow_the_one_before_is_a_breach(before, after):
    check = decoding()
    check(before)
    refuse(check, after)


def test_a_stream_that_was_not_asked_for_is_a_breach():
    refuse(decoding(audio=None), sound())
    refuse(decoding(video=None), pictures())
    refuse(decoding(crops=[]), pictures())
    refuse(decoding(), colour(0))


@pytest.mark.parametrize("channels", [1, 3])
def test_sound_has_the_channels_that_were_told_at_the_opening(channels):
    decoding(channels=channels)(sound(channels=channels))
    refuse(decoding(channels=channels), sound())


def test_channels_that_no_header_knew_are_those_of_the_first_block():
    check = decoding(channels=0)
    check(sound(channels=3))
    refuse(check, sound(RATE))


def test_colour_keeps_its_size_under_the_cap():
    check = decoding(picture="colour", audio=None, crops=[])
    check(colour(0))
    refuse(check, colour(1, (64, 48, 3)))
    refuse(check, colour(1, source=-2))
    for shape in ((48, 64, 4), (8000, 8000, 3), (48, 64), (0, 64, 3)):
        refuse(decoding(picture="colour", audio=None, crops=[]), colour(0, shape))


def test_blocks_end_soon_after_the_longest_recording():
    check = decoding(limits=Limits(duration_s=5.0).to_dict())
    with pytest.raises(DurationError, match="duration_s") as caught:
        for second in range(100):
            check(sound(second * RATE))
    assert 5 <= second < 20
    assert caught.value.reason == "limit_reached"


def test_there_are_no_more_tracks_than_frames_could_show():
    decoding()(pictures(rows=[(0, 3)]))
    refuse(decoding(), pictures(rows=[(0, 100)]))  # 25 frames show at most 4 tracks each


def test_each_crop_that_was_asked_for_has_its_own_shape():
    both = ["mouth96_box", "face112"]
    face = np.zeros((1, 112, 112), np.uint8)
    decoding(crops=both)(pictures(rows=[(0, 0)], crop_face112=face))
    for wrong in ({}, {"crop_face112": face[:, :96, :96]}):
        with pytest.raises(ProtocolError):
            decoding(crops=both)(pictures(rows=[(0, 0)], **wrong))
    with pytest.raises(ProtocolError):  # not asked for
        decoding()(pictures(rows=[(0, 0)], crop_face112=face))
