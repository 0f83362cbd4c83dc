"""Weights files: there and back, and a refusal that names what is wrong for everything else."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from avloc.errors import CheckpointError, ConfigError
from avloc.models.encoders.compact import CompactVisualEncoder
from avloc.models.hierarchical import HierarchicalLocalizer, build_network
from avloc.models.weights.card import unmeasured_card
from avloc.models.weights.store import file_sha256, load_weights, read_header, save_weights

CONFIG = {
    "model": {
        "type": HierarchicalLocalizer,
        "audio_encoder": None,
        "visual_encoder": {"type": CompactVisualEncoder, "width": 4, "out_channels": 8, "n_blocks": 1},
        "pyramid": {"channels": 8, "n_levels": 2, "n_stem_blocks": 1, "n_heads": 2},
        "head": {"n_head_layers": 1},
    },
    "decoding": {"sigma": 0.5},
    "train": {"seed": 3},
}
CARD = unmeasured_card("probe")


@pytest.fixture()
def network() -> torch.nn.Module:
    network = build_network(CONFIG["model"])
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


@pytest.fixture()
def saved(network: torch.nn.Module, tmp_path: Path) -> Path:
    save_weights(tmp_path / "w.safetensors", network, config=CONFIG, card=CARD)
    return tmp_path / "w.safetensors"


def _metadata(path: Path) -> dict[str, str]:
    config, card = read_header(path)
    return {"config": json.dumps(config), "card": json.dumps(card.to_dict())}


def _rewrite(path: Path, *, tensors: dict | None = None, **metadata: str | None) -> Path:
    merged = {key: value for key, value in (_metadata(path) | metadata).items() if value is not None}
    save_file(load_file(path) if tensors is None else tensors, path, metadata=merged)
    return path


def test_a_network_comes_back_within_half_precision(network, saved):
    loaded, card, sha256 = load_weights(saved)
    assert not loaded.training
    assert card == CARD
    assert sha256 == hashlib.sha256(saved.read_bytes()).hexdigest() == file_sha256(saved)
    for key, value in network.state_dict().items():
        got = loaded.state_dict()[key]
        assert got.dtype == value.dtype
        # Half precision has 11 bits; the values are below 1, and the smallest steps are 6e-8.
        assert torch.allclose(got.double(), value.double(), rtol=2**-11, atol=6e-8), key


def test_the_loaded_network_answers_as_the_saved_one(network, saved):
    loaded, _, _ = load_weights(str(saved))
    mouth = torch.randn(1, 32, 96, 96, generator=torch.Generator().manual_seed(2))
    mask = torch.ones(1, 32, dtype=torch.bool)
    with torch.inference_mode():
        expected, got = (n(visual=(mouth,), visual_mask=mask).inside_logits for n in (network, loaded))
    # 1e-2: logits after weights rounded to half precision.
    assert torch.allclose(got, expected, atol=1e-2)


def test_matrices_are_half_precision_and_vectors_are_not(saved):
    kinds = {value.dtype for value in load_file(saved).values() if value.ndim >= 2 and min(value.shape) > 1}
    assert kinds == {torch.float16}
    assert load_file(saved)["visual_encoder.first_norm.running_var"].dtype == torch.float32


def test_saving_twice_gives_the_same_bytes_and_loading_and_saving_too(network, saved, tmp_path):
    again = save_weights(tmp_path / "again.safetensors", network, config=CONFIG, card=CARD.to_dict())
    assert again == file_sha256(saved)
    loaded, card, _ = load_weights(saved)
    config, _ = read_header(saved)
    assert save_weights(tmp_path / "third.safetensors", loaded, config=config, card=card) == again
    assert sorted(os.listdir(tmp_path)) == ["again.safetensors", "third.safetensors", "w.safetensors"]


def test_the_header_holds_the_whole_configuration_with_names(saved):
    config, card = read_header(saved)
    assert config["model"]["type"] == "HierarchicalLocalizer"
    assert config["model"]["visual_encoder"]["type"] == "CompactVisualEncoder"
    assert config["decoding"] == {"sigma": 0.5}
    assert card == CARD


def test_a_name_in_the_users_folder_loads(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("AVLOC_HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    saved.rename(tmp_path / "weights" / "mine.safetensors")
    assert load_weights("mine")[1] == CARD


def test_loading_leaves_the_random_state_alone(saved):
    before = torch.get_rng_state()
    load_weights(saved)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_saving_what_half_precision_cannot_hold_is_refused(value, network, tmp_path):
    with torch.no_grad():
        network.fuse_visual.weight[0, 0] = value
    with pytest.raises(
        CheckpointError, match="'fuse_visual.weight' holds NaN, infinity or a value beyond float16"
    ):
        save_weights(tmp_path / "w.safetensors", network, config=CONFIG, card=CARD)
    assert not list(tmp_path.iterdir())


def test_saving_a_configuration_with_a_stranger_is_refused(network, tmp_path):
    with pytest.raises(ConfigError, match="model.type: object is not registered"):
        save_weights(tmp_path / "w.safetensors", network, config={"model": {"type": object}}, card=CARD)


def _changed(path: Path, **changes: object) -> Path:
    tensors = load_file(path)
    for key, value in changes.items():
        key = key.replace("__", ".")
        if value is None:
            del tensors[key]
        else:
            tensors[key] = value(tensors[key]) if callable(value) else value
    return _rewrite(path, tensors=tensors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fuse_visual__bias": None}, "lacks 1 of the network's entries, first 'fuse_visual.bias'"),
        ({"extra": torch.ones(2)}, "has 1 entries too many, first 'extra'"),
        ({"fuse_visual__bias": torch.ones(9)}, r"'fuse_visual.bias' must have shape \(8,\), got \(9,\)"),
        ({"fuse_visual__bias": lambda x: x * float("nan")}, "'fuse_visual.bias' holds NaN or infinity"),
        ({"fuse_visual__bias": lambda x: x / 0}, "'fuse_visual.bias' holds NaN or infinity"),
        (
            {"fuse_visual__bias": lambda x: x.long()},
            r"must have one of the types \('F32', 'F16'\), got 'I64'",
        ),
        ({"fuse_visual__bias": lambda x: x.double()}, "got 'F64'"),
        ({"visual_encoder__first_norm__num_batches_tracked": torch.tensor(0.5)}, "got 'F32'"),
    ],
)
def test_entries_that_do_not_fit_are_named(changes, message, saved):
    with pytest.raises(CheckpointError, match=rf"w\.safetensors': .*{message}"):
        load_weights(_changed(saved, **changes))


def _model(**changes: object) -> str:
    plain = json.loads(json.dumps(CONFIG, default=lambda cls: cls.__name__))
    plain["model"] |= changes
    return json.dumps(plain)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "has no 'config' in its metadata; it is no weights file of avloc"),
        ("", "its config is not JSON"),
        ("[1]", "it is a list, expected a mapping"),
        ("{}", r"must have the mappings \('model', 'decoding', 'train'\), got \[\]"),
        ('{"model": 3}', "must have the mappings"),
        ('{"model": {"type": "A"}, "hooks": {}}', "must have the mappings"),
        ('{"model": {"type": "A", "x": NaN}}', "NaN is no JSON number"),
        ("[" * 100_000, "its config is not JSON"),
        ('{"a": "' + "x" * 1_000_001 + '"}', "at most 1000000 are read"),
        (_model(type="subprocess.getoutput"), "no network is registered as 'subprocess.getoutput'"),
        (_model(type=None), "does not build a network"),
        (_model(type=["x"]), "does not build a network"),
        (_model(visual_encoder={"type": "os.system"}), "no encoder is registered as 'os.system'"),
        (
            _model(visual_encoder={"type": "CompactVisualEncoder", "widht": 4}),
            "takes no 'widht'; did you mean",
        ),
        (
            _model(visual_encoder={"type": "CompactVisualEncoder", "width": 10**9}),
            "a size of 1000000000; at most 16384",
        ),
        (_model(visual_encoder={"type": "CompactVisualEncoder", "width": "4"}), "does not build a network"),
        (_model(visual_encoder={"type": "CompactVisualEncoder", "width": -4}), "does not build a network"),
        (_model(pyramid={"chanels": 8}), "does not build a network"),
        (_model(pyramid=None), "does not build a network"),
        (_model(pyramid={"channels": 0}), "does not build a network|must have shape|lacks"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(config, message, saved):
    with pytest.raises(CheckpointError, match=rf"w\.safetensors': .*({message})"):
        load_weights(_rewrite(saved, config=config))


def test_a_claimed_giant_is_refused_before_it_takes_memory(saved):
    import resource

    giant = _model(
        visual_encoder={"type": "CompactVisualEncoder", "width": 16_000, "out_channels": 8, "n_blocks": 1}
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match="must have shape"):
        load_weights(_rewrite(saved, config=giant))
    # Its weights would take tens of gigabytes; 200 MB leave room for what the process loads anyway.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # in KiB


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (None, "has no 'card'"),
        ("{}", r"card: lacks the keys"),
        ('{"evil": 1}', r"card: unknown keys \['evil'\]"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(card, message, saved):
    with pytest.raises(CheckpointError, match=rf"w\.safetensors': {message}"):
        read_header(_rewrite(saved, card=card))


def test_a_pickle_is_refused_and_does_not_run(tmp_path):
    class Runs:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    for new in (True, False):
        torch.save({"a": Runs()}, tmp_path / "w.safetensors", _use_new_zipfile_serialization=new)
        with pytest.raises(CheckpointError, match="may hold a pickle that runs code; give safetensors"):
            load_weights(tmp_path / "w.safetensors")
    assert not (tmp_path / "ran").exists()


def test_garbage_and_cut_files_are_refused(saved):
    content = saved.read_bytes()
    rng = np.random.default_rng(4)
    cuts = [content[:n] for n in (0, 1, 7, 8, 100, len(content) // 2, len(content) - 1)]
    huge = (2**62).to_bytes(8, "little") + content[8:]
    for changed in (*cuts, huge, rng.bytes(5000), content + b"x"):
        saved.write_bytes(changed)
        with pytest.raises(CheckpointError, match=r"w\.safetensors': is not a safetensors file"):
            load_weights(saved)


def test_changed_bytes_of_the_header_never_end_in_anything_but_a_refusal(saved):
    content = saved.read_bytes()
    rng = np.random.default_rng(5)
    length = int.from_bytes(content[:8], "little")
    refused = 0
    for _ in range(40):
        changed = bytearray(content)
        for place in rng.integers(8, 8 + length, 3):
            changed[place] = int(rng.integers(32, 127))
        saved.write_bytes(changed)
        try:
            load_weights(saved)
        except CheckpointError:
            refused += 1
    assert refused > 20


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no such weights file"):
        load_weights(tmp_path)
