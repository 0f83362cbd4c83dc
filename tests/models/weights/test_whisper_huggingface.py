"""Whisper in Hugging Face's form: the same encoder as from the two other forms, and refusals."""

import pytest
import torch
from safetensors.torch import save_file

from avloc.errors import CheckpointError
from avloc.models.encoders.whisper import WhisperEncoder
from avloc.models.weights.whisper_ctranslate2 import read_whisper_ctranslate2
from avloc.models.weights.whisper_huggingface import read_whisper_huggingface
from avloc.models.weights.whisper_openai import read_whisper_openai


@pytest.fixture
def written(tmp_path, whisper_files):
    """The same small encoder in all three published forms."""
    state = whisper_files.small_state()
    torch.save({"dims": {}, "model_state_dict": state}, tmp_path / "model.pt")
    (tmp_path / "model.bin").write_bytes(whisper_files.ctranslate2(whisper_files.variables(state)))
    save_file(whisper_files.huggingface(state), tmp_path / "model.safetensors")
    return tmp_path


def test_all_three_forms_give_the_same_outputs(written):
    mel = torch.randn(1, 80, 40, generator=torch.Generator().manual_seed(0))
    outputs = []
    for read, name in (
        (read_whisper_openai, "model.pt"),
        (read_whisper_ctranslate2, "model.bin"),
        (read_whisper_huggingface, "model.safetensors"),
        (read_whisper_huggingface, ""),  # the folder
    ):
        encoder = WhisperEncoder(width=8, n_layers=2, n_heads=2, final_norm=True).eval()
        encoder.load_published(read(written / name))
        outputs.append(encoder(mel))
    for other in outputs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(outputs[0], other, strict=True))


def test_names_without_the_prefix_model_are_read_too(tmp_path, whisper_files):
    state = whisper_files.huggingface(whisper_files.small_state())
    save_file({k.removeprefix("model."): v for k, v in state.items()}, tmp_path / "x.safetensors")
    assert read_whisper_huggingface(tmp_path / "x.safetensors").keys() == whisper_files.small_state().keys()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"model.decoder.x": torch.zeros(1)}, "has no entries 'model.encoder"),
        ({"model.encoder.conv3.weight": torch.zeros(1)}, "has no entry 'conv3.weight'"),
        ({"model.encoder.layers.0.fc3.weight": torch.zeros(1)}, "has no entry 'layers.0.fc3.weight'"),
        ({"model.encoder.conv1.bias": torch.tensor([torch.inf])}, "'encoder.conv1.bias' must hold finite"),
        ({"model.encoder.conv1.bias": torch.tensor([1])}, "'encoder.conv1.bias' must hold finite"),
    ],
)
def test_what_is_no_encoder_of_whisper_is_refused(state, message, tmp_path):
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=message):
        read_whisper_huggingface(tmp_path / "x.safetensors")


def test_what_is_no_safetensors_is_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"\x80\x02}.")
    for name in ("x.safetensors", "none.safetensors"):
        with pytest.raises(CheckpointError, match="is not a safetensors file"):
            read_whisper_huggingface(tmp_path / name)
