"""Items with a picture: what is forged lies in the span, the other stream is untouched."""

import json
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from avloc.datasets.talking_faces import TalkingFaces
from avloc.errors import AnnotationError
from avloc.features.crops import crop_to_mouth, face_crop, mouth_crop
from avloc.synth.compose_picture import (
    PICTURE_FAMILIES,
    PICTURE_MIXTURE,
    SOUND_FAMILIES,
    compose_picture,
    draw_picture_item,
)
from avloc.synth.mouth import MouthEdit, MouthMask, blend_crops, blend_frames, draw_mask, draw_source_frames
from avloc.synth.own_sound import GATE
from avloc.synth.picture import Picture, draw_cover, show_frames
from avloc.synth.splice import MARGIN


@pytest.fixture(scope="module")
def timed(faces) -> list[int]:
    return [index for index, entry in enumerate(faces.entries) if entry.words]


def _parts(faces, item):
    clip, first = faces[item.attributes["clip"]], item.attributes["first_frame"]
    last = first + len(item.crops["mouth96_box"])
    return clip.crops["mouth96_box"][first:last], clip.samples[first * 640 : last * 640]


@pytest.mark.parametrize("family", sorted(set(SOUND_FAMILIES) - {"neural_pair"}))
def test_forged_sound_leaves_the_picture_and_the_rest_of_the_sound_in_place(faces, pool, family):
    rng = np.random.default_rng(2)
    for _ in range(4):
        item = compose_picture(rng, faces, pool, family=family)
        mouth, samples = _parts(faces, item)
        np.testing.assert_array_equal(item.crops["mouth96_box"], mouth)
        assert item.waveform.shape[1] == len(item.crops["mouth96_box"]) * 640 and not item.visual.segments
        changed = item.waveform[0] != samples
        slope = GATE if family == "self_blend" else MARGIN
        for segment in item.audio.segments:
            first, last = round(segment.start * 16000), round(segment.end * 16000)
            assert changed[first + 160 : last - 160].mean() > 0.5
            changed[max(first - slope, 0) : last + slope] = False
        assert item.audio.segments and not changed.any()


def test_a_lag_shift_plays_the_recordings_own_sound_late_or_early(faces, pool):
    rng = np.random.default_rng(5)
    for _ in range(8):
        item = compose_picture(rng, faces, pool, family="lag_shift")
        clip, offset = faces[item.attributes["clip"]], item.attributes["first_frame"] * 640
        for segment, parameters in zip(item.audio.segments, item.attributes["segments"], strict=True):
            first, last = round(segment.start * 16000) + 160, round(segment.end * 16000) - 160
            lag = round(parameters["lag_s"] * 16000)
            assert 0.19 < abs(parameters["lag_s"]) < 0.81
            there = clip.samples[offset + first - lag : offset + last - lag]
            np.testing.assert_array_equal(item.waveform[0, first:last], there)


def test_a_blended_mouth_changes_exactly_the_frames_of_its_span(faces, pool):
    rng = np.random.default_rng(3)
    for _ in range(8):
        item = compose_picture(rng, faces, pool, family="mouth_blend")
        mouth, samples = _parts(faces, item)
        np.testing.assert_array_equal(item.waveform[0], samples)
        (segment,) = item.visual.segments
        different = (item.crops["mouth96_box"] != mouth).any(axis=(1, 2))
        wanted = np.zeros(len(mouth), dtype=bool)
        wanted[round(segment.start * 25) : round(segment.end * 25)] = True
        np.testing.assert_array_equal(different, wanted)
        assert not item.audio.segments


def test_a_held_mouth_is_that_of_the_frame_before_its_span(faces, pool):
    rng = np.random.default_rng(3)
    for _ in range(6):
        item = compose_picture(rng, faces, pool, family="mouth_freeze")
        edit, frames = item.picture.mouth_edit, item.picture.frames
        assert set(edit.source_frames) == {frames[edit.first - 1]}
        mouth, _ = _parts(faces, item)
        solid = edit.mask.weights(np.eye(3), (96, 96)) == 1
        if edit.blur_px == 0:  # up to the light, which the rim of the mask brings to the host's
            shown = item.crops["mouth96_box"][edit.first : edit.last, solid].astype(int)
            light = shown - mouth[edit.first - 1][solid]
            inner = (shown > 0) & (shown < 255)
            assert all(np.ptp(row[keep]) <= 1 for row, keep in zip(light, inner, strict=True))


def test_a_reversed_mouth_plays_its_own_span_backwards_in_every_frame(faces, pool):
    rng = np.random.default_rng(4)
    for _ in range(6):
        item = compose_picture(rng, faces, pool, family="mouth_reverse")
        edit, frames = item.picture.mouth_edit, item.picture.frames
        np.testing.assert_array_equal(edit.source_frames, frames[edit.first : edit.last][::-1])
        (segment,) = item.visual.segments
        assert (round(segment.start * 25), round(segment.end * 25)) == (edit.first, edit.last)
        mouth, _ = _parts(faces, item)
        assert (item.crops["mouth96_box"] != mouth).any(axis=(1, 2)).sum() == edit.last - edit.first


def test_a_mouth_blended_with_itself_is_true_where_the_gate_is_above_half_of_its_height(faces, pool):
    rng, lags = np.random.default_rng(6), set()
    for _ in range(30):
        item = compose_picture(rng, faces, pool, family="mouth_self_blend")
        edit = item.picture.mouth_edit
        lag, share = item.attributes["lag_frames"], item.attributes["share"]
        np.testing.assert_array_equal(edit.source_frames, item.picture.frames[edit.first : edit.last] - lag)
        inside = np.arange(edit.first, edit.last)[edit.gate >= share / 2]
        (segment,) = item.visual.segments
        assert (round(segment.start * 25), round(segment.end * 25)) == (inside[0], inside[-1] + 1)
        assert len(inside) == inside[-1] + 1 - inside[0] and edit.gate.max() <= share
        lags.add(lag)
    assert min(lags) < 0 < max(lags) and all(1 <= abs(lag) <= 4 for lag in lags)


def test_a_word_edit_cuts_sound_and_picture_in_the_same_places(faces, pool, timed):
    rng = np.random.default_rng(8)
    for _ in range(12):
        item = compose_picture(rng, faces, pool, family="word_edit")
        assert item.attributes["clip"] in timed and item.audio == item.visual and item.audio.segments
        clip, frames = faces[item.attributes["clip"]], item.picture.frames
        np.testing.assert_array_equal(item.crops["mouth96_box"], clip.crops["mouth96_box"][frames])
        marked = np.zeros(len(frames) + 1, dtype=bool)
        for segment in item.audio.segments:
            marked[int(segment.start * 25) : int(np.ceil(segment.end * 25))] = True
        assert marked[np.flatnonzero(np.diff(frames) != 1) + 1].all() and (np.diff(frames) != 1).any()
        for k in np.flatnonzero(~marked[:-1]):  # elsewhere every frame has its own sound
            there = clip.samples[frames[k] * 640 : frames[k] * 640 + 640]
            np.testing.assert_array_equal(item.waveform[0, k * 640 : k * 640 + 640], there)


@pytest.mark.parametrize("family", ["genuine", "mouth_blend", "lag_shift", "replace_audio"])
@pytest.mark.parametrize("cut", ["jump_cut", "cross_fade"])
def test_a_cut_moves_sound_and_picture_together(faces, pool, family, cut):
    rng, made = np.random.default_rng(9), 0
    for _ in range(4):
        item = compose_picture(rng, faces, pool, family=family, genuine_edits=(cut,))
        if not item.attributes["genuine_edits"]:
            continue
        made += 1
        clip, frames = faces[item.attributes["clip"]], item.picture.frames
        assert item.waveform.shape[1] // 640 == len(frames) == len(item.crops["mouth96_box"])
        (joint,) = item.attributes["genuine_edits"][0]["joints_s"]
        (jump,) = np.flatnonzero(np.diff(frames) != 1) + 1
        assert abs(jump / 25 - joint) <= 0.04
        if family in ("genuine", "mouth_blend"):
            for k in (0, len(frames) - 2):
                there = clip.samples[frames[k] * 640 : frames[k] * 640 + 640]
                np.testing.assert_array_equal(item.waveform[0, k * 640 : k * 640 + 640], there)
        assert (item.picture.weight > 0).any() == (cut == "cross_fade")
        assert bool(item.audio.segments or item.visual.segments) == (family != "genuine")
    assert made


@pytest.mark.parametrize("family", ["genuine", "mouth_self_blend", "lag_shift", "replace_audio"])
def test_b_roll_hides_the_face_but_nothing_that_only_the_face_betrays(faces, pool, family):
    rng, made = np.random.default_rng(10), 0
    for _ in range(8):
        item = compose_picture(rng, faces, pool, family=family, genuine_edits=("b_roll",))
        if item.picture.covered is None:
            continue
        made += 1
        first, last = item.picture.covered
        assert not item.present[first:last].any() and not item.crops["mouth96_box"][first:last].any()
        assert item.present[:first].all() and item.present[last:].all()
        spared = item.visual.segments if family != "lag_shift" else item.audio.segments
        assert all(s.end * 25 <= first + 1e-6 or s.start * 25 >= last - 1e-6 for s in spared)
    assert made


def test_whole_frames_are_made_as_the_crops_are():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)
    boxes = np.tile(np.float32([16, 8, 32, 32]), (20, 1))
    weight = np.zeros(6, dtype=np.float32)
    weight[2] = 0.25
    shown = np.array([3, 4, 5, 12, 13, 14])
    picture = Picture(0, shown, shown + 2, weight, covered=(4, 6), cover_seed=3)
    made = show_frames(picture, frames, boxes)
    np.testing.assert_array_equal(made[[0, 1, 3]], frames[[3, 4, 12]])
    mixed = 0.75 * frames[5].astype(float) + 0.25 * frames[7]
    assert np.abs(made[2] - mixed).max() <= 0.51
    np.testing.assert_array_equal(made[4:], draw_cover(3, 2, 48, 64))
    assert made[4:].std() > 5 and (frames[13] != made[4]).any()


def test_a_genuine_clip_is_untouched_and_the_same_seed_gives_the_same_item(faces, pool):
    for seed in range(12):
        first, second = (
            draw_picture_item(np.random.default_rng(seed), faces, pool, duration_s=3.0, edit_share=0.0)
            for _ in range(2)
        )
        np.testing.assert_array_equal(first.waveform, second.waveform)
        np.testing.assert_array_equal(first.crops["mouth96_box"], second.crops["mouth96_box"])
        assert first.duration <= 3.0 and first.attributes == second.attributes
        json.dumps(first.attributes)
        if first.family == "genuine":
            mouth, samples = _parts(faces, first)
            np.testing.assert_array_equal(first.crops["mouth96_box"], mouth)
            np.testing.assert_array_equal(first.waveform[0], samples)


def test_whole_frames_change_only_around_the_mouth_and_only_in_the_span():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (12, 120, 160, 3), dtype=np.uint8)
    source = rng.integers(0, 255, (12, 120, 160, 3), dtype=np.uint8)
    boxes = np.tile(np.float32([40, 20, 80, 80]), (12, 1))
    edit = MouthEdit(4, 7, np.array([2, 3, 4]), draw_mask(rng), 0.0)
    made = blend_frames(frames, boxes, source, boxes, edit)
    changed = made != frames
    np.testing.assert_array_equal(np.flatnonzero(changed.any(axis=(1, 2, 3))), [4, 5, 6])
    for frame in (4, 5, 6):
        gray = changed[frame].any(axis=2).astype(np.uint8) * 255
        inside = mouth_crop(gray, boxes[frame])
        assert (inside > 128).mean() > 0.2
        rows, columns = np.nonzero(gray)
        assert rows.min() > 50 and columns.min() > 50 and columns.max() < 110


def test_frames_without_a_face_are_left_alone():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (4, 64, 64, 3), dtype=np.uint8)
    boxes = np.full((4, 4), np.nan, dtype=np.float32)
    edit = MouthEdit(0, 4, np.arange(4), draw_mask(rng), 0.0)
    np.testing.assert_array_equal(blend_frames(frames, boxes, frames[::-1], boxes, edit), frames)


def test_source_frames_are_of_the_wished_length_and_away_from_the_span():
    rng = np.random.default_rng(0)
    present = np.ones(60, dtype=bool)
    for _ in range(50):
        frames = draw_source_frames(rng, present, 20, np.arange(10, 30))
        assert frames is None or (len(frames) == 20 and frames.min() >= 0 and frames.max() < 60)
        assert frames is None or np.abs(frames - np.arange(10, 30)).min() > 3
    assert draw_source_frames(rng, present, 61, None) is None
    assert draw_source_frames(rng, np.zeros(60, dtype=bool), 20, None) is None


def test_every_family_of_the_mixture_exists():
    assert set(PICTURE_MIXTURE) <= set(PICTURE_FAMILIES)


def test_faces_without_word_times_refuse_word_edits(faces, pool):
    untimed = [i for i, entry in enumerate(faces.entries) if not entry.words]
    few = TalkingFaces([faces.entries[i] for i in untimed], [faces.files[i] for i in untimed])
    with pytest.raises(AnnotationError, match="words have times"):
        compose_picture(np.random.default_rng(0), few, pool, family="word_edit")


def test_an_unknown_family_is_refused(faces, pool):
    with pytest.raises(ValueError, match="family must be one of"):
        compose_picture(np.random.default_rng(0), faces, pool, family="swap")


def _smooth_frames(rng: np.random.Generator, n_frames: int) -> np.ndarray:
    frames = [cv2.GaussianBlur(rng.normal(0, 1, (260, 320)), (0, 0), 9) for _ in range(n_frames)]
    return np.clip(128 + 900 * np.array(frames), 0, 255).astype(np.uint8)


def _cut(frames: np.ndarray, boxes: np.ndarray, cut: Callable) -> np.ndarray:
    return np.stack([cut(frame, box) for frame, box in zip(frames, boxes, strict=True)])


@pytest.mark.parametrize("blur_px", [0.0, 1.2, 4.0])
def test_an_edit_of_the_crops_is_what_crops_of_edited_frames_show(blur_px):
    rng = np.random.default_rng(0)
    host, source = _smooth_frames(rng, 3), _smooth_frames(rng, 3)
    boxes, others = np.tile(np.float32([[90, 40, 160, 160], [70, 30, 150, 150]])[:, None], (1, 3, 1))
    cuts = {"mouth96_box": mouth_crop, "face112": face_crop}
    for _ in range(4):
        edit = MouthEdit(0, 3, np.array([2, 0, 1]), draw_mask(rng), blur_px, np.array([0.5, 1.0, 1.0]))
        colour = [np.repeat(frames[..., None], 3, axis=3) for frames in (host, source)]
        edited = blend_frames(colour[0], boxes, colour[1], others, edit)[..., 0]
        crops, new = (
            {
                name: np.stack([cut(f, b) for f, b in zip(frames, at, strict=True)])
                for name, cut in cuts.items()
            }
            for frames, at in ((host, boxes), (source, others))
        )
        made = blend_crops(crops, new, edit)
        for name, cut in cuts.items():
            wanted = _cut(edited, boxes, cut).astype(int)
            assert np.abs(wanted - crops[name]).max() > 20  # the edit is seen
            # resampled and rounded in another order, and the light of the rim is taken from other pixels
            assert np.abs(made[name] - wanted).mean() < 0.5 and np.abs(made[name] - wanted).max() <= 6


def test_a_mouth_that_reaches_beyond_its_crop_has_no_edge_in_the_face():
    mask = MouthMask((52.0, 54.0), (42.0, 34.0), 0.35)
    face = mask.weights(crop_to_mouth("face112"), (112, 112))
    assert mask.weights(np.eye(3), (96, 96))[:, -1].max() > 0.3  # at the edge of the mouth crop
    steps = max(np.abs(np.diff(face, axis=0)).max(), np.abs(np.diff(face, axis=1)).max())
    assert steps < 0.12 and face[0].max() == face[:, 0].max() == 0
