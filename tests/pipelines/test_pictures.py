import numpy as np
import pytest

from avloc.media.decode import FaceFrames, VideoBlock
from avloc.pipelines.measures import FaceMeasures, FaceRows
from avloc.pipelines.pictures import Picture, Pictures, merge_rows, select_faces
from avloc.pipelines.windows import plan_windows

N = 60


def rows(face, first, last, gray=None):
    kept = np.zeros(N, bool)
    kept[first:last] = True
    mouth = np.full((last - first, 96, 96), gray or 10 + face, np.uint8)
    return FaceRows(face, np.where(kept, 1e4, 0.0), kept, first, {"mouth96_box": mouth})


def shown(picture):
    return {int(f): np.flatnonzero(picture.face == f)[[0, -1]].tolist() for f in set(picture.face) if f >= 0}


def test_faces_that_follow_each_other_share_a_picture():
    (picture,) = merge_rows([rows(7, 30, 60), rows(3, 0, 25)])
    assert shown(picture) == {3: [0, 24], 7: [30, 59]}
    assert picture.seen.sum() == 55 and (picture.crops["mouth96_box"][25:30] == 0).all()
    assert (picture.crops["mouth96_box"][:25] == 13).all() and (picture.crops["mouth96_box"][30:] == 17).all()


def test_faces_that_show_at_once_have_a_picture_each():
    pictures = merge_rows([rows(0, 0, 40), rows(1, 20, 60), rows(2, 45, 60)])
    assert [shown(picture) for picture in pictures] == [{0: [0, 39], 2: [45, 59]}, {1: [20, 59]}]


def test_less_than_half_a_second_of_faces_is_no_picture():
    assert merge_rows([rows(0, 0, 11)]) == () and len(merge_rows([rows(0, 0, 12)])) == 1
    assert merge_rows([]) == ()


def test_chosen_frames_of_several_pictures_make_one():
    pictures = merge_rows([rows(0, 0, 60), rows(1, 0, 60)])
    face = np.repeat([0, 1, -1], 20)
    together = select_faces(pictures, face >= 0, face)
    np.testing.assert_array_equal(together.face, face)
    assert (together.crops["mouth96_box"][:20] == 10).all() and (
        together.crops["mouth96_box"][20:40] == 11
    ).all()
    assert (together.crops["mouth96_box"][40:] == 0).all()
    assert select_faces(pictures, np.arange(N) < 11, face) is None


def block(start, *faces):
    n = 25
    found = [
        FaceFrames(
            face,
            np.where(present[:, None], np.float32([0, 0, side, side]), np.float32(np.nan)),
            present,
            {"mouth96_box": np.full((n, 96, 96), gray, np.uint8)},
        )
        for face, side, gray, present in faces
    ]
    return VideoBlock(start, np.arange(start, start + n), tuple(found), np.zeros(n, bool))


def test_windows_hold_every_face_that_lasts_and_is_large_enough():
    pictures = Pictures(FaceMeasures((640, 360)))
    always, never = np.ones(25, bool), np.zeros(25, bool)
    for start in range(0, 1000, 25):
        early = always if start < 500 else never
        pictures.push(block(start, (0, 100, 50, always), (1, 200, 60, early), (2, 20, 70, always)))
    first, second = plan_windows(1000)
    found = pictures.take(first, ended=False)
    assert [shown(picture) for picture in found] == [{0: [0, 639]}, {1: [0, 499]}]
    assert (found[1].crops["mouth96_box"][:500] == 60).all()
    pictures.drop_before(360)
    assert pictures.n_held == 650  # whole blocks
    found = pictures.take(second, ended=True)
    assert [shown(picture) for picture in found] == [{0: [0, 639]}, {1: [0, 139]}]


def test_a_face_is_forgotten_after_its_last_window():
    pictures = Pictures(FaceMeasures(None))
    for start in range(0, 100, 25):
        pictures.push(block(start, (start, 100, 50, np.ones(25, bool))))
    pictures.drop_before(75)
    assert pictures.n_held == 25
    pictures.drop_before(100)
    assert pictures.n_held == 0


@pytest.mark.parametrize("face", [None, np.zeros(N, int)])
def test_a_selection_of_nothing_is_none(face):
    picture = Picture({"mouth96_box": np.zeros((N, 96, 96), np.uint8)}, np.full(N, -1))
    assert select_faces([picture], np.ones(N, bool), face) is None


def test_many_short_tracks_do_not_take_a_window_of_memory_each():
    pictures = Pictures(FaceMeasures(None))
    for start in range(0, 600, 25):
        pictures.push(block(start, *((start + k, 100, 50, np.ones(25, bool)) for k in range(4))))
    rows = [pictures._rows(face, plan_windows(600).__next__(), ended=True) for face in range(0, 600, 25)]
    assert sum(len(row.crops["mouth96_box"]) for row in rows) == 600
    (window,) = plan_windows(600)
    assert len(pictures.take(window, ended=True)) == 4


def test_rows_after_a_frame_keep_their_mouths_at_their_places():
    row = rows(0, 20, 50)
    row.crops["mouth96_box"][:] = np.arange(20, 50, dtype=np.uint8)[:, None, None]
    for first in (0, 10, 20, 35, 55):
        rest = row.after(first)
        assert len(rest.kept) == N - first
        shown = np.flatnonzero(rest.kept)
        assert rest.crops["mouth96_box"][shown - rest.start, 0, 0].tolist() == (shown + first).tolist()


def test_every_crop_of_a_face_goes_along():
    pictures, seen = Pictures(FaceMeasures((640, 360))), np.ones(25, bool)
    for start in range(0, 100, 25):
        made = block(start, (0, 100, 50, seen), (1, 200, 60, seen))
        for faces in made.faces:
            faces.crops["face112"] = np.full((25, 112, 112), 100 + faces.face, np.uint8)
        pictures.push(made)
    (window,) = plan_windows(100)
    found = pictures.take(window, ended=True)
    face = np.repeat([0, 1], 50)
    together = select_faces(found, face >= 0, face)
    assert together.crops.keys() == {"mouth96_box", "face112"}
    for picture, wanted in ((found[0], 0 * face), (found[1], 0 * face + 1), (together, face)):
        np.testing.assert_array_equal(
            picture.crops["face112"], np.broadcast_to(100 + wanted[:, None, None], (100, 112, 112))
        )
        np.testing.assert_array_equal(picture.crops["mouth96_box"][:, 0, 0], 50 + 10 * wanted)
    pictures.drop_before(200)
    assert pictures.n_held == 0
