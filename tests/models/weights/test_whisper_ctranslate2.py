"""CTranslate2's ``model.bin``: what it holds comes out, and hostile bytes end in a refusal, nothing else."""

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from avloc.errors import CheckpointError
from avloc.models.weights.whisper_ctranslate2 import read_whisper_ctranslate2

HEADER = 4 + 2 + 12 + 4  # version, "WhisperSpec" with its length, revision; the number of variables follows


def _file(folder: Path, content: bytes) -> Path:
    (folder / "model.bin").write_bytes(content)
    return folder / "model.bin"


@pytest.fixture()
def variables(whisper_files):
    return whisper_files.variables(whisper_files.small_state())


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_every_entry_comes_back_under_its_published_name(whisper_files, variables, dtype, tmp_path):
    _file(tmp_path, whisper_files.ctranslate2({name: v.astype(dtype) for name, v in variables.items()}))
    state, expected = read_whisper_ctranslate2(tmp_path), whisper_files.small_state()
    assert state.keys() == expected.keys()
    for key, value in state.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, torch.from_numpy(expected[key].numpy().astype(dtype)).float()), key


def test_an_alias_stands_for_its_variable(whisper_files, variables, tmp_path):
    kept = {name: v for name, v in variables.items() if name != "encoder/conv2/bias"}
    path = _file(tmp_path, whisper_files.ctranslate2(kept, {"encoder/conv2/bias": "encoder/conv1/bias"}))
    state = read_whisper_ctranslate2(path)
    assert torch.equal(state["encoder.conv2.bias"], state["encoder.conv1.bias"])


def test_a_file_cut_anywhere_is_refused(whisper_files, variables, tmp_path):
    content = whisper_files.ctranslate2(variables)
    rng = np.random.default_rng(1)
    for n in [0, 1, 3, 5, 6, HEADER, len(content) - 1, *rng.integers(0, len(content), 60)]:
        path = _file(tmp_path, content[: int(n)])
        with pytest.raises(CheckpointError, match=r"model\.bin': .* (left|variables)"):
            read_whisper_ctranslate2(path)


def test_flipped_bytes_are_refused_or_read_but_never_a_traceback(whisper_files, variables, tmp_path):
    content = whisper_files.ctranslate2(variables)
    rng = np.random.default_rng(2)
    refused = 0
    for _ in range(150):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), 40):
            changed[place] = int(rng.integers(256))
        for place in rng.integers(0, 120, 1):
            changed[place] = int(rng.integers(256))
        try:
            read_whisper_ctranslate2(_file(tmp_path, bytes(changed)))
        except CheckpointError as error:
            refused += 1
            assert "model.bin" in str(error)
    assert refused > 50


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "starts with the number 1196314761"),
        (
            struct.pack("<I", 6) + b"\x05\x00Spec\0" + bytes(20),
            "holds a 'Spec' model, expected 'WhisperSpec'",
        ),
        (struct.pack("<I", 6) + b"\xff\xff" + bytes(99999), "must have 1 to 1000 bytes, got 65535"),
        (struct.pack("<I", 6) + b"\x03\x00\xff\xfe\x00" + bytes(20), "is not ASCII text"),
    ],
)
def test_other_files_are_refused_by_what_is_wrong(content, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        read_whisper_ctranslate2(_file(tmp_path, content))


def _with_variable(whisper_files, *, count: int = 1, body: bytes) -> bytes:
    head = struct.pack("<I", 6) + whisper_files.name("WhisperSpec") + struct.pack("<II", 3, count)
    return head + whisper_files.name("encoder/conv1/weight") + body


@pytest.mark.parametrize(
    ("count", "body", "message"),
    [
        (4_000_000_000, b"", "promises 4000000000 variables"),
        (1, b"\xff" + bytes(2000), "at most 8 dimensions, got 255"),
        (
            1,
            struct.pack("<B3IBI", 3, 2**31, 2**31, 2**31, 0, 4),
            r"has 39614081257132168796771975168 bytes, not 4",
        ),
        (1, struct.pack("<BIBI", 1, 2**30 - 1, 0, 2**32 - 4), "but only 0 are left"),
        (1, struct.pack("<BIBI", 1, 1, 77, 4) + bytes(4), "has the type number 77"),
    ],
)
def test_sizes_that_the_file_only_claims_allocate_nothing(whisper_files, count, body, message, tmp_path):
    path = _file(tmp_path, _with_variable(whisper_files, count=count, body=body))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=message):
            read_whisper_ctranslate2(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_missing_variable_is_named(whisper_files, variables, tmp_path):
    del variables["encoder/layer_1/ffn/linear_1/weight"]
    with pytest.raises(CheckpointError, match="lacks the variable 'encoder/layer_1/ffn/linear_1/weight'"):
        read_whisper_ctranslate2(_file(tmp_path, whisper_files.ctranslate2(variables)))


def test_a_quantised_file_is_refused_with_what_to_do(whisper_files, variables, tmp_path):
    name = "encoder/layer_0/ffn/linear_0/weight"
    variables[name] = (variables[name] * 100).astype(np.int8)
    with pytest.raises(CheckpointError, match="quantised to int8; convert the model to float16"):
        read_whisper_ctranslate2(_file(tmp_path, whisper_files.ctranslate2(variables)))


def test_nan_is_refused(whisper_files, variables, tmp_path):
    variables["encoder/conv1/bias"] = np.full_like(variables["encoder/conv1/bias"], np.nan)
    with pytest.raises(CheckpointError, match="'encoder/conv1/bias' holds NaN or infinity"):
        read_whisper_ctranslate2(_file(tmp_path, whisper_files.ctranslate2(variables)))


def test_a_scalar_where_a_matrix_belongs_is_refused(whisper_files, variables, tmp_path):
    variables["encoder/layer_norm/gamma"] = np.ones((2, 2, 2), np.float32)
    with pytest.raises(CheckpointError, match=r"must have 1 dimensions, got the shape \(2, 2, 2\)"):
        read_whisper_ctranslate2(_file(tmp_path, whisper_files.ctranslate2(variables)))


def test_attention_that_does_not_stack_three_matrices_is_refused(whisper_files, variables, tmp_path):
    name = "encoder/layer_0/self_attention/linear_0/weight"
    variables[name] = variables[name][:-1].copy()
    with pytest.raises(CheckpointError, match="must stack query, key and value"):
        read_whisper_ctranslate2(_file(tmp_path, whisper_files.ctranslate2(variables)))


def test_an_alias_of_nothing_is_refused(whisper_files, variables, tmp_path):
    path = _file(tmp_path, whisper_files.ctranslate2(variables, {"a": "nowhere"}))
    with pytest.raises(CheckpointError, match="the alias 'a' stands for 'nowhere'"):
        read_whisper_ctranslate2(path)


def test_too_many_aliases_are_refused(whisper_files, variables, tmp_path):
    content = bytearray(whisper_files.ctranslate2(variables))
    content[-4:] = struct.pack("<I", 2**32 - 1)
    with pytest.raises(CheckpointError, match="promises 4294967295 aliases"):
        read_whisper_ctranslate2(_file(tmp_path, bytes(content)))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing\.bin': cannot be read: No such file"):
        read_whisper_ctranslate2(tmp_path / "nothing.bin")
