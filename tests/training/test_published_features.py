"""What published heads learn from: shapes, targets, and that a small head does learn from it."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from avloc.datasets.feature_set import FeatureSet
from avloc.models.dimodif import DiMoDif
from avloc.models.published_losses import dimodif_loss
from avloc.structures import Reference, Segment, Timeline
from avloc.training.published_features import (
    FeatureBatches,
    PublishedExamples,
    family_of,
    reaches_beyond,
)
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


def make_batches(n: int = 7, **changes) -> FeatureBatches:
    examples = PublishedExamples(make_set({str(i): (9, 9) for i in range(n)}), n_frames=9, tiles=False)
    settings = {"indices": range(n), "batch_size": 3, "epochs": 2, "seed": 0}
    return FeatureBatches(examples, **settings | changes)


def rows_of(batches: FeatureBatches, index: int) -> list[int]:
    """Say which recordings a batch holds."""
    known = [item["audio"] for item in batches.examples]
    return [next(i for i, k in enumerate(known) if torch.equal(k, row)) for row in batches[index].audio]


def test_every_epoch_has_each_recording_once_in_an_order_of_its_own():
    batches = make_batches()
    assert len(batches) == 6 and batches.per_epoch == 3
    orders = [sum((rows_of(batches, e * 3 + i) for i in range(3)), []) for e in (0, 1)]
    assert [sorted(order) for order in orders] == [list(range(7))] * 2 and orders[0] != orders[1]
    assert rows_of(make_batches(seed=0), 4) == rows_of(batches, 4)
    assert [len(batches[i].families) for i in range(6)] == [3, 3, 1, 3, 3, 1]


def test_an_epoch_is_put_in_order_once(monkeypatch):
    drawn, real = [], np.random.default_rng
    batches = make_batches()
    monkeypatch.setattr(np.random, "default_rng", lambda seed: drawn.append(seed) or real(seed))
    given = [rows_of(batches, index) for index in (0, 1, 2, 4, 3, 1)]
    assert [seed for seed in drawn if isinstance(seed, list)] == [[0, 0], [0, 1], [0, 0]]
    assert given[1] == given[5] and given[3] == rows_of(make_batches(), 4)


def test_batches_before_a_resumed_run_are_not_made():
    batches = make_batches(first=2)
    assert batches[0] is batches[1] is None and rows_of(batches, 2) == rows_of(make_batches(), 2)


@pytest.mark.parametrize("n_ranks", [2, 3, 4])
def test_processes_share_a_batch_and_their_rows_weigh_the_same(n_ranks):
    whole = make_batches()
    for index in range(3):
        parts = [make_batches(rank=rank, n_ranks=n_ranks) for rank in range(n_ranks)]
        counted = {}
        for part in parts:
            rows = rows_of(part, index)
            for row in rows:  # a mean over rows, then over processes
                counted[row] = counted.get(row, 0) + part[index].share / len(rows) / n_ranks
            assert part[index].families == whole[index].families
        wanted = {row: 1 / len(rows_of(whole, index)) for row in rows_of(whole, index)}
        assert {k: v for k, v in counted.items() if v} == pytest.approx(wanted)


def test_families_say_what_was_forged():
    some, nothing = Timeline((SPAN,)), Timeline(())
    for audio, visual, name in [
        (some, nothing, "audio"),
        (nothing, some, "visual"),
        (some, some, "both"),
        (None, None, "forged"),
        (nothing, nothing, "forged"),
    ]:
        assert family_of(Reference("x", (SPAN,), audio=audio, visual=visual)) == name
    assert family_of(Reference("x", ())) == "genuine"


def test_a_segment_that_ends_with_the_window_is_late():
    assert reaches_beyond(Reference("x", (Segment(1.0, 24.0),)), 600)
    assert not reaches_beyond(Reference("x", (Segment(1.0, 23.99),)), 600)
