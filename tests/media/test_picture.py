from collections import namedtuple
from fractions import Fraction

import numpy as np
import pytest

from avloc.media.clock import FrameClock
from avloc.media.picture import PictureTrack, to_upright

Tracked = namedtuple("Tracked", "grid_index frame_gray cut faces")


class Frame:
    """A decoded frame whose picture is its number."""

    def __init__(self, number: int, size: tuple[int, int] = (8, 6), rotation: int = 0) -> None:
        self.number, self.pts, self.rotation = number, number, rotation
        self.width, self.height = size

    def to_ndarray(self) -> np.ndarray:
        return np.full((self.height, self.width), self.number, np.uint8)


def convert(frame: Frame, *, format: str, width: int, height: int) -> Frame:
    assert format == "gray"
    return Frame(frame.number, (width, height))


class Tracker:
    """Gives each frame back ``delay`` frames later: no face where the picture is 3, two from 50 on."""

    delay = 10

    def __init__(self, frame_size: tuple[int, int]) -> None:
        self.size, self.waiting, self.pushed = frame_size, [], []

    def push(self, gray: np.ndarray, grid_index: int, source_index: int) -> list[Tracked]:
        assert gray.shape == self.size[::-1]
        self.pushed.append(grid_index)
        ids = [] if gray[0, 0] == 3 else [int(gray[0, 0] > 3)]
        ids += [5] if gray[0, 0] >= 50 else []
        faces = tuple((face, np.array([grid_index, face, 2, 2], np.float32)) for face in ids)
        self.waiting.append(Tracked(grid_index, gray, bool(gray[0, 0] == 40), faces))
        return [self.waiting.pop(0)] if len(self.waiting) > self.delay else []

    def finish(self) -> list[Tracked]:
        return self.waiting


def run(times, tracker=Tracker, frames=None):
    crops = {"c": ((2, 2), lambda gray, box: np.full((2, 2), gray[0, 0] + 100 * (box[1] == 5), np.uint8))}
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
    arrays = {name: np.concatenate([m.arrays[name] for m in messages]) for name in messages[0].arrays}
    shifts = [np.full(len(m.arrays["row_frame"]), m.fields["start"]) for m in messages]
    arrays["row_frame"] += np.concatenate(shifts).astype(np.int32)
    return arrays, track


def test_faces_stand_at_their_own_grid_frame_in_spite_of_the_look_ahead():
    arrays, track = run([Fraction(i, 25) for i in range(60)])
    assert track.n_grid_frames == 60
    assert arrays["source_index"].tolist() == list(range(60))
    pairs = sorted([(k, int(k > 3)) for k in range(60) if k != 3] + [(k, 5) for k in range(50, 60)])
    assert list(zip(arrays["row_frame"].tolist(), arrays["face"].tolist(), strict=True)) == pairs
    assert arrays["boxes"].tolist() == [[k, face, 2, 2] for k, face in pairs]
    assert arrays["crop_c"][:, 0, 0].tolist() == [k + 100 * (face == 5) for k, face in pairs]
    assert np.flatnonzero(arrays["cuts"]).tolist() == [40]


def test_before_the_first_frame_there_is_nothing_to_track():
    arrays, track = run([Fraction(2) + Fraction(i, 25) for i in range(30)])
    assert arrays["source_index"].tolist() == [-1] * 50 + list(range(30))
    assert arrays["row_frame"].tolist() == [k for k in range(50, 80) if k != 53]
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
        held.append(len(track._sources) + len(track._tracked))
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
    assert arrays["face"].tolist() == [0, 0, 0, 1] and arrays["row_frame"].tolist() == [0, 1, 2, 3]


def test_without_a_tracker_only_the_clock_runs():
    track = PictureTrack(FrameClock(Fraction(1, 25), Fraction(100)), convert)
    messages = [m for i in range(30) for m in track.push(Frame(i), Fraction(i, 25))]
    messages += track.finish(None)
    assert [m.fields["start"] for m in messages] == [0, 25]
    shapes = {name: array.shape for name, array in messages[0].arrays.items()}
    assert shapes == {"source_index": (25,), "cuts": (25,), "row_frame": (0,), "face": (0,), "boxes": (0, 4)}
    assert not messages[0].arrays["cuts"].any()


@pytest.mark.parametrize("rotation", [0, 90, 180, -90, 270, 3])
def test_only_quarter_turns_are_made(rotation):
    picture = np.arange(6).reshape(2, 3)
    turned = to_upright(picture, rotation)
    assert turned.shape == ((3, 2) if rotation in (90, -90, 270) else (2, 3))
    np.testing.assert_array_equal(to_upright(turned, -rotation), picture)
