"""Faces and shots from the decoding child up to the blocks, on genuine clips and on what is made of them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avloc.features.face_detection import overlap
from avloc.media.decode import Decoder, VideoBlock
from avloc.media.encode import write_video
from avloc.media.probe import open_recording
from avloc.media.whole import read_frames

WOMAN, MAN = "grid-brbk7n.mpg", "grid-lbax4n.mpg"


@pytest.fixture(scope="module")
def talkers(shared_media: Path) -> tuple[np.ndarray, np.ndarray]:
    """Colour frames (75, 288, 360, 3) of two people."""
    return tuple(read_frames(shared_media / "genuine" / name)[0] for name in (WOMAN, MAN))


def decode(path: Path) -> list[VideoBlock]:
    with Decoder(open_recording(path)) as decoder:
        blocks = [b for b in decoder if isinstance(b, VideoBlock)]
    assert decoder.face_timing_s > 0
    assert decoder.decode_timing_s > 0
    for block in blocks:
        n = len(block.source_index)
        assert block.cuts.shape == (n,) and block.cuts.dtype == bool
        assert [face.face for face in block.faces] == sorted({face.face for face in block.faces})
        for face in block.faces:
            assert face.boxes.shape == (n, 4) and face.boxes.dtype == np.float32
            assert face.present.any()
            assert np.isfinite(face.boxes[face.present]).all() and np.isnan(face.boxes[~face.present]).all()
            crops = face.crops["mouth96_box"]
            assert crops.shape == (n, 96, 96) and crops.dtype == np.uint8
            assert (crops[face.present].std(axis=(1, 2)) > 5).all() and not crops[~face.present].any()
    return blocks


def write(path: Path, frames: Sequence[np.ndarray]) -> Path:
    write_video(path, frames, Fraction(25))
    return path


def presence(blocks: list[VideoBlock]) -> dict[int, np.ndarray]:
    """Where each track was there, bool (n,), by its id."""
    n = sum(len(block.source_index) for block in blocks)
    found: dict[int, np.ndarray] = {}
    for block in blocks:
        for face in block.faces:
            whole = found.setdefault(face.face, np.zeros(n, bool))
            whole[block.start_frame :][: len(face.present)] |= face.present
    return found


def boxes_of(blocks: list[VideoBlock], face: int) -> np.ndarray:
    return np.concatenate([f.boxes[f.present] for block in blocks for f in block.faces if f.face == face])


def crops_of(blocks: list[VideoBlock], face: int) -> np.ndarray:
    found = [f.crops["mouth96_box"][f.present] for block in blocks for f in block.faces if f.face == face]
    return np.concatenate(found).astype(int)


def cuts_of(blocks: list[VideoBlock]) -> list[int]:
    return np.flatnonzero(np.concatenate([block.cuts for block in blocks])).tolist()


def test_the_face_of_a_real_clip_comes_with_crops_in_time(shared_media):
    blocks = decode(shared_media / "genuine" / WOMAN)
    (present,) = presence(blocks).values()
    assert len(present) == 75 and present.mean() > 0.9
    assert cuts_of(blocks) == []


def test_two_people_are_two_tracks_with_their_own_boxes_and_mouths(talkers, tmp_path):
    blocks = decode(write(tmp_path / "two.mp4", np.concatenate(talkers, axis=2)))
    assert {face: int(there.sum()) for face, there in presence(blocks).items()} == {0: 75, 1: 75}
    assert cuts_of(blocks) == []
    sides = {int(boxes_of(blocks, face)[0, 0] > 360): face for face in (0, 1)}
    for side, talker in enumerate(talkers):
        alone = decode(write(tmp_path / f"{side}.mp4", talker))
        boxes = boxes_of(blocks, sides[side]) - np.float32((360 * side, 0, 0, 0))
        assert min(overlap(a, b) for a, b in zip(boxes, boxes_of(alone, 0), strict=True)) > 0.7
        difference = np.abs(crops_of(blocks, sides[side]) - crops_of(alone, 0)).mean(axis=(1, 2))
        stranger = np.abs(crops_of(blocks, sides[1 - side]) - crops_of(alone, 0)).mean(axis=(1, 2))
        assert np.median(difference) < 0.5 * np.median(stranger)


def test_five_people_are_four_tracks(talkers, tmp_path):
    row = np.concatenate([talkers[0], talkers[1], talkers[0][:, :, ::-1]], axis=2)[:50]
    other = np.concatenate([talkers[1][:, :, ::-1], talkers[0], np.full_like(talkers[0], 128)], axis=2)[:50]
    there = presence(decode(write(tmp_path / "five.mp4", np.concatenate([row, other], axis=1))))
    assert np.sum(list(there.values()), axis=0).tolist() == [4] * 50
    assert len(there) == 4


def test_a_cut_is_told_and_no_track_goes_across_it(talkers, tmp_path):
    woman, man = talkers
    blocks = decode(write(tmp_path / "cut.mp4", np.concatenate([woman[:37], man[:40], man[:30, :, ::-1]])))
    assert cuts_of(blocks) == [37, 77]
    there = {face: np.flatnonzero(frames) for face, frames in presence(blocks).items()}
    assert {face: (found[0], found[-1]) for face, found in there.items()} == {
        0: (0, 36),
        1: (37, 76),
        2: (77, 106),
    }


def test_without_faces_no_cut_is_looked_for(talkers, tmp_path):
    path = write(tmp_path / "cut.mp4", np.concatenate([talkers[0][:20], talkers[1][:20]]))
    blocks = list(Decoder(open_recording(path), crops=()))
    assert all(block.faces == () and not block.cuts.any() for block in blocks)
    assert cuts_of(decode(path)) == [20]


def test_crops_are_those_that_are_asked_for(shared_media):
    found = {}
    for crops in (("mouth96_box",), ("mouth96_box", "face112"), ("face112",)):
        with Decoder(open_recording(shared_media / "genuine" / WOMAN), crops=crops) as decoder:
            face = next(b for b in decoder if isinstance(b, VideoBlock) and b.faces).faces[0]
        assert tuple(face.crops) == crops
        found[crops] = face
    alone, both, only = found.values()
    np.testing.assert_array_equal(alone.crops["mouth96_box"], both.crops["mouth96_box"])
    np.testing.assert_array_equal(only.crops["face112"], both.crops["face112"])
    shown = both.crops["face112"]
    assert shown.shape == (len(both.present), 112, 112) and shown.dtype == np.uint8
    assert (shown[both.present].std(axis=(1, 2)) > 5).all() and not shown[~both.present].any()
    with pytest.raises(ValueError, match="crops are of"):
        Decoder(open_recording(shared_media / "genuine" / WOMAN), crops=("eyes",))
