import math

import pytest
import torch
from torch import nn

import avloc.training.development as development
from avloc.decoding.proposals import Proposals
from avloc.decoding.select import Selection
from avloc.models.hierarchical import LocalizerOutputs
from avloc.training.assignment import assign_frames
from avloc.training.development import DevelopmentSet


@pytest.fixture(scope="module")
def built(corpus, config) -> DevelopmentSet:
    settings = config["train"] | {"picture_share": 0.5, "genuine_share": 0.5, "development_items": 6}
    inputs = {"audio": ("whisper_mel", "log_mel"), "visual": ("mouth96_box",)}
    return DevelopmentSet.build(settings, {}, inputs, media=corpus.media, cache=corpus.cache)


def _same(prepared: tuple | None, other: tuple | None) -> bool:
    return prepared is other is None or (None not in (prepared, other) and prepared[0] is other[0])


class Oracle(nn.Module):
    """Knows the truth of the batches of a set; ``shift_s`` moves what it proposes."""

    def __init__(self, built: DevelopmentSet, *, sign: float = 1.0, shift_s: float = 0.0) -> None:
        super().__init__()
        self.batches = [batch for batches in built.conditions.values() for batch in batches]
        self.sign, self.shift_s = sign, shift_s

    def forward(self, *, audio, audio_mask, visual, visual_mask) -> LocalizerOutputs:
        batch = next(b for b in self.batches if _same(b.audio, audio) and _same(b.visual, visual))
        mask = audio_mask if visual_mask is None else audio_mask | visual_mask
        inside, zone = assign_frames(batch.segments, batch.modality, batch.valid, mask.shape[1])
        self.batch = batch
        return LocalizerOutputs(
            score_logits=(),
            distances=(),
            modality_logits=(),
            point_masks=(mask,),
            inside_logits=self.sign * (20 * inside.amax(1, keepdim=True).expand_as(inside) - 10),
            boundary_logits=zone,
            recording_logit=self.sign * batch.forged.float(),
        )

    def proposals(self, outputs: LocalizerOutputs) -> list[Proposals]:
        found = []
        for segments, valid in zip(self.batch.segments, self.batch.valid, strict=True):
            kept = segments[valid] / 25 + self.shift_s
            found.append(Proposals(kept, torch.full((len(kept),), 0.9), torch.ones(len(kept), 2)))
        return found


def test_conditions_hold_as_many_windows_as_asked_for(built):
    assert set(built.conditions) == {"wide", "telephone", "picture"}
    for name, batches in built.conditions.items():
        assert sum(len(batch.lag) for batch in batches) == 6
        assert all((batch.visual is not None) == (name == "picture") for batch in batches)
        assert all(batch.audio is not None for batch in batches)


def test_who_knows_the_truth_reaches_the_top(built):
    figures = built.measure(Oracle(built))
    assert set(figures) == {
        f"{name} {key}"
        for name in ("wide", "telephone", "picture")
        for key in ("AP@0.5", "AP@0.75", "AUC", "frame AUC")
    }
    assert all(value == 1.0 or math.isnan(value) for value in figures.values())
    assert figures["wide AP@0.5"] == figures["picture frame AUC"] == 1.0


def test_who_errs_is_told(built):
    moved = built.measure(Oracle(built, shift_s=10.0))
    assert moved["wide AP@0.5"] == 0.0 and moved["wide AUC"] == 1.0
    assert built.measure(Oracle(built, sign=-1.0))["telephone frame AUC"] < 0.05


def test_the_items_are_the_same_every_time_and_of_the_telephone(built, corpus, config):
    settings = config["train"] | {"genuine_share": 0.5, "development_items": 6, "seed": 77}
    inputs = {"audio": ("whisper_mel", "log_mel")}
    again = DevelopmentSet.build(settings, {}, inputs, media=corpus.media, cache=corpus.cache)
    assert set(again.conditions) == {"wide", "telephone"}  # sound alone is trained
    for name in again.conditions:
        for a, b in zip(again.conditions[name], built.conditions[name], strict=True):
            assert torch.equal(a.audio[1], b.audio[1]) and torch.equal(a.segments, b.segments)
    narrow, wide = (again.conditions[name][0].audio[1][:, 1].mean(2) for name in ("telephone", "wide"))
    assert float(narrow.mean()) < float(wide.mean())  # bands below the bandwidth


def test_only_development_identities_are_opened(corpus, config, monkeypatch):
    uses = []
    original = development.SpeechPool.build
    monkeypatch.setattr(
        development.SpeechPool, "build", lambda *a, **k: uses.append(k["use"]) or original(*a, **k)
    )
    settings = config["train"] | {"development_items": 1}
    inputs = {"audio": ("log_mel",)}
    built = DevelopmentSet.build(
        settings, {"max_segments": 3}, inputs, media=corpus.media, cache=corpus.cache
    )
    assert uses == ["dev"] and built.selection == Selection(max_segments=3)
