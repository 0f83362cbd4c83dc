"""Landmarks on their way to the decoding child and back as mouths, on genuine clips."""

from fractions import Fraction

import numpy as np
import pytest

from avloc.errors import MissingStreamError
from avloc.features.crops import MOUTH_DOWN, mouth_crop
from avloc.features.landmarks import CENTRE_UP, WIDTH_OF_EYES, WIDTH_OF_FACE, boxes_from_landmarks
from avloc.media.decode import Decoder, VideoBlock
from avloc.media.encode import write_video
from avloc.media.probe import open_recording
from avloc.media.whole import read_frames
from avloc.structures.landmarks import GROUPS_OF_68, LandmarkTrack

CLIPS = ("grid-brbk7n.mpg", "marlin01.mp4")  # 25 and 30 frames a second


def decode(path, landmarks=None, frames=(0, None)) -> list[VideoBlock]:
    decoder = Decoder(open_recording(path), landmarks=landmarks, frames=frames)
    return [b for b in decoder if isinstance(b, VideoBlock)]


def faces_of(blocks: list[VideoBlock]) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray, int]]:
    """Box, mouth and source frame by grid frame and face."""
    return {
        (b.start_frame + int(i), f.face): (f.boxes[i], f.crops["mouth96_box"][i], int(b.source_index[i]))
        for b in blocks
        for f in b.faces
        for i in np.flatnonzero(f.present)
    }


def landmarks_in(boxes: np.ndarray) -> np.ndarray:
    """Four points whose boxes are these (n, 4)."""
    x, y, width, height = np.asarray(boxes, np.float64).T
    eyes = width / (WIDTH_OF_EYES + WIDTH_OF_FACE)  # as far apart as the mouth is below them
    mouth = np.stack([x + width / 2, y + MOUTH_DOWN * height + CENTRE_UP * width], axis=1)
    offsets = np.array([[-0.5, -1.0], [0.5, -1.0], [0.0, -0.5], [0.0, 0.0]])
    return mouth[:, None] + eyes[:, None, None] * offsets


def track_of(blocks: list[VideoBlock]) -> LandmarkTrack:
    """What our own tracker found, as a sidecar file would hold it."""
    rows = {(source, face): box for (_, face), (box, _, source) in faces_of(blocks).items()}
    order = sorted(rows)
    points = landmarks_in(np.array([rows[key] for key in order]))
    return LandmarkTrack(points, np.array([s for s, _ in order]), np.array([f for _, f in order]))


def spread_to_68(points: np.ndarray) -> np.ndarray:
    """68 points whose groups have these means (n, 4, 2); the others are far away."""
    many = np.full((len(points), 68, 2), 9999.0)
    for k, group in enumerate(GROUPS_OF_68):
        n = group.stop - group.start
        many[:, group] = points[:, None, k] + np.linspace(-3, 3, n)[:, None] * np.array([1.0, 0.5])
    return many


@pytest.fixture(scope="module", params=CLIPS)
def clip(request, shared_media):
    path = shared_media / "genuine" / request.param
    return path, decode(path, frames=(0, 75))


@pytest.mark.parametrize("n_points", [4, 68])
def test_faces_that_were_found_and_given_back_have_the_same_mouths(clip, n_points):
    path, blocks = clip
    track = track_of(blocks)
    points = track.points if n_points == 4 else spread_to_68(track.points)
    given = faces_of(decode(path, LandmarkTrack(points, track.frame, track.face), (0, 75)))
    found = faces_of(blocks)
    assert len(found) > 60 and set(given) == set(found)
    for key, (box, mouth, source) in found.items():
        assert given[key][2] == source
        np.testing.assert_allclose(given[key][0], box, atol=0.01 * box[2])  # made smooth a second time
        assert np.abs(given[key][1].astype(int) - mouth).mean() < 3


def test_mouths_lie_where_the_landmarks_are(shared_media):
    path = shared_media / "genuine" / CLIPS[0]
    frames, _ = read_frames(path)
    points = np.array([[140.0, 170], [190, 168], [168, 200], [170, 222]])
    given = faces_of(decode(path, LandmarkTrack(np.tile(points, (75, 1, 1)), np.arange(75))))
    assert set(given) == {(i, 0) for i in range(75)}
    box = boxes_from_landmarks(points[None])[0]
    for (i, _), (there, mouth, _) in given.items():
        np.testing.assert_allclose(there, box, atol=1e-3)
        gray = frames[i] @ np.array([0.299, 0.587, 0.114])
        expected = mouth_crop(np.round(gray).astype(np.uint8), box)
        assert np.abs(mouth.astype(int) - expected).mean() < 4  # two ways from YUV to gray


@pytest.mark.parametrize("frames", [(30, None), (40, 70), (0, 33)])
def test_a_part_has_the_faces_of_the_whole(clip, frames):
    path, blocks = clip
    landmarks = track_of(blocks)
    whole, part = faces_of(decode(path, landmarks)), faces_of(decode(path, landmarks, frames))
    last = frames[1] or 10**6
    assert {frame for frame, _ in part} == {frame for frame, _ in whole if frames[0] <= frame < last} != set()
    for (frame, face), (box, _, source) in part.items():
        assert source == whole[frame, face][2]
        if frames[0] + 6 <= frame < last - 6:  # at its ends the mean is over fewer
            np.testing.assert_allclose(box, whole[frame, face][0], atol=1e-3)


def test_two_faces_have_two_tracks_that_end_at_a_cut(shared_media, tmp_path):
    woman, man = (read_frames(shared_media / "genuine" / name)[0] for name in (CLIPS[0], "grid-lbax4n.mpg"))
    sides = np.concatenate([woman, man], axis=2)[:40]
    swapped = np.concatenate([man, woman], axis=2)[:40]
    path = tmp_path / "two.mp4"
    write_video(path, np.concatenate([sides, swapped]), Fraction(25))
    points = np.array([[140.0, 170], [190, 168], [168, 200], [170, 222]])
    both = np.stack([points, points + (360, 0)])
    track = LandmarkTrack(np.tile(both, (80, 1, 1)), np.repeat(np.arange(80), 2), np.tile([5, 2], 80))
    blocks = decode(path, track)
    assert np.flatnonzero(np.concatenate([b.cuts for b in blocks])).tolist() == [40]
    shots = [range(40), range(40), range(40, 80), range(40, 80)]
    assert set(faces_of(blocks)) == {(i, face) for face, shot in enumerate(shots) for i in shot}


def still(frame: np.ndarray) -> LandmarkTrack:
    points = np.array([[24.0, 20], [40, 20], [32, 28], [32, 36]])
    return LandmarkTrack(np.tile(points, (len(frame), 1, 1)), frame)


def test_landmarks_of_a_part_leave_the_rest_without_a_face(make):
    given = faces_of(decode(make.clip(), still(np.arange(10, 30))))
    assert sorted(frame for frame, _ in given) == list(range(10, 30))


@pytest.mark.parametrize("frames", [(0, None), (20, None)])
def test_landmarks_beyond_the_last_frame_are_of_another_recording(make, frames):
    path = make.clip()
    assert decode(path, still(np.arange(50)), frames)
    with pytest.raises(MissingStreamError, match=r"given for frame 50, and the video has 50 frames") as error:
        decode(path, still(np.arange(51)), frames)
    assert error.value.reason == "no_samples"


def test_where_the_end_is_not_reached_its_frames_are_not_counted(make):
    assert decode(make.clip(), still(np.arange(90)), (0, 25))


@pytest.mark.parametrize("name", ["a.wav", "a.m4a"])
def test_landmarks_for_a_recording_without_pictures_are_refused(make, name):
    path = make.wav(name) if name == "a.wav" else make.clip(name, picture_codec=None)
    with pytest.raises(MissingStreamError, match="there is no video stream") as error:
        Decoder(open_recording(path), landmarks=still(np.arange(3)))
    assert error.value.reason == "no_samples"


def test_landmarks_without_crops_are_a_mistake(make):
    with pytest.raises(ValueError, match="no crops were asked for"):
        Decoder(open_recording(make.clip()), crops=(), landmarks=still(np.arange(3)))


def test_a_track_of_hours_reaches_the_child(make):
    """More than a pipe holds: 20 MB."""
    n = 500_000
    face = still(np.arange(1)).points
    hours = LandmarkTrack(np.broadcast_to(face, (n, 4, 2)), np.arange(n))
    given = faces_of(decode(make.clip(), hours, (0, 25)))
    assert len(given) == 25


def test_a_cover_is_no_picture_to_have_landmarks_of(make):
    path = make.song_with_cover()
    with pytest.raises(MissingStreamError, match="there is no video stream"):
        Decoder(open_recording(path), landmarks=still(np.arange(3)))
