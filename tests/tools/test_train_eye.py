"""The tool writes ordinary weights, says what was left out, and refuses what it does not know."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from avloc.errors import ConfigError
from avloc.models.weights.store import load_weights
from avloc.training.eye import EyeSettings
from avloc.training.eye_clips import EyeClip, EyeClips

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def train_eye():
    spec = importlib.util.spec_from_file_location("train_eye", ROOT / "tools" / "train_eye.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_settings_are_read_by_their_kinds(train_eye):
    assert train_eye.settings_of([]) == EyeSettings()
    assert train_eye.settings_of(["steps=7", "lips=0"]) == EyeSettings(steps=7, lips=0.0)


@pytest.mark.parametrize("word", ["step=7", "steps", "steps=many", "steps=[1]"])
def test_what_is_no_setting_is_refused(train_eye, word):
    with pytest.raises(ConfigError, match="--set: expected one of steps=int"):
        train_eye.settings_of([word])


def test_a_share_that_is_none_is_refused(train_eye):
    with pytest.raises(ConfigError, match="expected rendered, a share, between 0 and 1, got 1.5"):
        train_eye.settings_of(["rendered=1.5"])


def test_the_weights_start_a_training_and_the_card_says_what_was_not_learnt_from(
    train_eye, tmp_path, monkeypatch, capsys
):
    rng = np.random.default_rng(0)
    clip = EyeClip(
        identity="a",
        crops=rng.integers(0, 256, (80, 96, 96)).astype(np.uint8),
        present=np.ones(80, bool),
        heard=rng.standard_normal((2, 80, 128)).astype(np.float16),
        states=rng.standard_normal((80, 384)).astype(np.float16),
        lips=None,
    )
    asked = {}

    def build(network, media, *, cache, make_finder, with_rendered):
        asked.update(media=media, make_finder=make_finder, with_rendered=with_rendered)
        return EyeClips([clip])

    monkeypatch.setattr(train_eye.EyeClips, "build", build)
    monkeypatch.setattr(train_eye.importlib.util, "find_spec", lambda name: None)
    out = tmp_path / "eye.safetensors"
    words = ["--media", "m.json", "--cache", str(tmp_path), "--out", str(out)]
    settings = ("steps=2", "batch_size=1", "rendered=0.5", "model.visual_encoder.motion=6")
    assert train_eye.main([*words, *(word for setting in settings for word in ("--set", setting))]) == 0
    assert asked == {"media": ["m.json"], "make_finder": None, "with_rendered": True}
    assert str(out) in capsys.readouterr().out
    network, card, _ = load_weights(out)
    assert {train_eye.WITHOUT_LIPS, train_eye.WITHOUT_RENDERED} <= set(card.limits)
    assert card.starting_weights == ()
    shipped = load_weights("default")[0].state_dict()
    trained = network.state_dict()
    # Nothing but eye and alignment is another one, where the shapes are those of the shipped network.
    kept = [k for k in trained if not k.startswith(("visual_encoder.", "alignment."))]
    assert all(trained[k].equal(shipped[k]) for k in kept if shipped[k].shape == trained[k].shape)
    assert network.visual_encoder.view == (False, 6)


def test_bad_input_is_told_without_a_traceback(train_eye, tmp_path, capsys):
    words = ["--cache", str(tmp_path), "--out", str(tmp_path / "eye.safetensors")]
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"entries": []}))
    assert train_eye.main([*words, "--media", str(manifest), "--set", "steps=x"]) == 2
    assert train_eye.main([*words, "--media", str(manifest)]) == 2
    told = capsys.readouterr().err
    assert "--set" in told and "no talking face" in told
