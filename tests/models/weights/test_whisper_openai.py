"""OpenAI's checkpoints: tensors come out, everything else in the file is refused and never run."""

import os
import zipfile
from pathlib import Path

import pytest
import torch

from avloc.errors import CheckpointError
from avloc.models.weights.whisper_openai import read_whisper_openai


class _Runs:
    """What a hostile pickle does: it runs a command when it is loaded."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def _save(content: object, folder: Path) -> Path:
    torch.save(content, folder / "tiny.pt")
    return folder / "tiny.pt"


def test_only_the_encoder_comes_back_as_float32(whisper_files, tmp_path):
    expected = whisper_files.small_state()
    state = {key: value.half() for key, value in expected.items()} | {"decoder.ln.weight": torch.ones(2)}
    got = read_whisper_openai(_save({"dims": {"n_mels": 80}, "model_state_dict": state}, tmp_path))
    assert got.keys() == expected.keys()
    for key, value in got.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, expected[key].half().float())


def test_a_plain_state_dict_is_read_too(whisper_files, tmp_path):
    expected = whisper_files.small_state()
    assert read_whisper_openai(_save(expected, tmp_path)).keys() == expected.keys()


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    witness = tmp_path / "ran"
    path = _save({"model_state_dict": {"encoder.a": _Runs(f"touch {witness}")}}, tmp_path)
    with pytest.raises(
        CheckpointError, match=r"tiny\.pt': holds something other than tensors and was refused"
    ):
        read_whisper_openai(path)
    assert not witness.exists()


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, b"PK\x03\x04" + bytes(500)])
def test_garbage_is_refused(content, tmp_path):
    (tmp_path / "tiny.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tiny\.pt': is not a zip archive as torch\.save writes it"):
        read_whisper_openai(tmp_path / "tiny.pt")


def test_an_archive_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "tiny.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match=r"tiny\.pt': is not a checkpoint that torch can read"):
        read_whisper_openai(tmp_path / "tiny.pt")


def test_an_archive_that_would_grow_is_refused(whisper_files, tmp_path):
    plain = _save(whisper_files.small_state(), tmp_path)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(tmp_path / "b.pt", "w") as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry), compress_type=zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="is compressed, which torch.save never does"):
        read_whisper_openai(tmp_path / "b.pt")


def test_a_cut_file_is_refused(whisper_files, tmp_path):
    path = _save(whisper_files.small_state(), tmp_path)
    content = path.read_bytes()
    for part in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(content[: int(part * len(content))])
        with pytest.raises(CheckpointError, match=r"tiny\.pt'"):
            read_whisper_openai(path)


def test_a_huge_tensor_on_a_few_bytes_is_refused(tmp_path):
    path = _save({"encoder.conv1.weight": torch.zeros(1).expand(1_000_000, 1_000_000)}, tmp_path)
    with pytest.raises(CheckpointError, match="claims 4000000000000 bytes of tensors"):
        read_whisper_openai(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(2)], "holds a list, expected a mapping"),
        (
            {"weights": {}},
            r"has no entries 'encoder\.\*' in 'model_state_dict'; its keys begin \['weights'\]",
        ),
        ({"model_state_dict": 3}, r"has no entries 'encoder\.\*'"),
        ({"encoder.a": "text"}, "'encoder.a' must be a tensor of floating-point numbers"),
        ({"encoder.a": torch.tensor([1.0, float("inf")])}, "'encoder.a' holds NaN or infinity"),
    ],
)
def test_content_that_is_no_encoder_is_named(content, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        read_whisper_openai(_save(content, tmp_path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing\.pt': cannot be read: No such file"):
        read_whisper_openai(tmp_path / "nothing.pt")
