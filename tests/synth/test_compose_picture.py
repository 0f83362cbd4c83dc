"""Items with a picture: what is forged lies in the span, the other stream is untouched."""

import json

import numpy as np
import pytest

from avloc.datasets.corpus import Entry
from avloc.datasets.speech_statistics import measure_speech
from avloc.datasets.talking_faces import TalkingFaces
from avloc.features.crops import mouth_crop
from avloc.synth.compose_picture import SOUND_FAMILIES, compose_picture, draw_picture_item
from avloc.synth.mouth import MouthEdit, blend_frames, draw_mask, draw_source_frames
from avloc.synth.own_sound import GATE
from avloc.synth.splice import MARGIN


@pytest.fixture(scope="module")
def faces(pool, tmp_path_factory) -> TalkingFaces:
    """Clips whose crops are noise around a level of their own frame, so that every frame is recognised."""
    folder, entries, files = tmp_path_factory.mktemp("faces"), [], []
    for k in range(3):
        rng = np.random.default_rng(k)
        n_frames = 100 + 10 * k
        samples = (pool.read(k, 0, n_frames * 640) * 32768).astype(np.int16)
        averages = measure_speech(samples.astype(np.float32) / 32768)
        file = folder / f"{k}.npz"
        np.savez(
            file,
            n_frames=n_frames,
            samples=samples,
            mouth=rng.integers(0, 255, (n_frames, 96, 96), dtype=np.uint8),
            present=np.ones(n_frames, dtype=bool),
            boxes=np.tile(np.float32([40, 30, 80, 80]), (n_frames, 1)),
            sound_0=averages.level,
            sound_1=averages.threshold,
            sound_2=averages.speech,
            sound_3=averages.floor,
            sound_4=averages.bandwidth_hz,
            sound_5=averages.offset,
        )
        files.append(file)
        identity = f"face-{k // 2}"
        entries.append(
            Entry(f"c{k}", file, "genuine_talking_face", identity, "train", True, 4.0, str(k), "CC0")
        )
    return TalkingFaces(entries, files)


def _parts(faces, item):
    clip, first = faces[item.attributes["clip"]], item.attributes["first_frame"]
    last = first + len(item.mouth)
    return clip.mouth[first:last], clip.samples[first * 640 : last * 640]


@pytest.mark.parametrize("family", sorted(set(SOUND_FAMILIES) - {"neural_pair"}))
def test_forged_sound_leaves_the_picture_and_the_rest_of_the_sound_in_place(faces, pool, family):
    rng = np.random.default_rng(2)
    for _ in range(4):
        item = compose_picture(rng, faces, pool, family=family)
        mouth, samples = _parts(faces, item)
        np.testing.assert_array_equal(item.mouth, mouth)
        assert item.waveform.shape[1] == len(item.mouth) * 640 and not item.visual.segments
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
        different = (item.mouth != mouth).any(axis=(1, 2))
        wanted = np.zeros(len(mouth), dtype=bool)
        wanted[round(segment.start * 25) : round(segment.end * 25)] = True
        np.testing.assert_array_equal(different, wanted)
        assert not item.audio.segments


def test_a_genuine_clip_is_untouched_and_the_same_seed_gives_the_same_item(faces, pool):
    for seed in range(12):
        first, second = (
            draw_picture_item(np.random.default_rng(seed), faces, pool, duration_s=3.0) for _ in range(2)
        )
        np.testing.assert_array_equal(first.waveform, second.waveform)
        np.testing.assert_array_equal(first.mouth, second.mouth)
        assert first.duration <= 3.0 and first.attributes == second.attributes
        json.dumps(first.attributes)
        if first.family == "genuine":
            mouth, samples = _parts(faces, first)
            np.testing.assert_array_equal(first.mouth, mouth)
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
        frames = draw_source_frames(rng, present, 20, (10, 30))
        assert frames is None or (len(frames) == 20 and frames.min() >= 0 and frames.max() < 60)
        assert frames is None or np.abs(frames - np.arange(10, 30)).min() > 3
    assert draw_source_frames(rng, present, 61, None) is None
    assert draw_source_frames(rng, np.zeros(60, dtype=bool), 20, None) is None


def test_an_unknown_family_is_refused(faces, pool):
    with pytest.raises(ValueError, match="family must be one of"):
        compose_picture(np.random.default_rng(0), faces, pool, family="swap")
