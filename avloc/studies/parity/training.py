"""Targets and losses of the public trainings against their fixtures."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from avloc.models import published_losses as losses
from avloc.studies.parity.comparison import Comparison, compare_values, largest_error
from avloc.studies.parity.fixtures import Fixture
from avloc.training.published_targets import assign_published, assign_tiles

VALUE_TOLERANCE = "1e-5 relative"
ARRAY_TOLERANCE = "1e-5 absolute"
TERM_NAMES = {"diou": "diou", "sl1": "smooth_l1"}


def run_labels(fixture: Fixture) -> Iterator[Comparison]:
    """Compare the rows that are not zero, exactly."""
    for case in fixture.cases:
        inputs, n_frames = case["inputs"], case["inputs"]["max_length"]
        if "fake_periods" in inputs:
            periods = inputs["fake_periods"]
            visual, audio = (periods if inputs[f"modify_{name}"] else [] for name in ("video", "audio"))
        else:
            periods, visual, audio = None, inputs["visual_fake_segments"], inputs["audio_fake_segments"]
        if "error" in case:
            # The public code builds the sequence of a stream that was not modified too, and fails on it.
            yield _refusal(fixture, case, periods or [*visual, *audio], n_frames)
            continue
        tiles = assign_tiles(visual, audio, n_frames, refuses_late=True)
        yield _rows(fixture, case, "nonzero", tiles)
        if case["outputs"].get("single_sequence_nonzero") is not None:
            yield _rows(fixture, case, "single_sequence_nonzero", assign_published(periods, n_frames))


def run_losses(fixture: Fixture) -> Iterator[Comparison]:
    """Compare the terms, the rows and the totals of both networks' losses."""
    for case in fixture.cases:
        found = _losses(fixture, case)
        for name, expected in case.get("values", {}).items():
            got = found[name].numpy()
            tolerance = VALUE_TOLERANCE
            if name == "diou":  # a term that may be exactly zero
                tolerance = ARRAY_TOLERANCE
            yield compare_values(fixture, case, name, got, np.asarray(expected), tolerance=tolerance)
        for name, array in case.get("arrays", {}).items():
            got, expected = found[name].numpy(), fixture.array(array)
            yield compare_values(fixture, case, name, got, expected, tolerance=ARRAY_TOLERANCE)


def _losses(fixture: Fixture, case: dict) -> dict[str, Tensor]:
    inputs = case["inputs"]
    if "predicted" in inputs:
        return {
            "diou": losses.distance_iou(torch.tensor(inputs["predicted"]), torch.tensor(inputs["target"]))
        }
    targets = torch.from_numpy(fixture.array(inputs["targets"])).float()
    if "levels" in inputs:
        return _of_auvire(fixture, inputs, targets)
    outputs = torch.from_numpy(fixture.array(inputs["outputs"]))
    if outputs.shape[-1] == 2:
        return {
            "total": losses.dimodif_loss(outputs, None, targets),
            "video_score": outputs.sigmoid().mean(1).amax(1),
            "video_score_codabench": outputs.mean(1).sigmoid().amax(1),
        }
    logits, offsets, alpha = outputs[..., 0], outputs[..., 1:], inputs["alpha"]
    positive = targets[..., 0]
    return {
        "total": losses.dimodif_loss(logits, offsets, targets, alpha=alpha),
        "per_sample_level0": losses.localization_loss(logits[:, 0], offsets[:, 0], targets, alpha=alpha),
        "focal_level0": losses.focal(logits[:, 0], positive, alpha=alpha, gamma=inputs["gamma"]),
        "diou_level0": positive * losses.distance_iou(offsets[:, 0], targets[..., 1:]),
        "smooth_l1_level0": positive * losses.smooth_l1(offsets[:, 0], targets[..., 1:]),
    }


def _of_auvire(fixture: Fixture, inputs: dict, targets: Tensor) -> dict[str, Tensor]:
    levels = [torch.from_numpy(fixture.array(name)) for name in inputs["levels"]]
    logits, offsets = [level[..., 0] for level in levels], [level[..., 1:] for level in levels]
    dissimilarity = torch.from_numpy(fixture.array(inputs["dissimilarity"]))
    factors, alpha, asked = inputs["level_factor"], inputs["alpha"], inputs["composition"]
    terms = [TERM_NAMES[name] for name in asked if name in TERM_NAMES]
    is_forged = targets[..., 0].amax(1)
    by_level = [
        losses.localization_loss(z, o, targets[:, ::factor], terms=terms, alpha=alpha)
        for z, o, factor in zip(logits, offsets, factors, strict=True)
    ]
    return {
        "localisation": torch.stack(by_level).mean(0),
        "detection": torch.stack([losses.detection_loss(z, is_forged) for z in logits]).mean(0),
        "reconstruction": losses.reconstruction_loss(dissimilarity, is_forged),
        "total": losses.auvire_loss(
            logits,
            offsets,
            dissimilarity,
            targets,
            factors=factors,
            terms=terms,
            detects="det" in asked,
            reconstructs="rec" in asked,
            alpha=alpha,
        ),
    }


def _rows(fixture: Fixture, case: dict, output: str, targets: Tensor) -> Comparison:
    rows = targets[:, 0].nonzero()[:, 0]
    got = torch.cat((rows[:, None].float(), targets[rows, 1:]), dim=1).numpy()
    expected = np.array(case["outputs"][output], dtype=np.float64).reshape(-1, 3)
    return Comparison(fixture.name, case["id"], output, largest_error(got, expected), 0.0)


def _refusal(fixture: Fixture, case: dict, segments: list, n_frames: int) -> Comparison:
    try:
        assign_published(segments, n_frames, refuses_late=True)
    except ValueError:
        return Comparison(fixture.name, case["id"], "a late segment is refused", 0.0, 0.0)
    return Comparison(fixture.name, case["id"], "a late segment is refused", math.inf, 0.0)
