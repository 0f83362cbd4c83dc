"""A whole training, small: what it writes, that it can be resumed, and what it refuses."""

import copy
import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import avloc.training.engine as engine
import avloc.training.optimization as optimization
import avloc.training.runner as runner
import avloc.training.sources as sources
from avloc.errors import AnnotationError, CheckpointError, ConfigError
from avloc.models.hierarchical import build_network
from avloc.models.weights.store import load_weights, read_header
from avloc.training.runner import _freeze, train

SPECTRAL = {"type": "SpectralEncoder", "channels": 8, "widths": [4, 4, 4], "n_blocks": 1}


@contextmanager
def numbers_kept() -> Iterator[None]:
    """Training seeds all generators; tests after it must not notice."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - it is what is guarded
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sources, "STANDARDISING_BATCHES", 1)
            # What is dropped depends on how often numbers were drawn, which a resumed run cannot know.
            patch.setattr(nn.Dropout, "forward", lambda self, x: x)
            yield
    finally:
        torch.set_num_threads(n_threads)
        np.random.set_state(numpy_state)  # noqa: NPY002 - it is what is guarded
        random.setstate(python_state)


def run(corpus, folder: Path, overrides: dict, **options) -> Path:
    corpus.fill(folder / "cache")
    with numbers_kept():
        return train("default", media=corpus.media, work_dir=str(folder), overrides=overrides, **options)


@pytest.fixture(scope="module")
def trained(corpus, small_overrides, tmp_path_factory) -> Path:
    """Folder of a finished run of four iterations with sound and pictures."""
    folder = tmp_path_factory.mktemp("trained")
    run(corpus, folder, small_overrides | {"train.picture_share": 0.5})
    return folder


def test_the_weights_load_and_differ_from_the_first(trained, config):
    path = trained / "weights.safetensors"
    network, card, _ = load_weights(path)
    stored, _ = read_header(path)
    assert stored["model"] == config["model"] and stored["train"]["picture_share"] == 0.5
    assert set(card.threshold_sources.values()) == {"unmeasured"}
    assert not network.training and float(network.audio_encoder.state_mean.abs().max()) > 0
    # Layer scales begin at 0.1 in every block.
    assert any(float((p - 0.1).abs().max()) > 1e-5 for n, p in network.named_parameters() if "scale" in n)


def test_the_written_weights_are_the_averaged_ones_of_the_last_checkpoint(trained):
    checkpoint = torch.load(trained / "iter_4.pth", weights_only=True)
    for key, value in load_file(trained / "weights.safetensors").items():
        kept = checkpoint["state_dict"][f"network.{key}"]
        torch.testing.assert_close(value, kept.to(value.dtype), rtol=0, atol=0)
    moved = checkpoint["ema_state_dict"]["module.network.recording_head.out.weight"]
    assert not torch.equal(moved, checkpoint["state_dict"]["network.recording_head.out.weight"])


def test_the_recogniser_is_frozen(trained):
    """Its published weights stay what they were: the averaged and the newest ones are the same."""
    checkpoint = torch.load(trained / "iter_4.pth", weights_only=True)
    for key, value in checkpoint["state_dict"].items():
        if ".recogniser." in key:
            assert torch.equal(value, checkpoint["ema_state_dict"][f"module.{key}"])


def test_checkpoints_hold_no_code(trained):
    files = sorted(trained.glob("*.pth"))
    assert [file.name for file in files] == ["iter_2.pth", "iter_4.pth"]
    for file in files:
        assert torch.serialization.get_unsafe_globals_in_checkpoint(file) == []


def test_development_figures_are_written_while_training(trained):
    lines = (trained / "development.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["iteration"] for row in rows] == [2, 4]
    wanted = {f"{name} AP@0.5" for name in ("wide", "telephone", "picture")}
    assert wanted <= set(rows[0]) and all(v is None or 0 <= v <= 1 for v in list(rows[0].values())[1:])


def test_what_was_trained_on_is_counted(trained):
    told = json.loads((trained / "families.json").read_text())
    assert told["iterations"] == 4 and sum(told["families"].values()) == 8  # batches of two
    assert set(told["families"]) <= {"genuine", "insert_other", "mouth_blend", "replace_audio"}


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    trained, corpus, overrides, tmp_path, monkeypatch
):
    built, original = [], runner.build_source
    monkeypatch.setattr(runner, "build_source", lambda *a, **k: built.append(original(*a, **k)) or built[-1])
    folder = tmp_path / "resumed"
    folder.mkdir()
    shutil.copy(trained / "iter_2.pth", folder)
    (folder / "last_checkpoint").write_text(str(folder / "iter_2.pth"))
    path = run(corpus, folder, overrides | {"train.picture_share": 0.5}, resume=True)
    rows = [json.loads(line) for line in (folder / "development.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in rows] == [4]  # it went on after the second batch
    assert built[0].first == 2  # what was trained on is not made again
    again, whole = load_file(path), load_file(trained / "weights.safetensors")
    for key, value in whole.items():
        # float16 is stored, and Adam divides by tiny numbers at the start.
        torch.testing.assert_close(again[key].float(), value.float(), rtol=1e-3, atol=1e-4)
    last, first = (torch.load(f / "iter_4.pth", weights_only=True) for f in (folder, trained))
    assert last["meta"]["iter"] == first["meta"]["iter"] == 4
    assert (folder / "families.json").read_text() == (trained / "families.json").read_text()
    rates = [[g["lr"] for g in c["optimizer"]["param_groups"]] for c in (last, first)]
    assert rates[0] == pytest.approx(rates[1])


def test_a_finished_run_is_not_trained_further(trained, corpus, overrides, tmp_path):
    shutil.copy(trained / "iter_4.pth", tmp_path)
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_4.pth"))
    path = run(corpus, tmp_path, overrides | {"train.picture_share": 0.5}, resume=True)
    assert path.read_bytes() == (trained / "weights.safetensors").read_bytes()


STILL = {"train.iterations": 2, "train.learning_rate": 0.0}


def test_the_first_weights_belong_to_the_seed_alone(corpus, overrides, config, tmp_path):
    torch.manual_seed(1)  # of whoever trains
    written = load_file(run(corpus, tmp_path, overrides | STILL | {"train.seed": 5}))
    torch.manual_seed(5)
    first = build_network(config["model"]).state_dict()
    for key in (
        "recording_head.hidden.weight",
        "audio_encoder.recogniser.conv1.weight",
        "pyramid.down.0.weight",
    ):
        torch.testing.assert_close(written[key], first[key].half(), rtol=0, atol=0)


def test_init_starts_from_given_weights(trained, corpus, overrides, tmp_path):
    given = load_file(trained / "weights.safetensors")
    started = load_file(run(corpus, tmp_path, overrides | STILL, init=str(trained / "weights.safetensors")))
    for name, value in given.items():
        if "norm" not in name or "weight" in name:  # running statistics move without any learning
            torch.testing.assert_close(started[name], value, rtol=0, atol=0)


def test_an_eye_that_reads_crops_in_another_way_starts_fresh(trained, config):
    model = copy.deepcopy(config["model"])
    known = load_weights(trained / "weights.safetensors")[0].state_dict()
    taken = {}
    for motion in (0, 12):
        model["visual_encoder"]["motion"] = motion
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            network = build_network(model)
        runner.start_from(network, recogniser=None, init=str(trained / "weights.safetensors"))
        taken[motion] = {k for k, v in network.state_dict().items() if v.equal(known[k])}
    first = "visual_encoder.first.weight"
    assert first in taken[0] and first not in taken[12]
    assert {k for k in known if k.startswith("alignment.")} <= taken[12] & taken[0]


def test_constants_of_frames_of_another_length_are_made_anew(trained, config):
    model = copy.deepcopy(config["model"])
    taken = {}
    for pooling in (1, 2):
        model["audio_encoder"]["pooling"] = pooling
        network = build_network(model)
        taken[pooling] = runner.start_from(
            network, recogniser=None, init=str(trained / "weights.safetensors")
        )
    assert taken[1] - taken[2] == {"audio_encoder.state_mean", "audio_encoder.state_scale"}


def test_init_takes_what_fits_and_leaves_the_rest_fresh(trained, corpus, overrides, tmp_path):
    settings = overrides | STILL | {"model.pyramid.n_levels": 2}
    path = run(corpus, tmp_path, settings, init=str(trained / "weights.safetensors"))
    started, given = load_file(path), load_file(trained / "weights.safetensors")
    assert started["point_head.level_scale"].shape == (2,) and given["point_head.level_scale"].shape == (3,)
    torch.testing.assert_close(started["fuse_audio.weight"], given["fuse_audio.weight"], rtol=0, atol=0)


def test_layers_with_fewer_hidden_channels_begin_with_some_of_the_given_ones(
    trained, corpus, overrides, tmp_path
):
    settings = overrides | STILL | {"model.pyramid.expansion": 0.5}
    path = run(corpus, tmp_path, settings, init=str(trained / "weights.safetensors"))
    started, given = load_file(path), load_file(trained / "weights.safetensors")
    expand, reduce = "pyramid.blocks.0.expand.weight", "pyramid.blocks.0.reduce.weight"
    assert started[expand].shape == (8, 16) and started[reduce].shape == (16, 8)
    rows = [int((given[expand].float() - row).abs().sum(1).argmin()) for row in started[expand].float()]
    torch.testing.assert_close(started[expand], given[expand][rows], rtol=0, atol=0)
    # Fitted to the sound, so not what those channels had.
    assert not torch.equal(started[reduce], given[reduce][:, rows])


def test_hidden_channels_are_not_chosen_by_sound_that_the_given_weights_cannot_read(
    trained, corpus, overrides, tmp_path, caplog
):
    settings = overrides | STILL | {"model.pyramid.expansion": 0.5, "model.audio_encoder.spectrum": "log_mel"}
    path = run(corpus, tmp_path, settings, init=str(trained / "weights.safetensors"))
    assert "layers that are narrower start fresh" in caplog.text
    expand = "pyramid.blocks.0.expand.weight"
    given = load_file(trained / "weights.safetensors")[expand].float()
    assert min(float((given - row).abs().sum(1).min()) for row in load_file(path)[expand].float()) > 0.1


@pytest.mark.parametrize("n_trainable, frozen", [(0, [True] * 3), (1, [True, True, False]), (5, [False] * 3)])
def test_the_last_blocks_of_the_recogniser_may_be_trained(network, n_trainable, frozen):
    recogniser = network.audio_encoder.recogniser
    recogniser.blocks = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    _freeze(network, n_trainable)
    assert [not block.weight.requires_grad for block in recogniser.blocks] == frozen
    assert not recogniser.conv1.weight.requires_grad and network.audio_encoder.layer_mix.requires_grad


def test_a_training_is_not_written_over(corpus, overrides, tmp_path):
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_2.pth"))
    with pytest.raises(CheckpointError, match="holds a training, iter_2.pth, that would be written over"):
        run(corpus, tmp_path, overrides)


def test_there_must_be_a_checkpoint_to_resume(corpus, overrides, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint to resume"):
        run(corpus, tmp_path, overrides, resume=True)


def test_a_checkpoint_of_another_network_is_refused(trained, corpus, overrides, tmp_path):
    shutil.copy(trained / "iter_2.pth", tmp_path)
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_2.pth"))
    with pytest.raises(CheckpointError, match="must have shape .* resume with the configuration"):
        run(corpus, tmp_path, overrides | {"model.pyramid.channels": 8}, resume=True)


@pytest.mark.parametrize("content", [b"", b"no archive at all", None])
def test_a_broken_checkpoint_is_refused(corpus, overrides, tmp_path, content):
    path = tmp_path / "iter_2.pth"
    if content is not None:
        path.write_bytes(content)
    (tmp_path / "last_checkpoint").write_text(str(path))
    with pytest.raises(CheckpointError, match="iter_2.pth"):
        run(corpus, tmp_path, overrides, resume=True)


@pytest.mark.parametrize("option", ["init", "recogniser"])
def test_a_wrong_weights_file_is_refused(corpus, overrides, tmp_path, option):
    path = tmp_path / "wrong.bin"
    path.write_bytes(b"neither safetensors nor an archive")
    with pytest.raises(CheckpointError, match="wrong.bin"):
        run(corpus, tmp_path, overrides, **{option: str(path)})
    with pytest.raises(CheckpointError, match="missing.bin"):
        run(corpus, tmp_path, overrides, **{option: str(tmp_path / "missing.bin")})


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"train.iteratoins": 3}, "did you mean 'iterations'"),
        ({"train.warmup": 4}, "below train.iterations, got 4 and 4"),
        ({"train.warmup": 0}, "above 0"),
        ({"train.window_frames": [200]}, "160 \\+ 120 k"),
        ({"model.audio_encoder": None}, "audio encoder"),
        ({"model.visual_encoder.face_channels": 500}, "'model': face_channels must be 0 to"),
        ({"model.pyramid.channels": 0}, "the key 'model'"),
        ({"model.visual_encoder": None, "train.picture_share": 0.5}, "picture_share"),
        (
            {"model.audio_encoder": SPECTRAL, "train.trainable_layers": 1},
            "no recogniser: train.trainable_layers",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_decoded(
    corpus, overrides, tmp_path, wrong, message
):
    kept = {key: value for key, value in overrides.items() if not any(key.startswith(f"{w}.") for w in wrong)}
    with pytest.raises(ConfigError, match=message):
        run(corpus, tmp_path, kept | wrong)
    assert not list((tmp_path / "cache").glob("speech-*"))


def test_a_missing_manifest_is_named(overrides, tmp_path):
    with numbers_kept(), pytest.raises(AnnotationError, match="nowhere.json"):
        train("default", media=("nowhere.json",), work_dir=str(tmp_path), overrides=overrides)


def test_the_plain_loop_makes_the_same_weights(trained, corpus, overrides, tmp_path):
    path = run(corpus, tmp_path, overrides | {"train.picture_share": 0.5}, plain=True)
    ours, theirs = (torch.load(f / "iter_4.pth", weights_only=True) for f in (tmp_path, trained))
    for kind in ("state_dict", "ema_state_dict"):
        assert ours[kind].keys() == theirs[kind].keys()
        for key, value in theirs[kind].items():
            torch.testing.assert_close(ours[kind][key], value, rtol=1e-4, atol=1e-6)
    rates = [[group["lr"] for group in c["optimizer"]["param_groups"]] for c in (ours, theirs)]
    assert rates[0] == pytest.approx(rates[1])
    assert (tmp_path / "development.jsonl").read_text() == (trained / "development.jsonl").read_text()
    assert [file.name for file in sorted(tmp_path.glob("*.pth"))] == ["iter_2.pth", "iter_4.pth"]
    assert torch.serialization.get_unsafe_globals_in_checkpoint(tmp_path / "iter_4.pth") == []
    written, expected = load_file(path), load_file(trained / "weights.safetensors")
    for key, value in expected.items():
        torch.testing.assert_close(written[key].float(), value.float(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("plain", [True, False])
def test_either_loop_goes_on_where_the_other_was_stopped(trained, corpus, overrides, tmp_path, plain):
    settings = overrides | {"train.picture_share": 0.5}
    first = trained
    if not plain:
        first = tmp_path / "first"
        run(corpus, first, settings, plain=True)
    second = tmp_path / "second"
    second.mkdir()
    shutil.copy(first / "iter_2.pth", second)
    (second / "last_checkpoint").write_text("/where/it/was/trained/iter_2.pth")
    path = run(corpus, second, settings, plain=plain, resume=True)
    written, expected = load_file(path), load_file(trained / "weights.safetensors")
    for key, value in expected.items():
        torch.testing.assert_close(written[key].float(), value.float(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("plain", [True, False])
def test_a_round_may_last_for_a_time(corpus, overrides, tmp_path, monkeypatch, plain):
    """Every look at the clock takes a second: three at an update, some more at a checkpoint."""
    clock = iter(range(10**6))
    monkeypatch.setattr(optimization, "monotonic", lambda: float(next(clock)))
    settings = overrides | {"train.log_every": 100, "train.warmup": 2, "train.checkpoint_every": 3}
    path = run(corpus, tmp_path, settings, plain=plain, minutes=0.25)
    n_updates = read_header(path)[0]["train"]["iterations"]
    assert 4 <= n_updates <= 10
    rows = [json.loads(line) for line in (tmp_path / "development.jsonl").read_text().splitlines()]
    assert rows[-1]["iteration"] == n_updates
    checkpoint = torch.load(tmp_path / f"iter_{n_updates}.pth", weights_only=True)
    rate, first = (checkpoint["optimizer"]["param_groups"][0][key] for key in ("lr", "initial_lr"))
    assert checkpoint["meta"]["elapsed_s"] >= 15 and rate < 0.2 * first
    again = run(corpus, tmp_path, settings, plain=plain, minutes=0.25, resume=True)
    assert read_header(again)[0]["train"]["iterations"] == n_updates  # its time is over


def test_a_device_that_is_not_there_is_refused_before_anything_is_decoded(corpus, overrides, tmp_path):
    for device in ("cuda:63", "abacus", "cpu and gpu"):
        with pytest.raises(ConfigError, match=f"--device '{device}': .* use --device cpu"):
            run(corpus, tmp_path, overrides, device=device)
    assert not list((tmp_path / "cache").glob("speech-*"))


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan"), float("inf")])
def test_a_length_that_is_none_is_refused(corpus, overrides, tmp_path, minutes):
    with pytest.raises(ConfigError, match="--minutes must be above 0"):
        run(corpus, tmp_path, overrides, minutes=minutes)


@pytest.mark.cuda
def test_a_gpu_trains_with_either_loop(corpus, overrides, tmp_path):
    for plain in (True, False):
        folder = tmp_path / str(plain)
        path = run(corpus, folder, overrides | {"train.picture_share": 0.5}, plain=plain, device="cuda")
        assert all(value.isfinite().all() for value in load_file(path).values())


def test_sound_alone_can_be_trained_without_a_visual_branch(corpus, overrides, tmp_path):
    kept = {key: value for key, value in overrides.items() if "visual_encoder" not in key}
    path = run(corpus, tmp_path, kept | {"model.visual_encoder": None, "train.iterations": 2})
    network, _, _ = load_weights(path)
    assert network.visual_encoder is None and set(network.inputs) == {"audio"}


def test_an_ear_without_a_recogniser_is_trained_and_starts_from_no_recogniser(corpus, overrides, tmp_path):
    kept = {k: v for k, v in overrides.items() if not k.startswith(("model.audio_enc", "model.visual_enc"))}
    kept |= {"model.audio_encoder": SPECTRAL, "model.visual_encoder": None, "train.iterations": 2}
    network, _, _ = load_weights(run(corpus, tmp_path / "a", kept))
    assert network.inputs == {"audio": ("log_mel",)}
    with pytest.raises(ConfigError, match="no recogniser that could start from 'model.bin'"):
        run(corpus, tmp_path / "b", kept, recogniser="model.bin")


@pytest.mark.parametrize(
    ("work_dir", "why"), [("/proc/x", "No such file"), ("file", "File exists"), ("", "name is empty")]
)
def test_a_work_dir_that_cannot_be_written_is_refused(tmp_path, monkeypatch, work_dir, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=f"--work-dir {work_dir!r}: .*{why}"):
        train("default", media=(), work_dir=work_dir)


def test_networks_that_learn_from_features_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="'auvire_lavdf' learns from features .*; give --features"):
        train("auvire_lavdf", media=("m.json",), work_dir=str(tmp_path))


def test_it_is_trained_by_one_process(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="2 processes, but only a network that learns from features"):
        train("default", media=("m.json",), work_dir=str(tmp_path))


@pytest.mark.parametrize("is_there", [True, False])
def test_losses_are_drawn_in_tensorboard_where_it_is_installed(monkeypatch, is_there):
    monkeypatch.setattr(engine, "find_spec", lambda name: object() if is_there else None)
    kinds = [backend["type"] for backend in engine.curves()]
    assert kinds == ["LocalVisBackend"] + ["TensorboardVisBackend"] * is_there
