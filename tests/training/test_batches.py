"""BatchSource: what depends on what, where the truth lies, and what is masked."""

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from avloc.structures import Timeline
from avloc.training.batches import MAX_DELAY_FRAMES, BatchSource, segments_in_frames, stack_sound
from avloc.training.objective import TrainingBatch

INPUTS = {"audio": ("whisper_mel", "log_mel"), "visual": ("mouth96_box",)}


def as_it_is(rng: np.random.Generator, waveform: np.ndarray) -> np.ndarray:
    return waveform


def make_source(made_up, **changes) -> BatchSource:
    arguments = dict(
        draw_sound=made_up.draw_sound,
        draw_picture=made_up.picture_items("replace_audio"),
        corrupt=as_it_is,
        inputs=INPUTS,
        picture_share=0.5,
        drop_sound=0.5,
        batch_size=2,
        picture_batch_size=2,
        window_frames=[160],
        n_batches=12,
        seed=3,
    )
    return BatchSource(**(arguments | changes))


def assert_same(first: TrainingBatch, second: TrainingBatch) -> None:
    for field in fields(TrainingBatch):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if field.name == "families" or a is None:
            assert a == b
        else:
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_batch_depends_on_seed_and_index_whatever_the_order(made_up):
    source = make_source(made_up)
    forward = [source[k] for k in range(6)]
    again = make_source(made_up)
    for k in reversed(range(6)):
        assert_same(forward[k], again[k])
    assert {batch.visual is None for batch in forward} == {True, False}  # both kinds were compared
    assert {batch.audio is None for batch in forward} == {True, False}


def test_other_seeds_and_indices_give_other_sound(made_up):
    source, other = make_source(made_up, picture_share=0.0), make_source(made_up, picture_share=0.0, seed=4)
    first = source[0].audio[1]
    assert not torch.equal(first, source[1].audio[1]) and not torch.equal(first, other[0].audio[1])
    assert not torch.equal(first[0], first[1])


def test_batches_before_the_first_are_none_and_the_rest_are_what_they_were(made_up):
    whole, resumed = make_source(made_up), make_source(made_up, first=3)
    assert len(resumed) == len(whole) == 12
    assert [resumed[k] for k in range(3)] == [None, None, None]
    assert_same(resumed[3], whole[3])


def test_a_longer_window_makes_a_smaller_batch(made_up):
    source = make_source(made_up, picture_share=0.0, batch_size=4, window_frames=[280, 160])
    shapes = {tuple(source[k].audio_mask.shape) for k in range(8)}
    assert shapes == {(4, 160), (2, 280)}
    batch = next(b for b in (source[k] for k in range(8)) if b.audio_mask.shape[1] == 280)
    assert batch.audio[0].shape == (2, 2, 80, 640) and batch.audio[1].shape == (2, 2, 80, 1120)
    assert batch.mismatch.shape == (2, 280) and not batch.mismatch.any() and not batch.lag.any()


def draw_until(source: BatchSource, wanted) -> tuple[TrainingBatch, int]:
    """The first batch with a row that ``wanted`` says yes to, and that row."""
    for k in range(40):
        batch = source[k]
        for row in range(len(batch.lag)):
            if wanted(batch, row):
                return batch, row
    raise AssertionError("no batch was as wished")


@pytest.mark.parametrize("late", [True, False])
def test_late_sound_has_a_positive_lag_and_takes_its_truth_along(made_up, late):
    whole = make_source(made_up, picture_share=1.0, drop_sound=0.0)
    waves = []
    source = make_source(
        made_up, picture_share=1.0, drop_sound=0.0, corrupt=lambda rng, wave: waves.append(wave) or wave
    )
    batch, row = draw_until(whole, lambda b, r: float(b.lag[r]) > 0 if late else float(b.lag[r]) < 0)
    lag = int(batch.lag[row])
    assert abs(lag) <= MAX_DELAY_FRAMES and (lag > 0) == late
    start, end = (25 * second for second in made_up.span)
    assert batch.segments[row, 0].tolist() == [start + lag, end + lag]
    assert batch.modality[row, 0].tolist() == [True, False]
    # The picture's frames are the clock of the mismatch: there the sound is brought to the picture.
    assert batch.mismatch[row].nonzero()[:, 0].tolist() == list(range(int(start), int(end)))
    # What is heard at frame t was drawn for frame t - lag.
    index = next(k for k in range(40) if torch.equal(whole[k].lag, batch.lag))
    source[index]
    drawn = np.random.default_rng([3, index])
    drawn.random()
    original = [source.draw_picture(drawn, duration_s=6.4).waveform[0] for _ in batch.lag][row]
    heard, shift = waves[row], lag * 640
    inside = slice(4000, len(heard) - 4000)
    np.testing.assert_array_equal(heard[inside], np.roll(original, shift)[inside])
    assert len(heard) == len(original)


def test_a_forged_picture_stays_where_it_is(made_up):
    source = make_source(
        made_up, draw_picture=made_up.picture_items("mouth_blend"), picture_share=1.0, drop_sound=0.0
    )
    batch, row = draw_until(source, lambda b, r: float(b.lag[r]) != 0)
    assert batch.segments[row, 0].tolist() == [25 * second for second in made_up.span]
    assert batch.modality[row, 0].tolist() == [False, True]
    assert float(batch.mismatch[row].sum()) == 25


@pytest.mark.parametrize("family, n_frames", [("vocoder_griffin_lim", 0), ("lag_shift", 25), ("genuine", 0)])
def test_only_what_moves_sound_against_picture_is_a_mismatch(made_up, family, n_frames):
    source = make_source(
        made_up, draw_picture=made_up.picture_items(family), picture_share=1.0, drop_sound=0.0
    )
    batch = source[0]
    assert batch.families == (family, family)
    assert batch.mismatch.sum(1).tolist() == [n_frames, n_frames]
    assert batch.forged.tolist() == [family != "genuine"] * 2


@pytest.mark.parametrize("family, forged", [("replace_audio", False), ("mouth_blend", True)])
def test_without_its_sound_a_batch_is_forged_only_in_the_picture(made_up, family, forged):
    source = make_source(
        made_up, draw_picture=made_up.picture_items(family), picture_share=1.0, drop_sound=1.0
    )
    batch = source[0]
    assert batch.audio is None and batch.audio_mask is None and batch.visual is not None
    assert batch.forged.tolist() == [forged] * 2 == batch.valid.any(1).tolist()
    assert not batch.modality[..., 0].any()


def test_frames_without_a_face_and_after_the_clip_are_masked(made_up):
    source = make_source(
        made_up,
        draw_picture=made_up.picture_items("genuine", seconds=4.0),
        picture_share=1.0,
        drop_sound=0.0,
    )
    batch = source[0]
    assert batch.visual[0].shape == (2, 160, 96, 96)
    assert batch.visual_mask[0].nonzero()[:, 0].tolist() == list(range(5, 100))
    assert batch.audio_mask[0].nonzero()[:, 0].tolist() == list(range(100))


def test_corruption_meets_the_whole_item_once(made_up):
    calls = []

    def corrupt(rng: np.random.Generator, waveform: np.ndarray) -> np.ndarray:
        calls.append(waveform.shape)
        return waveform * 0

    batch = make_source(made_up, corrupt=corrupt, picture_share=0.0)[0]
    assert calls == [(102400,), (102400,)]
    assert float(batch.audio[1][:, 0].abs().max()) == 0.0


def test_short_sound_is_repeated_and_masked():
    short, long = np.arange(1000, dtype=np.float32), np.arange(9000, dtype=np.float32)
    stacked, mask = stack_sound([short, long], 3)
    assert stacked.shape == (2, 1920) and mask.tolist() == [[True, False, False], [True, True, True]]
    assert stacked[0, 999:1002].tolist() == [999.0, 0.0, 1.0]
    assert stacked[1].tolist() == long[:1920].tolist()


def test_a_span_of_both_streams_is_one_segment():
    both = Timeline.from_pairs([(1.0, 2.0)])
    other = Timeline.from_pairs([(1.0, 2.0), (3.0, 4.0)])
    assert segments_in_frames(both, other) == [(25, 50, True, True), (75, 100, False, True)]
    assert segments_in_frames(both, other, audio_delay=2) == [
        (25, 50, False, True),
        (27, 52, True, False),
        (75, 100, False, True),
    ]


def test_truth_that_a_delay_moves_over_an_end_is_cut_there():
    spans = Timeline.from_pairs([(0.08, 0.2), (6.16, 6.36)])  # frames 2 to 5 and 154 to 159 of 160
    early = segments_in_frames(spans, Timeline(), audio_delay=-3, n_frames=160)
    assert early == [(0, pytest.approx(2), True, False), (151, 156, True, False)]
    late = segments_in_frames(spans, Timeline(), audio_delay=4, n_frames=160)
    assert late[1] == (158, 160, True, False)
    assert len(segments_in_frames(spans, Timeline(), audio_delay=-4, n_frames=160)) == 1
    assert len(segments_in_frames(spans, Timeline(), audio_delay=6, n_frames=160)) == 1


def test_pictures_without_talking_faces_are_refused(made_up):
    with pytest.raises(ValueError, match="draw_picture"):
        make_source(made_up, draw_picture=None)
    assert make_source(made_up, draw_picture=None, picture_share=0.0)[0].visual is None


def test_a_batch_of_a_worker_is_the_same(made_up):
    batch = make_source(made_up)[1]
    assert_same(batch, pickle.loads(pickle.dumps(batch)))


def test_a_network_that_reads_the_face_gets_it_beside_the_mouth(made_up):
    draw = made_up.picture_items("genuine", seconds=4.0)

    def with_face(rng, *, duration_s):
        item = draw(rng, duration_s=duration_s)
        face = np.tile(np.arange(len(item.present), dtype=np.uint8)[:, None, None], (1, 112, 112))
        return replace(item, crops={**item.crops, "face112": face})

    inputs = INPUTS | {"visual": ("mouth96_box", "face112")}
    options = {"picture_share": 1.0, "drop_sound": 0.0}
    alone = make_source(made_up, draw_picture=draw, **options)[0]
    batch = make_source(made_up, draw_picture=with_face, inputs=inputs, **options)[0]
    mouth, face = batch.visual
    assert mouth.shape == (2, 160, 96, 96) and face.shape == (2, 160, 112, 112)
    torch.testing.assert_close(mouth[0], alone.visual[0][0], rtol=0, atol=0)
    # One shade a frame in both, and the same exposure: their means go together.
    seen = batch.visual_mask[0]
    middles = [crops[0, seen, 40:60, 40:60].mean((1, 2)) for crops in (mouth, face)]
    assert torch.corrcoef(torch.stack(middles))[0, 1] > 0.99
