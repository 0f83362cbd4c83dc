import math

import numpy as np
import pytest

from avloc.media.answers import AnswerCheck, DurationError
from avloc.media.protocol import Message, ProtocolError
from avloc.media.supervisor import Limits

RATE = 16000
SOUND = {"index": 0, "kind": "audio", "codec": "aac", "start": [1, 2], "duration": 2.0}
SOUND |= {"sample_rate": 44100, "channels": 2}
PICTURE = {"index": 1, "kind": "video", "codec": "h264", "start": [0, 1], "duration": None}
PICTURE |= {"frame_rate": [25, 1], "width": 64, "height": 48, "variable_rate": None}
OPENED = {"container": "mov,mp4", "zero": [0, 1], "streams": [SOUND, PICTURE], "audio": 0, "video": 1}
OPENED |= {"warnings": ["truncated"], "notes": ["pixels: too many"]}
DECODED = {"warnings": ["drift"], "notes": [], "n_errors": 0, "n_samples": 9, "n_grid_frames": None}
DECODED |= {"n_frames": None, "n_gaps": 0, "drift_ppm": -3.5, "decode_s": 0.5, "face_s": 0}


def opening(**limits) -> AnswerCheck:
    return AnswerCheck(Message("open", {"limits": Limits(**limits).to_dict()}))


def decoding(**changes) -> AnswerCheck:
    fields = {
        "limits": Limits(duration_s=100.0).to_dict(),
        "audio": 0,
        "video": 1,
        "picture": "faces",
        "frames": (0, None),
    }
    return AnswerCheck(
        Message("decode", {**fields, "crops": ["mouth96_box"], "sample_rate": RATE, **changes})
    )


def sound(start: int = 0, n: int = RATE, channels: int = 2, fields=None, **arrays) -> Message:
    arrays = {"samples": np.zeros((channels, n), np.float32), "present": np.ones(n, bool), **arrays}
    return Message("audio", {"start": start, "media_s": (start + n) / RATE, **(fields or {})}, arrays)


def pictures(start: int = 0, n: int = 25, **arrays) -> Message:
    known = {"source_index": np.arange(n), "face": np.full(n, -1, np.int32)}
    known |= {
        "boxes": np.full((n, 4), np.nan, np.float32),
        "crop_mouth96_box": np.zeros((n, 96, 96), np.uint8),
    }
    return Message("video", {"start": start, "media_s": (start + n) / 25}, {**known, **arrays})


def colour(start: int, shape=(48, 64, 3)) -> Message:
    return Message(
        "colour", {"start": start, "media_s": (start + 1) / 25}, {"frame": np.zeros(shape, np.uint8)}
    )


def refuse(check: AnswerCheck, message: Message) -> None:
    with pytest.raises(ProtocolError, match="broke the protocol") as caught:
        check(message)
    assert caught.value.reason == "decoder_crash"
    assert len(str(caught.value)) < 1000


def test_what_an_honest_child_says_passes():
    opening()(Message("heartbeat"))
    opening()(Message("end", OPENED))
    opening()(Message("failure", {"reason": "truncated", "message": "it ends"}))
    check = decoding()
    for message in (sound(), pictures(), sound(RATE), sound(2 * RATE, 7), pictures(25, 3)):
        check(message)
    check(Message("end", DECODED))
    faces = {"face": np.zeros(25, np.int32), "boxes": np.full((25, 4), 9.0, np.float32)}
    decoding()(pictures(**faces))
    check = decoding(picture="colour", audio=None, crops=[])
    check(colour(0))
    check(colour(1))


@pytest.mark.parametrize(
    "changes",
    [
        {"zero": [1, 0]},
        {"zero": [1.0, 1]},
        {"zero": [1, 1 << 200]},
        {"zero": [1, 2]},  # not where the first stream begins
        {"container": "x" * 900_000},
        {"container": "\ud800"},
        {"container": None},
        {"warnings": ["no such code"]},
        {"warnings": ["output_failed"]},
        {"warnings": [["truncated"]]},
        {"warnings": ["truncated"] * 2},
        {"notes": "pixels"},
        {"notes": ["x" * 300]},
        {"notes": [""] * 100_000},
        {"audio": None, "video": None},
        {"audio": 1, "video": None},
        {"audio": 7},
        {"audio": True},
        {"streams": {}},
        {"streams": [7]},
        {"streams": [SOUND, SOUND, PICTURE]},
        {"streams": [SOUND, PICTURE | {"kind": ["video"]}]},
        {"streams": [SOUND | {"index": i} for i in range(1025)]},
        {"more": 1},
    ],
)
def test_an_opening_that_does_not_fit_is_a_breach(changes):
    refuse(opening(), Message("end", OPENED | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"codec": "x" * 900_000},
        {"codec": None},  # it is used
        {"start": None},
        {"start": [1, 0]},
        {"duration": math.nan},
        {"duration": math.inf},
        {"duration": 1e9},
        {"duration": 10**400},
        {"sample_rate": math.inf},
        {"sample_rate": 4_000_000},
        {"sample_rate": -1},
        {"sample_rate": "44100"},
        {"channels": 65},
        {"channels": -1},
        {"width": 1},
    ],
)
def test_a_stream_that_does_not_fit_is_a_breach(changes):
    refuse(opening(), Message("end", OPENED | {"streams": [SOUND | changes, PICTURE]}))


@pytest.mark.parametrize(
    "changes", [{"frame_rate": [0, 1]}, {"frame_rate": [-25, 1]}, {"width": 1 << 20, "height": 1 << 20}]
)
def test_a_picture_that_does_not_fit_is_a_breach(changes):
    refuse(opening(), Message("end", OPENED | {"streams": [SOUND, PICTURE | changes]}))


def test_a_stream_that_is_only_listed_may_claim_anything():
    odd = SOUND | {"index": 2, "sample_rate": 0, "channels": 65535, "codec": None, "start": None}
    opening()(Message("end", OPENED | {"streams": [SOUND, PICTURE, odd]}))


@pytest.mark.parametrize("key", OPENED)
def test_an_opening_lacks_nothing(key):
    refuse(opening(), Message("end", {k: v for k, v in OPENED.items() if k != key}))


@pytest.mark.parametrize(
    "changes",
    [
        {"drift_ppm": math.nan},
        {"drift_ppm": True},
        {"decode_s": math.inf},
        {"face_s": None},
        {"n_errors": -1},
        {"n_samples": 0.5},
        {"warnings": ["extension_mismatch"]},
        {"warnings": None},
    ],
)
def test_a_report_that_does_not_fit_is_a_breach(changes):
    refuse(decoding(), Message("end", DECODED | changes))


@pytest.mark.parametrize(
    "message",
    [
        Message("failure", {"reason": "not_found", "message": ""}),
        Message("failure", {"reason": "output_failed", "message": ""}),
        Message("failure", {"reason": ["truncated"], "message": ""}),
        Message("failure", {"reason": "truncated", "message": None}),
        Message("failure", {"reason": "truncated"}),
        Message("heartbeat", {"media_s": 1e300}),
        Message("heartbeat", {}, {"samples": np.zeros(3, np.float32)}),
        Message("ready"),
        Message("no such kind"),
        colour(0),
    ],
)
def test_what_no_request_has_as_an_answer_is_a_breach(message):
    refuse(opening(), message)
    refuse(decoding(), message)


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
        pictures(face=np.full(25, -2, np.int32)),
        pictures(face=np.zeros(25, np.int32)),  # without a box
        pictures(face=np.zeros(25, np.int32), boxes=np.full((25, 4), 1e9, np.float32)),
        pictures(face=np.zeros(25, np.int32), boxes=np.zeros((25, 4), np.float32)),
        pictures(boxes=np.zeros((25, 5), np.float32)),
        pictures(crop_mouth96_box=np.zeros((25, 9, 9), np.uint8)),
        pictures(crop_other=np.zeros((25, 96, 96), np.uint8)),
    ],
)
def test_a_block_that_does_not_fit_is_a_breach(message):
    refuse(decoding(), message)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (sound(), sound()),
        (sound(), sound(2 * RATE)),
        (sound(n=9), sound(9)),  # a shorter one is the last
        (sound(), sound(RATE, channels=1)),
        (pictures(n=3), pictures(3)),
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


def test_colour_keeps_its_size_under_the_cap():
    check = decoding(picture="colour", audio=None, crops=[])
    check(colour(0))
    refuse(check, colour(1, (64, 48, 3)))
    for shape in ((48, 64, 4), (8000, 8000, 3), (48, 64), (0, 64, 3)):
        refuse(decoding(picture="colour", audio=None, crops=[]), colour(0, shape))


def test_blocks_end_soon_after_the_longest_recording():
    check = decoding(limits=Limits(duration_s=5.0).to_dict())
    with pytest.raises(DurationError, match="duration_s") as caught:
        for second in range(100):
            check(sound(second * RATE))
    assert 5 <= second < 20
    assert caught.value.reason == "limit_reached"
