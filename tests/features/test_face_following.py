"""One track on made frames, with a cascade whose answers are known."""

from itertools import count

import numpy as np
import pytest

from avloc.features.crops import smooth_boxes
from avloc.features.face_following import (
    DETECTION_INTERVAL,
    DRIFT_GAIN,
    MAX_UNCONFIRMED,
    RETRY_INTERVAL,
    FollowedFace,
    FrameOnTheWay,
)

BOX = np.array([80.0, 60.0, 70.0, 70.0])


class Cascade:
    """Finds the face near where it is expected, ``error`` px further right, except where told."""

    def __init__(self, error: float = 0.0, misses: int = 0) -> None:
        self.error, self.misses, self.n_calls = error, misses, 0

    def find_near(self, small: np.ndarray, expected: np.ndarray) -> np.ndarray | None:
        self.n_calls += 1
        return (
            None if self.n_calls > 1 and self.n_calls - 1 <= self.misses else expected + (self.error, 0, 0, 0)
        )


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (200, 256)).astype(np.uint8)


def frames_of(picture: np.ndarray, n: int) -> list[FrameOnTheWay]:
    return [FrameOnTheWay(index, picture, picture) for index in range(n)]


def start(frames: list[FrameOnTheWay]) -> FollowedFace:
    return FollowedFace(BOX, frames, np.full(4, 2.0), count(7))


def go_on(track: FollowedFace, frames: list[FrameOnTheWay], cascade: Cascade) -> int:
    """Follow through ``frames[1:]`` while the face is there; gives how many frames that was."""
    for n, (before, frame) in enumerate(zip(frames, frames[1:], strict=False)):
        if not track.follow(before.small, frame):
            return n
        if track.is_due and not track.look(cascade):
            return n + 1
    return len(frames) - 1


def test_it_is_looked_for_soon_after_it_was_found_and_then_less_often(picture):
    frames, cascade = frames_of(picture, 46), Cascade()
    track = start(frames[:1])
    assert go_on(track, frames, cascade) == 45
    assert cascade.n_calls == track.n_detections == 1 + (45 - RETRY_INTERVAL) // DETECTION_INTERVAL


def test_drift_is_corrected_backwards_and_boxes_are_smoothed_in_pixels_of_the_frame(picture):
    frames = frames_of(picture, 16)
    track = start(frames[:1])
    go_on(track, frames, Cascade(error=8.0))
    track.end()
    assert all(frame.n_waiting == 0 and [face for face, _ in frame.faces] == [7] for frame in frames)
    step = 8.0 * DRIFT_GAIN
    right = [0.0, *step * np.arange(1, 6) / 5, *step + step * np.arange(1, 11) / 10]
    expected = smooth_boxes(2 * (BOX + np.outer(right, [1, 0, 0, 0])))
    np.testing.assert_allclose([frame.faces[0][1] for frame in frames], expected, atol=1e-4)


def test_a_face_that_is_not_found_twice_leaves_nothing(picture):
    frames = frames_of(picture, 8)
    track = start(frames[:1])
    assert go_on(track, frames, Cascade(misses=0)) == 7 and frames[0].n_waiting == 1
    other = frames_of(picture, 8)
    lost = start(other[:3])
    assert all(frame.n_waiting == 1 for frame in other[:3])  # followed back
    lost.end()
    assert all(frame.n_waiting == 0 and not frame.faces for frame in other)


def test_it_is_lost_after_enough_misses_and_keeps_its_boxes_until_then(picture):
    frames, cascade = frames_of(picture, 80), Cascade(misses=99)
    track = start(frames[:1])
    n = go_on(track, frames, cascade)
    assert n == RETRY_INTERVAL + MAX_UNCONFIRMED
    track.end()
    assert [len(frame.faces) for frame in frames] == [1] * (n + 1) + [0] * (79 - n)


def test_it_is_not_followed_back_into_another_picture(picture):
    flat = np.full((200, 256), 90, np.uint8)
    frames = [FrameOnTheWay(0, flat, flat), *frames_of(picture, 4)]
    start(frames)
    assert [frame.n_waiting for frame in frames] == [0, 1, 1, 1, 1]
