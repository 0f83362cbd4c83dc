"""A whole training on extracted features, small: what it writes, that it resumes, and what it refuses."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from avloc.config import load_config
from avloc.datasets.media_files import find_media
from avloc.errors import CheckpointError, ConfigError
from avloc.features.cache import SCHEMA, FeatureCache, FeatureRow
from avloc.models.encoded import with_encoders
from avloc.models.encoders.auto_avsr import AutoAvsrAudioEncoder, AutoAvsrVisualEncoder
from avloc.models.encoders.av_hubert import AvHubertEncoder
from avloc.models.weights.card import unmeasured_card
from avloc.models.weights.encoders import load_encoder
from avloc.models.weights.store import load_weights, read_header, save_weights
from avloc.pipelines.loading import load_localizer
from avloc.report.shards import agree
from avloc.training.published_runner import train_published
from avloc.training.published_source import FeatureFolder

ROOT = Path(__file__).resolve().parents[2]
SPAN = (0.4, 0.8)
N_FRAMES = 32
CONFORMER = dict(stem_width=4, width=768, n_heads=12, n_blocks=1, hidden=8)
HUBERT = dict(stem_width=4, n_layers=1, hidden=8)
SMALL = {
    "dimodif_lavdf": {
        "model.max_length": N_FRAMES,
        "model.width": 16,
        "model.n_heads": 2,
        "model.hidden": 16,
        "model.n_layers": 1,
        "model.dropout": 0.0,  # what is dropped depends on how often numbers were drawn
    },
    "auvire_lavdf": {"model.max_length": N_FRAMES, "model.width": 8, "model.n_halvings": 1},
    "avloc_lavdf": {
        "train.n_frames": N_FRAMES,
        "train.averaging": False,
        "train.weight_decay": 0.0,
        "model.audio_encoder.out_channels": 768,
        "model.visual_encoder.out_channels": 768,
        "model.alignment.channels": 8,
        "model.discrepancy.channels": 8,
        "model.pyramid.channels": 16,
        "model.pyramid.n_levels": 3,
        "model.pyramid.n_heads": 2,
        "model.pyramid.dropout": 0.0,
    },
}
TRAIN = {"train.epochs": 3, "train.batch_size": 4, "train.workers": 0, "train.log_every": 1}
TRAIN |= {"train.checkpoint_every": 2}
KINDS = sorted(SMALL)
PUBLISHED = sorted(kind for kind in SMALL if not kind.startswith("avloc"))


@contextmanager
def numbers_kept() -> Iterator[None]:
    """Training seeds all generators; tests after it must not notice."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - it is what is guarded
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002 - it is what is guarded
        random.setstate(python_state)


def write_encoder(home: Path, name: str, network: torch.nn.Module, arguments: dict, *, seed: int = 0) -> None:
    """Write weights of an encoder under a name; another seed makes another file."""
    kind = type(network).__name__
    folder = home / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    card = unmeasured_card(name, network=kind, version=str(seed))
    config = {"model": {"type": kind, **arguments}, "decoding": {}, "train": {}}
    save_weights(folder / f"{name}.safetensors", network, config=config, card=card)


def write_features(
    root: Path,
    split: str,
    names: tuple[str, str],
    *,
    channels: int = 768,
    streams=("audio", "visual"),
    **told,
) -> None:
    """Write what avloc extract leaves: noise, with something of its own where a recording is forged."""
    media = find_media("lavdf", root=root, split=split)
    encoders = {}
    for stream, name in zip(("audio", "visual"), names, strict=True):
        if stream in streams:
            made = load_encoder(name, stream)
            encoders[stream] = {"name": made.name, "kind": made.kind, "sha256": made.sha256}
    folder = root / "features" / "runs" / f"{split}-{names[0]}"
    folder.mkdir(parents=True)
    told = {
        "dataset": "lavdf",
        "split": split,
        "recordings_sha256": media.sha256,
        "n_recordings": len(media.ids),
        "n_shards": 1,
        "encoders": encoders,
        "settings": {"dtype": "float16"},
    } | told
    agree(folder, told, schema=SCHEMA)
    cache, rng = FeatureCache(root / "features"), np.random.default_rng(len(split))
    lines = []
    for number, id in enumerate(media.ids):
        arrays = {}
        for stream in encoders:
            rows = rng.standard_normal((24 + number % 9, channels)).astype(np.float16)
            if number % 2 and stream == "audio":
                rows[10:21] += 2
            arrays[f"{split} {names[0]} {id} {stream}"] = (rows, len(rows), ())
        cache.write(arrays)
        features = {key.split()[-1]: cache.find(key) for key in arrays}
        lines.append(FeatureRow(id, "analysed", features=features).to_line())
    (folder / "shard-1-of-1.jsonl").write_text("".join(lines))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Iterator[Path]:
    """LAV-DF in small with features of two kinds of encoders, which lie in AVLOC_HOME."""
    folder = tmp_path_factory.mktemp("lavdf")
    entries = []
    for split, n in (("train", 9), ("dev", 6)):
        for i in range(n):
            forged = {"fake_periods": [SPAN], "modify_audio": True, "modify_video": False} if i % 2 else {}
            entry = {"file": f"{split}/{i}.mp4", "split": split, "n_fakes": i % 2, "duration": 1.2}
            entries.append(entry | {"fake_periods": []} | forged)
    (folder / "metadata.json").write_text(json.dumps(entries))
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]):
        patch.setenv("AVLOC_HOME", str(folder / "home"))
        torch.manual_seed(0)
        write_encoder(folder / "home", "ear", AutoAvsrAudioEncoder(**CONFORMER), CONFORMER)
        write_encoder(folder / "home", "eye", AutoAvsrVisualEncoder(**CONFORMER), CONFORMER)
        write_encoder(folder / "home", "hubert", AvHubertEncoder(**HUBERT), HUBERT)
        for split in ("train", "dev"):
            write_features(folder, split, ("ear", "eye"))
            write_features(folder, split, ("hubert", "hubert"))
    return folder


@pytest.fixture(autouse=True)
def home(root, monkeypatch):
    monkeypatch.setenv("AVLOC_HOME", str(root / "home"))


def train(root: Path, kind: str, folder: Path, overrides: dict | None = None, **options) -> Path:
    audio = "hubert" if kind.startswith("auvire") else "ear"
    source = FeatureFolder(str(root / "features"), "lavdf", str(root), {"audio": audio})
    with numbers_kept():
        return train_published(
            kind, source, work_dir=str(folder), overrides=SMALL[kind] | TRAIN | (overrides or {}), **options
        )


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory) -> dict[str, Path]:
    """Folders of finished runs of three epochs of three updates."""
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVLOC_HOME", str(root / "home"))
        for kind in KINDS:
            folders[kind] = tmp_path_factory.mktemp(kind)
            train(root, kind, folders[kind])
    return folders


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_says_where_it_comes_from_and_localizes(trained, kind):
    path = trained[kind] / "weights.safetensors"
    network, card, _ = load_weights(path)
    config, _ = read_header(path)
    assert type(network).__name__ == card.network == config["model"]["type"]
    expected = ["hubert", "hubert"] if kind.startswith("auvire") else ["ear", "eye"]
    assert [card.encoders[stream]["name"] for stream in ("audio", "visual")] == expected
    assert card.data[0]["n_recordings"] == 9 and card.commands[0].startswith(f"avloc train {kind} --features")
    length = f"--set {'model.max_length' if kind in PUBLISHED else 'train.n_frames'}={N_FRAMES}"
    assert "--set train.epochs=3" in card.commands[0] and length in card.commands[0]
    (figures,) = card.figures.values()
    rows = {row["iteration"]: row for row in lines(trained[kind] / "development.jsonl")}
    assert figures["AP@0.5"] == rows[figures["updates"]]["AP@0.5"]
    found = with_encoders(network, card)
    assert found.window_frames == (N_FRAMES if kind in PUBLISHED else 640) and set(found.inputs) == {
        "audio",
        "visual",
    }
    load_localizer(path)


def test_the_card_does_not_say_where_the_data_lie(root, tmp_path):
    source = FeatureFolder(
        str(root / "features"), str(root / "metadata.json"), str(root), {"audio": "hubert"}
    )
    small = SMALL["auvire_lavdf"] | TRAIN | {"train.epochs": 1}
    with numbers_kept():
        path = train_published("auvire_lavdf", source, work_dir=str(tmp_path), overrides=small)
    _, card, _ = load_weights(path)
    assert str(root) not in str(card) and "--data metadata.json" in card.commands[0]


@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_figures_are_told_and_counted(trained, kind):
    losses = lines(trained[kind] / "losses.jsonl")
    assert [row["iteration"] for row in losses] == list(range(1, 10))
    terms = [{name: value for name, value in row.items() if name.startswith("loss_")} for row in losses]
    assert all(row["rate"] == 1e-3 for row in losses) and all(
        (len(term) == 1) == (kind in PUBLISHED) and np.isclose(row["loss"], sum(term.values()))
        for row, term in zip(losses, terms, strict=True)
    )
    figures = lines(trained[kind] / "development.jsonl")
    assert [row["iteration"] for row in figures] == [3, 6, 9]
    assert {"AP@0.5", "AP@0.95", "AR@100", "AUC"} < set(figures[0])
    told = json.loads((trained[kind] / "families.json").read_text())
    assert told == {"iterations": 9, "families": {"audio": 12, "genuine": 15}}


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_by_validation_is_written_and_the_last_is_kept(trained, kind):
    rows = lines(trained[kind] / "development.jsonl")
    best = torch.load(trained[kind] / "best.pth", weights_only=True)
    wanted = max(rows, key=lambda row: row["AP@0.5"])  # the first of equal ones
    assert best["meta"]["iter"] == wanted["iteration"]
    for key, value in load_file(trained[kind] / "weights.safetensors").items():
        assert torch.equal(value, best["state_dict"][f"network.{key}"])
    names = sorted(file.name for file in trained[kind].glob("iter_*.pth"))
    assert names == ["iter_8.pth", "iter_9.pth"]
    assert torch.serialization.get_unsafe_globals_in_checkpoint(trained[kind] / "iter_9.pth") == []


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns(root, tmp_path, kind):
    train(root, kind, tmp_path, {"train.epochs": 12, "train.learning_rate": 3e-3}, plain=True)
    losses = [row["loss"] for row in lines(tmp_path / "losses.jsonl")]
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("plain", [True, False])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(root, trained, tmp_path, kind, plain):
    first = tmp_path / "first"
    train(root, kind, first, {"train.epochs": 2}, plain=not plain)
    for name in ("best.pth", "run.json", "iter_6.pth"):
        shutil.copy(first / name, tmp_path)
    (tmp_path / "last_checkpoint").write_text("/where/it/was/iter_6.pth")
    path = train(root, kind, tmp_path, resume=True, plain=plain)
    for key, value in load_file(trained[kind] / "weights.safetensors").items():
        # Adam divides by tiny numbers at the start.
        torch.testing.assert_close(load_file(path)[key], value, rtol=1e-3, atol=1e-4)
    for name in ("losses.jsonl", "development.jsonl"):
        again, whole = lines(tmp_path / name), lines(trained[kind] / name)
        assert [row["iteration"] for row in again] == [row["iteration"] for row in whole][-len(again) :]
    assert (tmp_path / "families.json").read_text() == (trained[kind] / "families.json").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_starts_from_other_weights(root, trained, tmp_path, kind):
    first = trained[kind] / "weights.safetensors"
    still = {"train.learning_rate": 1e-12, "train.epochs": 1}
    path = train(root, kind, tmp_path / "work", still, init=str(first))
    for (name, before), after in zip(load_file(first).items(), load_file(path).values(), strict=True):
        if "running_" not in name and "num_batches" not in name:
            torch.testing.assert_close(after, before, rtol=0, atol=1e-6, msg=name)
    card, before = load_weights(path)[1], load_weights(first)
    assert card.data[1:] == before[1].data
    assert f"sha256 {before[2]}" in str(card.limits)
    assert card.commands[0].endswith("--init weights.safetensors")
    with pytest.raises((ConfigError, CheckpointError), match="init_sha256 is .* there and None here"):
        train(root, kind, tmp_path / "work", still | {"train.epochs": 2}, resume=True)


def test_weights_of_another_network_or_size_are_no_start(root, trained, tmp_path):
    dimodif = str(trained["dimodif_lavdf"] / "weights.safetensors")
    with pytest.raises(
        CheckpointError, match="holds the network DiMoDif, and the configuration trains AuViRe"
    ):
        train(root, "auvire_lavdf", tmp_path / "one", init=dimodif)
    with pytest.raises(CheckpointError, match="has other sizes: .* there and .* in the configuration"):
        train(root, "dimodif_lavdf", tmp_path / "two", {"model.width": 24}, init=dimodif)
    with pytest.raises(CheckpointError, match="no weights are called 'nowhere'"):
        train(root, "dimodif_lavdf", tmp_path / "three", init="nowhere")


def test_features_of_other_encoders_than_those_of_the_start_are_named(root, trained, tmp_path, caplog):
    first = trained["auvire_lavdf"] / "weights.safetensors"
    network, card, _ = load_weights(first)
    encoders = {stream: told | {"sha256": "0" * 64} for stream, told in card.encoders.items()}
    other = tmp_path / "other.safetensors"
    save_weights(other, network, config=read_header(first)[0], card=replace(card, encoders=encoders))
    train(root, "auvire_lavdf", tmp_path / "work", {"train.epochs": 1}, init=str(other))
    assert "reads the audio features of 'hubert', and those here are of 'hubert', another file" in caplog.text


def test_a_training_is_not_written_over(root, trained, tmp_path):
    folder = shutil.copytree(trained["auvire_lavdf"], tmp_path / "copy")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(CheckpointError, match="holds a training, iter_9.pth.* --resume, or name another"):
        train(root, "auvire_lavdf", folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("plain", [True, False])
def test_a_training_is_resumed_with_what_it_was_begun_with(root, trained, tmp_path, plain):
    """Batches, rates and figures of other settings would be mixed with those of the first."""
    folder = shutil.copytree(trained["auvire_lavdf"], tmp_path / "copy")
    for other, told in [
        ({"train.batch_size": 2}, "train.batch_size is 4 there and 2 here"),
        ({"train.learning_rate": 0.5}, "train.learning_rate is 0.001 there and 0.5 here"),
        ({"train.protocol": "av1m"}, "train.protocol is 'lavdf' there and 'av1m' here"),
        ({"decoding.published.clamps_to_window": True}, "clamps_to_window is False there and True here"),
        ({"train.epochs": 1}, "iter_9.pth. is of 9 updates, and the training is to end after 3; make it"),
    ]:
        with pytest.raises((ConfigError, CheckpointError), match=told):
            train(root, "auvire_lavdf", folder, other, plain=plain, resume=True)
    longer = {"train.epochs": 4, "train.log_every": 3, "train.stop_after": 20}
    train(root, "auvire_lavdf", folder, longer, plain=plain, resume=True)
    assert [row["iteration"] for row in lines(folder / "development.jsonl")] == [3, 6, 9, 12]
    (folder / "run.json").write_text("[")
    with pytest.raises(CheckpointError, match="run.json': expected what the training was begun with"):
        train(root, "auvire_lavdf", folder, {"train.epochs": 5}, plain=plain, resume=True)


def test_a_training_is_not_resumed_on_other_recordings(copied, tmp_path):
    for split in ("train", "dev"):
        write_features(copied, split, ("hubert", "hubert"))
    train(copied, "auvire_lavdf", tmp_path / "work", {"train.epochs": 1})
    rows = copied / "features" / "runs" / "train-hubert" / "shard-1-of-1.jsonl"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ConfigError, match="train_split.n_recordings is 9 there and 8 here, .*sha256"):
        train(copied, "auvire_lavdf", tmp_path / "work", {"train.epochs": 2}, resume=True)


def test_the_best_weights_belong_beside_the_checkpoints(root, trained, tmp_path):
    shutil.copy(trained["auvire_lavdf"] / "iter_8.pth", tmp_path)
    (tmp_path / "last_checkpoint").write_text("iter_8.pth")
    with pytest.raises(CheckpointError, match="best.pth belongs beside the checkpoint 'iter_8.pth'"):
        train(root, "auvire_lavdf", tmp_path, resume=True)


def test_avloc_is_trained_by_one_process(root, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="2 processes, but HierarchicalLocalizer is trained by one"):
        train(root, "avloc_lavdf", tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train.modality_dropout": 1.5}, "train.modality_dropout must be from 0 to 1, got 1.5"),
        ({"train.n_frames": 0}, "train.n_frames must be at least 1, got 0"),
        ({"train.losses": {"scores": 1.0}}, "did you mean 'score'"),
    ],
)
def test_settings_of_avloc_that_cannot_work_are_refused(root, tmp_path, wrong, message):
    with pytest.raises(ConfigError, match=message):
        train(root, "avloc_lavdf", tmp_path, wrong)


def test_a_file_without_a_key_of_avloc_is_refused(root, tmp_path):
    values = load_config("avloc_lavdf", overrides=TRAIN | SMALL["avloc_lavdf"])
    del values["train"]["n_frames"], values["train"]["losses"]["low_pass"]
    config, source = tmp_path / "own.py", FeatureFolder(str(root / "features"), "lavdf", str(root))
    config.write_text("".join(f"{key} = {value!r}\n" for key, value in values.items()))
    with numbers_kept(), pytest.raises(ConfigError, match="lacks the keys .'n_frames'. of train"):
        train_published(str(config), source, work_dir=str(tmp_path / "work"))
    values["train"]["n_frames"] = 8
    config.write_text("".join(f"{key} = {value!r}\n" for key, value in values.items()))
    with numbers_kept(), pytest.raises(ConfigError, match="lacks the keys .'low_pass'. of train.losses"):
        train_published(str(config), source, work_dir=str(tmp_path / "work"))


ABLATIONS = {
    "no alignment": {"model.alignment.max_lag": 0, "model.alignment.reach": 0},
    "no discrepancy map": {"model.discrepancy": None},
    "no pyramid": {"model.pyramid.n_levels": 1},
    "no targets of frames": {"train.losses.inside": 0.0, "train.losses.boundary": 0.0},
    "low-pass prior": {"train.losses.low_pass": 10.0},
    "everything dropped": {"train.modality_dropout": 1.0},
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_parts_of_avloc_are_left_out_by_the_configuration(root, tmp_path, name):
    path = train(root, "avloc_lavdf", tmp_path, {"train.epochs": 1} | ABLATIONS[name], plain=True)
    (first, *_) = lines(tmp_path / "losses.jsonl")
    assert ("loss_low_pass" in first) == (name == "low-pass prior")
    assert ("loss_discrepancy" in first) == (name != "no discrepancy map")
    network, card, _ = load_weights(path)
    assert with_encoders(network, card).inputs["audio"] == ("waveform",)


def test_late_recordings_are_left_out_where_that_is_asked_for(root, tmp_path):
    """A window of 20 frames ends at 0.8 s, where the segments do."""
    late = {"model.max_length": 20, "train.epochs": 1, "train.drops_late": True}
    _, card, _ = load_weights(train(root, "dimodif_lavdf", tmp_path, late))
    assert card.data[0]["n_recordings"] == 5
    assert json.loads((tmp_path / "families.json").read_text())["families"] == {"genuine": 5}


@pytest.mark.parametrize("plain", [True, False])
def test_a_run_ends_where_nothing_gets_better(root, tmp_path, plain):
    """Without learning every validation is the first one again."""
    still = {"train.learning_rate": 0.0, "train.epochs": 9, "train.stop_after": 2, "train.patience": 0}
    train(root, "auvire_lavdf", tmp_path, still, plain=plain)
    assert [row["iteration"] for row in lines(tmp_path / "development.jsonl")] == [3, 6, 9]
    assert torch.load(tmp_path / "best.pth", weights_only=True)["meta"]["iter"] == 3
    checkpoint = torch.load(tmp_path / "iter_9.pth", weights_only=True)
    assert checkpoint["meta"]["plateau"]["n_since"] == 2 and checkpoint["meta"]["plateau"]["n_drops"] == 2
    again = train(root, "auvire_lavdf", tmp_path, still, plain=plain, resume=True)
    assert len(lines(tmp_path / "losses.jsonl")) == 9 and again.exists()  # it is over


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train.epohcs": 3}, "did you mean 'epochs'"),
        ({"model.widht": 3}, "did you mean 'width'"),
        ({"train.protocol": "lavd"}, "did you mean 'lavdf'"),
        ({"train.learning_rate": -1.0}, "train.learning_rate must be at least 0, got -1.0"),
        ({"train.alpha": 2.0}, "train.alpha must be from 0 to 1, got 2.0"),
        ({"train.rate_factor": 3.0}, "train.rate_factor must be from 0 to 1, got 3.0"),
        ({"train.workers": -1}, "train.workers must be at least 0"),
        ({"train.betas": [0.9, 1.0]}, "train.betas must be from 0 to below 1"),
        ({"train.clip_norm": 0.0}, "train.clip_norm must be None or above 0"),
        ({"train.monitor": []}, "train.monitor is empty"),
        ({"train.train_split": "testA"}, "train.train_split must be no test split"),
        ({"train.validation_split": "test"}, "neither what is trained on nor a test split, got 'test'"),
        ({"train.validation_split": "train"}, "neither what is trained on"),
        ({"train.batch_size": 0}, "train.batch_size must be at least 1, got 0"),
        ({"model.n_heads": 3}, "no network can be built of the key 'model'"),
        ({"model.task": "dfd"}, "model.task must be 'tfl'"),
    ],
)
def test_settings_that_cannot_work_are_refused(root, tmp_path, wrong, message):
    with pytest.raises(ConfigError, match=message):
        train(root, "dimodif_lavdf", tmp_path, wrong)


def test_a_figure_that_cannot_choose_is_refused_before_the_first_update(root, tmp_path):
    with pytest.raises(ConfigError, match="'AP@0.4' is not measured; there are .'AP@0.5'"):
        train(root, "dimodif_lavdf", tmp_path, {"train.monitor": ["AP@0.5", "AP@0.4"]})
    assert not (tmp_path / "losses.jsonl").exists()


def test_a_typing_error_in_a_file_is_refused(root, tmp_path):
    config = tmp_path / "own.py"
    values = load_config("auvire_lavdf", overrides=TRAIN | SMALL["auvire_lavdf"])
    values["train"]["epohcs"] = 3
    config.write_text("".join(f"{key} = {value!r}\n" for key, value in values.items()))
    source = FeatureFolder(str(root / "features"), "lavdf", str(root), {"audio": "hubert"})
    with (
        numbers_kept(),
        pytest.raises(ConfigError, match="'train.epohcs'; did you mean 'epochs'"),
    ):
        train_published(str(config), source, work_dir=str(tmp_path / "work"))


def test_a_network_that_learns_from_media_is_refused(root, tmp_path):
    source = FeatureFolder(str(root / "features"), "lavdf", str(root), {"audio": "hubert"})
    with (
        numbers_kept(),
        pytest.raises(ConfigError, match="HierarchicalLocalizer does not learn"),
    ):
        train_published("default", source, work_dir=str(tmp_path))


def test_features_of_several_encoders_are_not_mixed(root, tmp_path):
    source = FeatureFolder(str(root / "features"), "lavdf", str(root))
    with numbers_kept(), pytest.raises(ConfigError, match="differ in encoders"):
        train_published("auvire_lavdf", source, work_dir=str(tmp_path))


@pytest.fixture
def copied(root, tmp_path) -> Path:
    """The truth and the encoders without features."""
    folder = tmp_path / "copied"
    shutil.copytree(root, folder, ignore=shutil.ignore_patterns("features"))
    return folder


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"channels": 20}, ConfigError, "audio features of 'ear' have 20 channels; DiMoDif reads 768"),
        ({"streams": ("audio",)}, ConfigError, "lacks visual features; DiMoDif reads both"),
    ],
)
def test_features_that_the_network_does_not_read_are_refused(copied, tmp_path, options, error, message):
    for split in ("train", "dev"):
        write_features(copied, split, ("ear", "eye"), **options)
    with pytest.raises(error, match=message):
        train(copied, "dimodif_lavdf", tmp_path / "work")


def test_there_must_be_a_recording_to_train_on(copied, tmp_path):
    for split in ("train", "dev"):
        write_features(copied, split, ("ear", "eye"))
    (copied / "features" / "runs" / "train-ear" / "shard-1-of-1.jsonl").write_text("")
    with pytest.raises(ConfigError, match="no recording of the training split has features"):
        train(copied, "dimodif_lavdf", tmp_path / "work")


def test_the_network_can_be_as_wide_as_other_features(copied, tmp_path):
    for split in ("train", "dev"):
        write_features(copied, split, ("ear", "eye"), channels=20)
    path = train(copied, "dimodif_lavdf", tmp_path, {"model.feature_channels": 20, "train.epochs": 1})
    assert load_weights(path)[0].feature_channels == 20
    with pytest.raises(ConfigError, match="AuViRe reads 768; .*, or set model.feature_channels to 20"):
        source = FeatureFolder(str(copied / "features"), "lavdf", str(copied))
        train_published("auvire_lavdf", source, work_dir=str(tmp_path / "a"), overrides=SMALL["auvire_lavdf"])
    with pytest.raises(ConfigError, match="or set model.audio_encoder.out_channels to 20"):
        train(copied, "avloc_lavdf", tmp_path / "b")


def test_splits_that_were_extracted_otherwise_are_refused(copied, tmp_path):
    write_features(copied, "train", ("ear", "eye"))
    write_features(copied, "dev", ("ear", "eye"), settings={"dtype": "float32"})
    with pytest.raises(ConfigError, match="settings of the two splits differ"):
        train(copied, "dimodif_lavdf", tmp_path / "work")


def test_of_features_with_other_settings_a_run_of_each_split_is_chosen(copied, tmp_path):
    for split in ("train", "dev"):
        write_features(copied, split, ("ear", "eye"))
        (copied / "features" / "runs" / f"{split}-ear").rename(copied / "features" / "runs" / f"{split}-half")
        write_features(copied, split, ("ear", "eye"), settings={"dtype": "float32"})
    small = SMALL["dimodif_lavdf"] | TRAIN | {"train.epochs": 1}
    for names, message in (((), "differ in settings"), (("train-half",), "no such features .*'dev'")):
        source = FeatureFolder(str(copied / "features"), "lavdf", str(copied), run=names)
        with numbers_kept(), pytest.raises(ConfigError, match=message):
            train_published("dimodif_lavdf", source, work_dir=str(tmp_path / "w"), overrides=small)
    source = FeatureFolder(str(copied / "features"), "lavdf", str(copied), run=("train-half", "dev-half"))
    with numbers_kept():
        train_published("dimodif_lavdf", source, work_dir=str(tmp_path / "w"), overrides=small)
    told = json.loads((tmp_path / "w" / "run.json").read_text())
    assert told["train_split"]["settings"] == told["validation_split"]["settings"] == {"dtype": "float16"}


def test_an_encoder_that_is_another_one_or_away_is_refused(copied, tmp_path, monkeypatch):
    for split in ("train", "dev"):
        write_features(copied, split, ("ear", "eye"))
    monkeypatch.setenv("AVLOC_HOME", str(copied / "home"))
    with torch.random.fork_rng(devices=[]):
        write_encoder(copied / "home", "ear", AutoAvsrAudioEncoder(**CONFORMER), CONFORMER, seed=1)
    with pytest.raises(CheckpointError, match="audio encoder 'ear' is another file than the one that made"):
        train(copied, "dimodif_lavdf", tmp_path / "work")
    (copied / "home" / "weights" / "ear.safetensors").unlink()
    with pytest.raises(CheckpointError, match="by the audio encoder 'ear', which is not here; import"):
        train(copied, "dimodif_lavdf", tmp_path / "work")


def test_there_must_be_a_checkpoint_to_resume(root, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint to resume"):
        train(root, "auvire_lavdf", tmp_path, resume=True)


def test_several_processes_need_the_runner(root, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="torchrun started 2 processes, but the plain loop trains in one"):
        train(root, "auvire_lavdf", tmp_path, plain=True)


@pytest.mark.slow
def test_two_processes_train_what_one_does_and_write_once(root, trained, tmp_path):
    """The last batch of an epoch has a row for the first of them alone."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    given = ["--features", root / "features", "--data", "lavdf", "--root", root, "--work-dir", tmp_path]
    given += ["--encoders", "audio=ear", "--device", "cpu"]
    for key, value in (SMALL["dimodif_lavdf"] | TRAIN).items():
        given += ["--set", f"{key}={value}"]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    common |= {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "avloc", "train", "dimodif_lavdf", *map(str, given)],
            env=os.environ | common | {"RANK": str(i), "LOCAL_RANK": str(i)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(2)
    ]
    try:
        told = [process.communicate(timeout=240)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], "\n".join(told)[-4000:]
    assert sum("best of 9 updates" in text for text in told) == 1
    alone = trained["dimodif_lavdf"]
    one, two = (torch.load(folder / "iter_9.pth", weights_only=True) for folder in (alone, tmp_path))
    for key, value in one["state_dict"].items():
        # Nine updates of 1e-3. Sums of rows have another order, and Adam makes steps of what should be zero.
        torch.testing.assert_close(two["state_dict"][key], value, rtol=1e-3, atol=2e-4)
    for name in ("losses.jsonl", "development.jsonl"):
        iterations = [[row["iteration"] for row in lines(folder / name)] for folder in (alone, tmp_path)]
        assert iterations[0] == iterations[1]
    assert (tmp_path / "families.json").read_text() == (alone / "families.json").read_text()
    assert load_weights(tmp_path / "weights.safetensors")[1].encoders["audio"]["name"] == "ear"
