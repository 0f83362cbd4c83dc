"""Drawn mouths among the clips: as many as asked for, none without phones, and nothing else is moved."""

import json
import logging

import numpy as np
import pytest

from avloc.training.eye import EyeSettings, make_batch
from avloc.training.eye_clips import N_SOUNDS, EyeClip, EyeClips
from avloc.training.rendered_clips import RenderedClip

PHONES = ((0.3, 0.5, "B"), (0.5, 0.8, "AA"), (0.8, 0.9, "M"), (0.9, 1.4, "UW"))


def rendered(n_frames: int = 50) -> RenderedClip:
    rng = np.random.default_rng(0)
    heard, states = rng.standard_normal((2, n_frames, 8)), rng.standard_normal((n_frames, 16))
    return RenderedClip("reader", PHONES, heard.astype(np.float16), states.astype(np.float16))


def seen() -> EyeClip:
    rng = np.random.default_rng(1)
    return EyeClip(
        identity="face",
        crops=np.full((60, 96, 96), 128, np.uint8),
        present=np.arange(60) != 3,
        heard=rng.standard_normal((2, 60, 8)).astype(np.float16),
        states=rng.standard_normal((60, 16)).astype(np.float16),
        lips=None,
    )


def test_each_time_another_face_says_the_same():
    crops, present, lips = rendered().show(np.random.default_rng(0), slice(5, 35), with_lips=True)
    assert crops.shape == (30, 96, 96) and present.all() and lips.shape == (30, 40, 2)
    again, _, none = rendered().show(np.random.default_rng(0), slice(5, 35), with_lips=False)
    np.testing.assert_array_equal(crops, again)
    assert none is None
    other, _, _ = rendered().show(np.random.default_rng(1), slice(5, 35), with_lips=False)
    assert not np.array_equal(crops, other)


def test_lips_of_drawn_mouths_close_when_the_sound_says_so():
    for seed in range(4):
        _, _, lips = rendered().show(np.random.default_rng(seed), slice(0, 50), with_lips=True)
        gap = np.linalg.norm(lips[:, 25] - lips[:, 35], axis=1)
        assert gap[19:24].min() < 0.4 < gap[13:18].max()  # M after AA, up to 2 frames early


@pytest.mark.parametrize(("share", "n_drawn"), [(0.0, 0), (0.5, 2), (1.0, 4)])
def test_a_batch_holds_the_share_that_was_asked_for(share, n_drawn):
    settings = EyeSettings(batch_size=4, window_frames=40, rendered=share)
    batch = make_batch(np.random.default_rng(0), EyeClips([seen()], [rendered()]), settings)
    assert batch.known.any(1).tolist() == [True] * n_drawn + [False] * (4 - n_drawn)
    assert batch.crops.shape == (4, 40, 96, 96)


def test_without_drawn_mouths_all_is_as_it_was():
    plain, asked = EyeSettings(batch_size=3), EyeSettings(batch_size=3, rendered=0.7)
    first = make_batch(np.random.default_rng(0), EyeClips([seen()]), plain)
    second = make_batch(np.random.default_rng(0), EyeClips([seen()]), asked)
    third = make_batch(np.random.default_rng(0), EyeClips([seen()], [rendered()]), plain)
    assert first.crops.equal(second.crops) and first.crops.equal(third.crops)
    assert first.heard.equal(second.heard) and first.heard.equal(third.heard)


def test_recordings_with_phones_are_heard_once_and_without_any_a_warning_says_so(
    network, corpus, tmp_path, monkeypatch, caplog
):
    cache, ear = corpus.fill(tmp_path), network.eval()
    options = {"cache": cache, "make_finder": None, "with_rendered": True}
    with caplog.at_level(logging.WARNING):
        assert EyeClips.build(ear, corpus.media, **options).rendered == ()
    assert "no recording has phone_segments" in caplog.text
    aligned = {"id": "t", "file": "t.txt", "kind": "alignment", "use": "any", "licence_material": "CC0"}
    aligned |= {"media_entry": "a0", "weights_ok": True, "phone_segments": PHONES}
    manifest = tmp_path / "aligned.json"
    manifest.write_text(json.dumps({"entries": [aligned]}))
    media = [*corpus.media, str(manifest)]
    built = EyeClips.build(ear, media, **options)
    (clip,) = built.rendered
    assert clip.identity == "speaker a" and clip.phones == PHONES
    assert clip.n_frames == 175 and clip.heard.shape == (N_SOUNDS, 175, 8)
    assert built.describe()["n_rendered"] == 1 and len(built.clips) == 1
    monkeypatch.setattr("avloc.training.eye_clips.hear", None)  # what is cached is not heard again
    assert len(EyeClips.build(ear, media, **options).rendered) == 1
    assert EyeClips.build(ear, media, cache=cache, make_finder=None).rendered == ()
