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
DECODED |= {"n_frames": None, "n_sources": None, "n_gaps": 0, "drift_ppm": -3.5, "decode_s": 0.5, "face_s": 0}


SAMPLES = {"samples": np.zeros((2, RATE), np.float32), "present": np.ones(RATE, bool)}
SOUND_BLOCK = Message("audio", {"start": 0, "media_s": 1.0}, SAMPLES)


def opening(**limits) -> AnswerCheck:
    return AnswerCheck(Message("open", {"limits": Limits(**limits).to_dict()}))


def decoding() -> AnswerCheck:
    fields = {
        "limits": Limits().to_dict(),
        "audio": 0,
        "video": 1,
        "picture": "faces",
        "channels": 2,
        "frames": (0, None),
    }
    return AnswerCheck(Message("decode", {**fields, "crops": [], "sample_rate": RATE}))


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
    check(SOUND_BLOCK)
    check(Message("end", DECODED))


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
        Message(
            "colour",
            {"start": 0, "media_s": 0.04},
            {"frame": np.zeros((48, 64, 3), np.uint8), "source_index": np.zeros(1, np.int64)},
        ),
    ],
)
def test_what_no_request_has_as_an_answer_is_a_breach(message):
    refuse(opening(), message)
    refuse(decoding(), message)


def test_blocks_are_answers_to_a_decoding_only_and_what_is_wrong_with_one_is_told():
    refuse(opening(), SOUND_BLOCK)
    check = decoding()
    check(SOUND_BLOCK)
    refuse(check, SOUND_BLOCK)


def test_a_recording_that_does_not_end_is_no_breach_but_a_cap():
    fields = {"limits": Limits(duration_s=5.0).to_dict(), "audio": 0, "video": None, "picture": "none"}
    check = AnswerCheck(
        Message("decode", {**fields, "channels": 2, "frames": (0, None), "crops": [], "sample_rate": RATE})
    )
    with pytest.raises(DurationError, match=r"^duration_s: ") as caught:
        for second in range(100):
            check(Message("audio", {"start": second * RATE, "media_s": second + 1.0}, SAMPLES))
    assert caught.value.reason == "limit_reached"
