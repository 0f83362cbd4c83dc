"""The eye learns from genuine clips what lips, ear and clock tell of a picture; all else stays as it is."""

import copy

import numpy as np
import pytest
import torch

from avloc.datasets.corpus import read_manifests
from avloc.datasets.lips import N_LIP_POINTS
from avloc.models.hierarchical import build_network
from avloc.training.eye import EyeObjective, EyeSettings, make_batch, principal_components, train_eye
from avloc.training.eye_clips import N_SOUNDS, EyeClip, EyeClips, hear, vary_voice

SHORT = EyeSettings(steps=60, batch_size=4, window_frames=60, learning_rate=5e-3)


def make_clip(rng: np.random.Generator, n_channels: int, n_frames: int = 90) -> EyeClip:
    """A mouth that opens as the sound says."""
    opening = np.convolve(rng.standard_normal(n_frames + 8), np.hanning(9), "valid")
    opening = (opening - opening.min()) / np.ptp(opening)
    crops = np.full((n_frames, 96, 96), 150, np.uint8)
    lips = np.tile(rng.uniform(30, 60, size=(N_LIP_POINTS, 2)), (n_frames, 1, 1)).astype(np.float32)
    for t, height in enumerate((20 * opening).astype(int)):
        crops[t, 50 - height // 2 : 50 + height, 30:66] = 40
        lips[t, 5, 1] += height
    mixing = np.random.default_rng(0).standard_normal((2, n_channels))  # one ear for all clips
    told = np.stack((opening, np.gradient(opening) * 4), axis=1) @ mixing
    told = (told + 0.05 * rng.standard_normal(told.shape)).astype(np.float16)
    states = np.concatenate((told, 0.1 * rng.standard_normal((n_frames, 40))), axis=1).astype(np.float16)
    return EyeClip(
        identity=f"person {rng.integers(3)}",
        crops=crops,
        present=np.arange(n_frames) != 7,
        heard=np.stack((told, told)),
        states=states,
        lips=lips,
    )


@pytest.fixture(scope="module")
def clips(config) -> EyeClips:
    rng = np.random.default_rng(1)
    return EyeClips([make_clip(rng, 8) for _ in range(6)])


@pytest.fixture
def eyed(config):
    cfg = copy.deepcopy(config["model"])
    cfg["visual_encoder"] |= {"halved": True, "motion": 12}
    torch.manual_seed(0)
    return build_network(cfg)


def test_a_window_is_moved_in_time_as_it_says_and_lips_hang_on_nothing_else(clips):
    batch = make_batch(np.random.default_rng(2), clips, EyeSettings(batch_size=16, window_frames=100))
    assert batch.crops.shape == (16, 100, 96, 96) and batch.crops.dtype == torch.uint8
    assert not batch.seen[:, 90:].any() and not batch.seen[:, 7].any()  # after the clip, without a face
    assert batch.lag.abs().max() <= 4 and len(batch.lag.unique()) > 3
    for row in range(16):
        delay = int(batch.lag[row])
        place = batch.states[row, :8]  # the first channels of the states are the sound's own
        late = torch.roll(place, delay, dims=1)
        inside = slice(max(0, delay), 90 + min(0, delay))
        torch.testing.assert_close(batch.heard[row][:, inside], late[:, inside])
        assert batch.audible[row].sum() == 90 - abs(delay)
    outer = batch.lips.unflatten(2, (N_LIP_POINTS, 2))[:, :, :20]
    assert outer.mean(2)[batch.known].abs().max() < 1e-3


def test_all_three_losses_fall_and_only_the_eye_and_the_alignment_change(eyed, clips):
    before = {k: v.clone() for k, v in eyed.state_dict().items()}
    first = {k: v.item() for k, v in EyeObjective(eyed, clips)(batch_of(clips)).items()}
    told = train_eye(eyed, clips, SHORT)
    assert not eyed.training
    assert told["contrast"] < 0.85 * first["contrast"] and told["lips"] < 0.9 * first["lips"]
    assert told["ear"] < first["ear"]
    changed = {k.split(".")[0] for k, v in eyed.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"visual_encoder", "alignment"}


def batch_of(clips: EyeClips):
    return make_batch(np.random.default_rng(5), clips, SHORT)


def test_the_same_seed_trains_the_same_eye(eyed, clips):
    other, few = copy.deepcopy(eyed), EyeSettings(steps=2, batch_size=2, window_frames=40)
    train_eye(eyed, clips, few)
    train_eye(other, clips, few)
    for (name, first), second in zip(eyed.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(first, second), name


def test_unknown_lips_are_no_loss(eyed, clips):
    blind = EyeClips([EyeClip(**{**as_dict(clip), "lips": None}) for clip in clips.clips])
    batch = batch_of(blind)
    assert not blind.has_lips and clips.has_lips and not batch.known.any()
    assert EyeObjective(eyed, blind)(batch)["lips"].item() == 0.0


def as_dict(clip: EyeClip) -> dict:
    return {name: getattr(clip, name) for name in EyeClip.__slots__}


def test_principal_components_have_variance_one_and_leave_out_what_a_clip_is_on_average():
    rng = np.random.default_rng(0)
    clips = [rng.standard_normal((200, 6)) * [9, 5, 1, 0.1, 0.1, 0.1] + 50 * k for k in range(3)]
    mean, components = principal_components(clips, 3)
    for clip in clips:
        found = (clip - mean.numpy()) @ components.numpy().T
        np.testing.assert_allclose(found.std(0), 1.0, rtol=0.2)


def test_clips_are_read_once_and_only_those_that_may_train(network, corpus, tmp_path, monkeypatch):
    cache = corpus.fill(tmp_path)
    read = EyeClips.build(network.eval(), corpus.media, cache=cache, make_finder=None)
    allowed = {e.identity for e in read_manifests(corpus.media) if e.use == "train" and e.weights_ok}
    assert {clip.identity for clip in read.clips} <= allowed and len(read.clips) == 1
    clip = read.clips[0]
    assert clip.heard.shape == (N_SOUNDS, len(clip.present), 8) and clip.lips is None
    assert not np.array_equal(clip.heard[0], clip.heard[1])
    monkeypatch.setattr("avloc.training.eye_clips.hear", None)  # what is cached is not heard again
    again = EyeClips.build(network, corpus.media, cache=cache, make_finder=None)
    np.testing.assert_array_equal(again.clips[0].heard, clip.heard)
    assert again.describe()["n_clips_with_lips"] == 0


def test_the_ear_hears_a_clip_as_the_network_does(network):
    sound = (0.1 * np.random.default_rng(0).standard_normal(160 * 640)).astype(np.float32)
    heard, states = hear(network.eval().audio_encoder, sound, 160)
    assert heard.shape == (160, 8) and states.shape == (160, 16)
    quiet, _ = hear(network.audio_encoder, sound[: 74 * 640], 74)
    assert quiet.shape == (74, 8) and torch.isfinite(quiet).all()


def test_another_voice_keeps_the_times():
    rng = np.random.default_rng(0)
    sound = np.zeros(32000, np.float32)
    sound[12000:20000] = np.sin(2 * np.pi * 180 / 16000 * np.arange(8000)) * np.hanning(8000)
    for seed in range(6):
        varied = vary_voice(np.random.default_rng(seed), sound + 1e-4 * rng.standard_normal(32000))
        assert varied.shape == sound.shape and varied.dtype == np.float32
        weight = varied.astype(float) ** 2
        assert (weight * np.arange(32000)).sum() / weight.sum() == pytest.approx(16000, abs=640)
