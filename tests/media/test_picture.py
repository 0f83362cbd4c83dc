from collections import namedtuple
from fractions import Fraction

import numpy as np
import pytest

from avloc.media.clock import FrameClock
from avloc.media.picture import PictureTrack, to_upright

Tracked = namedtuple("Tracked", "grid_index frame_gray face box")


class Frame:
    """A decoded frame whose picture is its number."""

    def __init__(self, number: int, size: tuple[int, int] = (8, 6), rotation: int = 0) -> None:
        self.number, self.rotation = number, rotation
        self.width, self.height = size

    def to_ndarray(self) -> np.ndarray:
        return np.full((self.height, self.width), self.number, np.uint8)


def convert(frame: Frame, *, format: str, width: int, height: int) -> Frame:
    assert format == "gray"
    return Frame(frame.number, (width, height))


class Tracker:
    """Gives each frame back ``delay`` frames later; the face is absent where the picture is 3."""

    delay = 10

    def __init__(self, frame_size: tuple[int, int]) -> None:
        self.size, self.waiting, self.pushed = frame_size, [], []

    def push(self, gray: np.ndarray, grid_index: int) -> list[Tracked]:
        assert gray.shape == self.size[::-1]
        self.pushed.append(grid_index)
        face = -1 if gray[0, 0] == 3 else int(gray[0, 0] > 3)
        self.waiting.append(Tracked(grid_index, gray, face, np.array([grid_index, 0, 2, 2], np.float32)))
        return [self.waiting.pop(0)] if len(self.waiting) > self.delay else []

    def finish(self) -> list[Tracked]:
        return self.waiting


def run(times, tracker=Tracker, frames=None):
    crops = {"c": ((2, 2), lambda gray, box: np.full((2, 2), gray[0, 0], np.uint8))}
    track = PictureTrack(
        FrameClock(Fraction(1, 25), Fraction(100)), convert, make_tracker=tracker, crops=crops
    )
    messages = []
    for i, time in enumerate(times):
        messages += track.push(frames[i] if frames else Frame(i), Fraction(time))
    messages += track.finish(Fraction(1, 25))
    starts = [m.fields["start"] for m in messages]
    lengths = [len(m.arrays["source_index"]) for m in messages]
    assert starts == [sum(lengths[:i]) for i in range(len(lengths))]
    assert all(0 < n <= 25 for n in lengths)
    return {name: np.concatenate([m.arrays[name] for m in messages]) for name in messages[0].arrays}, track


def test_faces_stand_at_their_own_grid_frame_in_spite_of_the_look_ahead():
    arrays, track = run([Fraction(i, 25) for i in range(60)])
    assert track.n_grid_frames == 60
    assert arrays["source_index"].tolist() == list(range(60))
    assert arrays["face"].tolist() == [0, 0, 0, -1] + [1] * 56
    assert np.isnan(arrays["boxes"][3]).all()
    assert arrays["boxes"][4:, 0].tolist() == list(range(4, 60))
    assert arrays["crop_c"][:, 0, 0].tolist() == [0, 1, 2, 0, *range(4, 60)]


def test_before_the_first_frame_there_is_nothing_to_track():
    arrays, track = run([Fraction(2) + Fraction(i, 25) for i in range(30)])
    assert arrays["source_index"].tolist() == [-1] * 50 + list(range(30))
    assert arrays["face"][:50].tolist() == [-1] * 50
    assert track._tracker.pushed == list(range(50, 80))


def test_a_frame_that_stands_still_is_the_same_picture_for_the_tracker():
    arrays, track = run([0, Fraction(1, 5), Fraction(2, 5)])
    assert arrays["source_index"].tolist() == [0] * 5 + [1] * 5 + [2]
    assert len({id(t.frame_gray) for t in track._tracker.waiting}) == 3


@pytest.mark.parametrize("tracker", [Tracker, None])
@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_frame_that_stands_for_long_leaves_in_blocks_meanwhile(tracker, at_the_end):
    track = PictureTrack(FrameClock(Fraction(1, 25), Fraction(10_000)), convert, make_tracker=tracker)
    assert list(track.push(Frame(0), Fraction(0))) == []
    blocks = track.finish(Fraction(2000)) if at_the_end else track.push(Frame(1), Fraction(2000))
    first = next(blocks)
    assert track.n_grid_frames <= 25 + Tracker.delay
    held, sources = [], [first.arrays["source_index"]]
    for block in blocks:
        held.append(len(track._sources) + len(track._faces))
        sources.append(block.arrays["source_index"])
    assert max(held) <= 2 * (25 + Tracker.delay)
    assert len(sources) in (1999, 2000) and not np.concatenate(sources).any()


def test_a_picture_that_begins_late_leaves_in_blocks_before_it_begins():
    track = PictureTrack(FrameClock(Fraction(1, 25), Fraction(10_000)), convert, make_tracker=Tracker)
    next(track.push(Frame(0), Fraction(2000)))
    assert track.n_grid_frames == 25


def test_frames_of_another_size_or_turned_are_fitted_to_the_first():
    frames = [Frame(0), Frame(1, (16, 12)), Frame(2, (6, 8), rotation=90), Frame(4)]
    arrays, _ = run([Fraction(i, 25) for i in range(4)], frames=frames)
    assert arrays["face"].tolist() == [0, 0, 0, 1]


def test_without_a_tracker_only_the_clock_runs():
    track = PictureTrack(FrameClock(Fraction(1, 25), Fraction(100)), convert)
    messages = [m for i in range(30) for m in track.push(Frame(i), Fraction(i, 25))]
    messages += track.finish(None)
    assert [m.fields["start"] for m in messages] == [0, 25]
    assert set(messages[0].arrays) == {"source_index", "face", "boxes"}
    assert (messages[0].arrays["face"] == -1).all()


@pytest.mark.parametrize("rotation", [0, 90, 180, -90, 270, 3])
def test_only_quarter_turns_are_made(rotation):
    picture = np.arange(6).reshape(2, 3)
    turned = to_upright(picture, rotation)
    assert turned.shape == ((3, 2) if rotation in (90, -90, 270) else (2, 3))
    np.testing.assert_array_equal(to_upright(turned, -rotation), picture)
