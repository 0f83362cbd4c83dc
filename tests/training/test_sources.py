"""Training batches come from the training split alone, corrupted as the configuration says."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import avloc.training.sources as sources
from avloc.config import load_config
from avloc.datasets.speech_pool import SpeechPool
from avloc.errors import AnnotationError
from avloc.synth.compose import FAMILIES
from avloc.synth.compose_picture import PICTURE_FAMILIES
from avloc.training.batches import MISMATCHING_FAMILIES
from avloc.training.sources import (
    build_source,
    corrupt,
    picture_items,
    sound_items,
    standardise_recogniser,
)

INPUTS = {"audio": ("whisper_mel", "log_mel"), "visual": ("mouth96_box",)}


def names(item) -> set[str]:
    """Every recording that went into an item."""
    used = {item.attributes["host"], *(s["source"] for s in item.attributes["segments"])}
    return used | ({item.attributes["source"]} if "source" in item.attributes else set())


def watch(monkeypatch, name: str) -> list:
    """Keep every item that is drawn."""
    drawn, original = [], getattr(sources, name)

    def draw(*arguments, **options):
        drawn.append(original(*arguments, **options))
        return drawn[-1]

    monkeypatch.setattr(sources, name, draw)
    return drawn


def test_only_the_training_split_with_a_fitting_licence_is_drawn(corpus, settings, monkeypatch):
    sound, picture = watch(monkeypatch, "draw_item"), watch(monkeypatch, "draw_picture_item")
    settings |= {"picture_share": 0.5, "genuine_share": 0.3}
    source = build_source(settings, INPUTS, media=corpus.media, cache=corpus.cache, first=0)
    rng = np.random.default_rng(0)
    for _ in range(30):
        source.draw_sound(rng, duration_s=6.4)
        source.draw_picture(rng, duration_s=6.4)
    assert set.union(*map(names, sound)) == {"a0", "b0", "c0"}
    assert {"f0"} < set.union(*map(names, picture)) <= {"f0", "a0", "b0", "c0"}
    assert {item.family for item in sound} == {"genuine", "insert_other"}
    assert {item.family for item in picture} >= {"genuine", "mouth_blend", "replace_audio"}
    noise_from = source.corrupt.keywords["pool"]
    assert {entry.id for entry in noise_from.entries} == {"a0", "b0", "c0"}


def test_genuine_edits_come_in_the_share_that_the_configuration_says(corpus, settings):
    pool = SpeechPool.build(corpus.media, use="train", cache=corpus.cache)
    rng = np.random.default_rng(0)
    for share, some in ((0.0, False), (1.0, True)):
        settings |= {"edit_share": share, "picture_share": 0.5}
        faces = picture_items(settings, corpus.media, use="train", cache=corpus.cache)
        items = [draw(rng, duration_s=6.4) for draw in (sound_items(settings, pool), faces) for _ in range(4)]
        assert any(item.attributes["genuine_edits"] for item in items) == some


def test_every_family_of_the_default_mixtures_can_be_made():
    train = load_config("default")["train"]
    assert set(train["sound"]) == set(FAMILIES) and set(train["picture"]) <= set(PICTURE_FAMILIES)
    assert set(MISMATCHING_FAMILIES) <= set(PICTURE_FAMILIES)


def test_development_items_are_of_other_identities(corpus, settings):
    pool = SpeechPool.build(corpus.media, use="dev", cache=corpus.cache)
    draw = sound_items(settings, pool)
    rng = np.random.default_rng(0)
    assert set.union(*(names(draw(rng, duration_s=6.4)) for _ in range(8))) == {"d0", "e0"}
    settings["picture_share"] = 0.3
    draw = picture_items(settings, corpus.media, use="dev", cache=corpus.cache)
    items = [draw(rng, duration_s=6.4) for _ in range(8)]
    assert set.union(*map(names, items)) <= {"d0", "e0", "g0"}
    assert all(item.attributes["host"] == "g0" for item in items)


def test_sound_alone_needs_no_talking_faces(corpus, settings, tmp_path):
    rows = json.loads(Path(corpus.media[0]).read_text())["entries"]
    rows = [row | {"file": f"{corpus.cache.parent}/{row['file']}"} for row in rows if row["kind"] == "speech"]
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"entries": rows}))
    source = build_source(settings, INPUTS, media=(str(path),), cache=corpus.cache, first=0)
    assert source.draw_picture is None and source[0].visual is None
    settings["picture_share"] = 0.5
    with pytest.raises(AnnotationError, match="talking face"):
        build_source(settings, INPUTS, media=(str(path),), cache=corpus.cache, first=0)


def test_a_split_without_a_recording_is_refused(settings, tmp_path):
    (tmp_path / "manifest.json").write_text('{"entries": []}')
    with pytest.raises(AnnotationError, match="use='train'"):
        build_source(settings, INPUTS, media=(str(tmp_path / "manifest.json"),), cache=tmp_path, first=0)


def test_settings_reach_the_source(corpus, settings):
    source = build_source(settings | {"seed": 9}, INPUTS, media=corpus.media, cache=corpus.cache, first=2)
    assert (source.seed, source.first, len(source)) == (9, 2, settings["iterations"])
    assert source[1] is None and source[2].audio_mask.shape == (2, 160)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_telephone_keeps_nothing_above_4_khz(corpus, share):
    pool = SpeechPool.build(corpus.media, use="dev", cache=corpus.cache)
    rng = np.random.default_rng(1)
    wave = (0.1 * rng.standard_normal(32000)).astype(np.float32)
    above = []
    for _ in range(6):
        heard = corrupt(rng, wave, telephone_share=share, pool=pool)
        assert heard.shape == wave.shape and heard.dtype == np.float32 and np.isfinite(heard).all()
        power = np.abs(np.fft.rfft(heard)) ** 2
        above.append(power[len(power) * 9 // 16 :].sum() / power.sum())
    assert max(above) < 0.02 if share else max(above) > 0.1


def test_the_recognisers_layers_are_standardised_on_sound_of_their_own(network, made_up, monkeypatch):
    monkeypatch.setattr(sources, "STANDARDISING_BATCHES", 3)
    source = sources.BatchSource(
        draw_sound=made_up.draw_sound,
        draw_picture=None,
        corrupt=lambda rng, wave: wave,
        inputs=network.inputs,
        picture_share=0.0,
        drop_sound=0.0,
        batch_size=2,
        picture_batch_size=1,
        window_frames=[160],
        n_batches=2,
        seed=0,
    )
    standardise_recogniser(network, source)
    encoder = network.audio_encoder
    assert not encoder.state_mean.is_inference() and encoder.state_mean.requires_grad is False
    with torch.no_grad():
        rngs = (np.random.default_rng([0, 2 + k]) for k in range(3))
        pieces = torch.cat([source.sound_batch(rng).audio[0][:, 0] for rng in rngs])
        hidden = encoder.hidden_states(pieces).flatten(1, 2)  # (layers, n, C)
    standard = (hidden - encoder.state_mean[:, None]) * encoder.state_scale[:, None]
    # 1e-3: the variance is a difference of two means in float32.
    assert float(standard.mean(1).abs().max()) < 1e-3
    assert float((standard.square().mean(1) - 1).abs().max()) < 1e-2
    trained_on = [source[k].audio[0] for k in range(2)]
    assert not any(torch.equal(a, b[None]) for a, b in itertools.product(trained_on, pieces))


def test_a_network_that_does_not_hear_is_left_alone(network):
    network.audio_encoder = None
    standardise_recogniser(network, source=None)
