from dataclasses import replace

import pytest
import torch
from torch import nn

from avloc.models.alignment import Aligned
from avloc.models.hierarchical import LocalizerOutputs
from avloc.training.assignment import assign_frames, assign_points, collate_segments
from avloc.training.batches import BatchSource
from avloc.training.objective import LossWeights, Objective, TrainingBatch

N_FRAMES, N_LEVELS = 64, 3
ALWAYS = {"score", "distance", "modality", "inside", "boundary", "recording"}


def make_batch(rows, *, visual: bool = False, lag: float = 0.0) -> TrainingBatch:
    segments, modality, valid = collate_segments(rows)
    mask = torch.ones(len(rows), N_FRAMES, dtype=torch.bool)
    return TrainingBatch(
        audio=(torch.zeros(1),),
        audio_mask=mask,
        visual=(torch.zeros(1),) if visual else None,
        visual_mask=mask.clone() if visual else None,
        segments=segments,
        modality=modality,
        valid=valid,
        mismatch=torch.zeros(len(rows), N_FRAMES),
        lag=torch.full((len(rows),), lag),
        forged=valid.any(1),
        families=("x",) * len(rows),
    )


def make_outputs(batch: TrainingBatch, *, right: bool) -> LocalizerOutputs:
    """What a network would say that knows the truth, or the opposite."""
    sign = 1.0 if right else -1.0
    masks = tuple(
        torch.ones(len(batch.lag), N_FRAMES >> level, dtype=torch.bool) for level in range(N_LEVELS)
    )
    points = [
        assign_points(
            batch.segments,
            batch.modality,
            batch.valid,
            level=level,
            n_levels=N_LEVELS,
            n_points=N_FRAMES >> level,
        )
        for level in range(N_LEVELS)
    ]
    inside, zone = assign_frames(batch.segments, batch.modality, batch.valid, N_FRAMES)
    return LocalizerOutputs(
        score_logits=tuple(sign * 10 * (2 * p.positive.float() - 1) for p in points),
        distances=tuple(p.distances + (0.0 if right else 20.0) for p in points),
        modality_logits=tuple(sign * 10 * (2 * p.modality.float() - 1) for p in points),
        point_masks=masks,
        inside_logits=sign * 10 * (2 * inside - 1),
        boundary_logits=sign * 10 * (2 * zone - 1),
        recording_logit=sign * 10 * (2 * batch.forged.float() - 1),
    )


class Oracle(nn.Module):
    """Answers what it was given."""

    def __init__(self, outputs: LocalizerOutputs) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, **streams: object) -> LocalizerOutputs:
        return self.outputs


def losses_of(outputs, batch, **weights) -> dict[str, float]:
    found = Objective(Oracle(outputs), LossWeights(**weights))(batch)
    return {name.removeprefix("loss_"): float(value) for name, value in found.items()}


ROWS = [[(10.0, 20.0, True, False)], [], [(8.5, 40.0, True, True), (50.0, 57.0, False, True)]]


def test_who_knows_the_truth_pays_almost_nothing_and_who_says_the_opposite_much():
    batch = make_batch(ROWS, visual=True)
    right = losses_of(make_outputs(batch, right=True), batch)
    wrong = losses_of(make_outputs(batch, right=False), batch)
    assert set(right) == set(wrong) == ALWAYS
    for name in ALWAYS:
        assert 0 <= right[name] < 0.01
        assert wrong[name] > (0.1 if name == "modality" else 0.4)


def test_terms_are_weighted_and_named_for_the_sum():
    batch = make_batch(ROWS)
    outputs = make_outputs(batch, right=False)
    ones = losses_of(outputs, batch, **dict.fromkeys(ALWAYS, 1.0))
    weighted = losses_of(outputs, batch, **dict.fromkeys(ALWAYS, 1.0) | {"boundary": 0.25, "score": 0.0})
    assert weighted["boundary"] == pytest.approx(0.25 * ones["boundary"]) and weighted["score"] == 0.0
    assert weighted["inside"] == ones["inside"]


def test_a_genuine_batch_has_finite_losses_with_gradients():
    batch = make_batch([[], []])
    outputs = make_outputs(batch, right=True)
    logit = torch.zeros(2, requires_grad=True)
    found = Objective(Oracle(replace(outputs, recording_logit=logit)), LossWeights())(batch)
    sum(found.values()).backward()
    assert float(found["loss_distance"]) == float(found["loss_modality"]) == 0.0
    assert float(logit.grad.min()) > 0


@pytest.mark.parametrize("absent", ["audio", "visual"])
def test_a_stream_that_is_absent_teaches_its_frames_nothing(absent):
    batch = make_batch(ROWS, visual=True)
    batch = replace(batch, **{absent: None})
    outputs = make_outputs(batch, right=True)
    row = ("audio", "visual").index(absent)
    lies = outputs.inside_logits.clone()
    lies[:, row] *= -1
    assert losses_of(replace(outputs, inside_logits=lies), batch)["inside"] < 0.01
    lies[:, 1 - row] *= -1
    assert losses_of(replace(outputs, inside_logits=lies), batch)["inside"] > 1


def test_masked_frames_and_points_teach_nothing():
    batch = make_batch(ROWS)
    batch.audio_mask[:, 48:] = False
    outputs = make_outputs(batch, right=True)
    for level, mask in enumerate(outputs.point_masks):
        mask[:, 48 >> level :] = False
        outputs.score_logits[level][:, 48 >> level :] *= -1
    outputs.inside_logits[:, :, 48:] *= -1
    found = losses_of(outputs, batch)
    assert found["inside"] < 0.01 and found["score"] < 0.01


def make_aligned(lag: int) -> Aligned:
    """Random unit vectors; the sound is ``lag`` frames late."""
    source = torch.nn.functional.normalize(
        torch.randn(1, 8, N_FRAMES + 20, generator=torch.Generator().manual_seed(0)), dim=1
    )
    audio, visual = source[:, :, 10 - lag : 10 - lag + N_FRAMES], source[:, :, 10 : 10 + N_FRAMES]
    mask = torch.ones(1, N_FRAMES, dtype=torch.bool)
    nothing = torch.zeros(1)
    return Aligned(audio, visual, audio, nothing, nothing, nothing, torch.tensor([float(lag)]), mask)


def synchrony_losses(lag: int, told: float, mismatch=(), logit: float = 0.0, residual: float = 0.0) -> dict:
    batch = make_batch([[]], visual=True, lag=told)
    batch.mismatch[:, list(mismatch)] = 1.0
    outputs = replace(
        make_outputs(batch, right=True),
        aligned=make_aligned(lag),
        discrepancy_logit=torch.full((1, N_FRAMES), logit),
        residual=torch.full((1, 8, N_FRAMES), residual),
    )
    return losses_of(outputs, batch)


@pytest.mark.parametrize("lag", [-4, 0, 3])
def test_the_lag_is_positive_where_the_sound_is_late(lag):
    best = min(range(-6, 7), key=lambda told: synchrony_losses(lag, float(told))["synchrony"])
    assert best == lag


def test_discrepancy_and_residual_follow_the_mismatch():
    silent = synchrony_losses(0, 0.0, logit=-8.0)
    assert silent["discrepancy"] < 0.01 and silent["residual"] == 0.0
    assert synchrony_losses(0, 0.0, mismatch=range(20, 40), logit=-8.0)["discrepancy"] > 1
    assert synchrony_losses(0, 0.0, mismatch=range(N_FRAMES), logit=8.0)["discrepancy"] < 0.01
    assert synchrony_losses(0, 0.0, residual=1.0)["residual"] == pytest.approx(8 * LossWeights().residual)


def test_where_all_is_mismatch_synchrony_teaches_nothing():
    found = synchrony_losses(0, 3.0, mismatch=range(N_FRAMES), residual=1.0)
    assert found["synchrony"] == found["residual"] == 0.0


def test_a_batch_moves_with_all_its_tensors():
    batch = make_batch(ROWS, visual=False)
    moved = batch.to(torch.device("meta"))
    assert moved.segments.device.type == moved.audio[0].device.type == moved.forged.device.type == "meta"
    assert moved.visual is None and moved.families == batch.families
    assert batch.segments.device.type == "cpu"


def test_the_networks_own_outputs_train_every_part(network):
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(2, 160, dtype=torch.bool)
    segments, modality, valid = collate_segments([[(40.0, 52.0, True, True)], []])
    batch = TrainingBatch(
        audio=(
            torch.randn(2, 1, 80, 640, generator=generator),
            torch.randn(2, 2, 256, 640, generator=generator),
        ),
        audio_mask=mask,
        visual=(torch.randn(2, 160, 96, 96, generator=generator),),
        visual_mask=mask.clone(),
        segments=segments,
        modality=modality,
        valid=valid,
        mismatch=torch.zeros(2, 160),
        lag=torch.zeros(2),
        forged=valid.any(1),
        families=("x", "genuine"),
    )
    objective = Objective(network, LossWeights()).train()
    losses = objective(batch)
    assert set(losses) == {f"loss_{name}" for name in ALWAYS | {"discrepancy", "synchrony", "residual"}}
    sum(losses.values()).backward()
    without = [name for name, p in objective.named_parameters() if p.grad is None]
    assert without == [] and all(bool(p.grad.isfinite().all()) for p in objective.parameters())
    assert isinstance(objective(batch, mode="tensor"), LocalizerOutputs)


def test_mixed_precision_gives_nearly_the_same_losses_in_float32(network, settings, made_up):
    source = BatchSource(
        draw_sound=made_up.draw_sound,
        draw_picture=made_up.picture_items("mouth_blend"),
        corrupt=lambda rng, wave: wave,
        inputs=network.inputs,
        picture_share=1.0,
        drop_sound=0.0,
        batch_size=2,
        picture_batch_size=2,
        window_frames=[160],
        n_batches=1,
        seed=0,
    )
    network.eval()
    exact, mixed = (
        Objective(network, LossWeights(**settings["losses"]), bfloat16=half)(source[0])
        for half in (False, True)
    )
    for name, value in exact.items():
        assert mixed[name].dtype == torch.float32
        torch.testing.assert_close(mixed[name], value, rtol=0.1, atol=0.05)
    assert any(float(mixed[name]) != float(value) for name, value in exact.items())
    sum(mixed.values()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
