"""What published heads learn from: shapes, targets, and that a small head does learn from it."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from avloc.datasets.feature_set import FeatureSet
from avloc.models.dimodif import DiMoDif
from avloc.models.published_losses import dimodif_loss
from avloc.structures import Reference, Segment, Timeline
from avloc.training.published_features import PublishedExamples
from avloc.training.published_targets import assign_published, assign_tiles

SPAN = Segment(0.2, 0.4)


def make_set(lengths: dict[str, tuple[int | None, int | None]], **truth: Timeline | None) -> FeatureSet:
    references = [Reference(id, (SPAN,), **truth) for id in lengths]

    def load(number: int, visual: int | None, audio: int | None) -> tuple:
        generator = np.random.default_rng(number)
        return tuple(
            None if n is None else generator.standard_normal((768, n), dtype=np.float32)
            for n in (visual, audio)
        )

    loads = {
        id: lambda number=number, pair=pair: load(number, *pair)
        for number, (id, pair) in enumerate(lengths.items())
    }
    return FeatureSet(references, loads, {})


def test_recordings_are_filled_up_with_zeros_and_cut():
    examples = PublishedExamples(
        make_set({"a": (12, 12), "b": (40, 40), "c": (None, 9)}), n_frames=20, tiles=True
    )
    batch = next(iter(DataLoader(examples, batch_size=3)))
    assert batch["visual"].shape == batch["audio"].shape == (3, 768, 20)
    assert batch["targets"].shape == (3, 40, 3) and batch["n_valid"].tolist() == [12, 20, 9]
    assert not batch["visual"][0, :, 12:].any() and batch["visual"][0, :, :12].all()
    assert not batch["visual"][2].any() and batch["audio"][2, :, :9].all()
    np.testing.assert_array_equal(batch["audio"][1], examples.features[1].audio[:, :20])


@pytest.mark.parametrize(
    ("truth", "visual", "audio"),
    [
        ({"audio": Timeline((SPAN,)), "visual": Timeline(())}, [], [(0.2, 0.4)]),
        ({}, [(0.2, 0.4)], [(0.2, 0.4)]),  # nobody says which
    ],
)
def test_targets_are_those_of_the_public_code(truth, visual, audio):
    features = make_set({"a": (12, 12)}, **truth)
    (tiled,) = PublishedExamples(features, n_frames=20, tiles=True)
    (plain,) = PublishedExamples(features, n_frames=20, tiles=False)
    assert torch.equal(tiled["targets"], assign_tiles(visual, audio, 20))
    assert torch.equal(plain["targets"], assign_published([(0.2, 0.4)], 20))


def test_features_of_another_width_are_refused_by_name():
    examples = PublishedExamples(make_set({"a": (12, 12)}), n_frames=20, tiles=True, channels=16)
    with pytest.raises(ValueError, match="'a': expected features of 16 channels, got 768"):
        examples[0]


def test_a_small_head_learns_from_it():
    truth = {"audio": Timeline((SPAN,)), "visual": Timeline(())}
    examples = PublishedExamples(make_set({"a": (12, 12), "b": (20, 20)}, **truth), n_frames=20, tiles=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = DiMoDif(max_length=20, width=16, n_heads=2, hidden=16, n_layers=1).eval()
    batch = next(iter(DataLoader(examples, batch_size=2)))
    optimizer, losses = torch.optim.Adam(network.parameters(), lr=1e-2), []
    for _ in range(15):
        outputs = network(batch["visual"], batch["audio"], n_valid=batch["n_valid"])
        loss = dimodif_loss(outputs.logits, outputs.offsets, batch["targets"]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
