"""One way to read Whisper's encoder: the form is told by the bytes, and imports are a form too."""

import pytest
import torch
from safetensors.torch import save_file

from avloc.cli.main import main
from avloc.errors import CheckpointError
from avloc.models.encoders.whisper import WhisperEncoder
from avloc.models.weights.importing import import_weights
from avloc.models.weights.store import load_weights
from avloc.models.weights.whisper import read_whisper

FORMS = ("model.pt", "ct2/model.bin", "ct2", "hf/model.safetensors", "hf")


@pytest.fixture
def written(tmp_path, whisper_files, monkeypatch):
    """The same small encoder in all three published forms, with names that say nothing."""
    monkeypatch.setenv("AVLOC_HOME", str(tmp_path / "home"))
    state = whisper_files.small_state(width=64)
    (tmp_path / "ct2").mkdir()
    (tmp_path / "hf").mkdir()
    torch.save({"dims": {}, "model_state_dict": state}, tmp_path / "model.pt")
    (tmp_path / "ct2" / "model.bin").write_bytes(whisper_files.ctranslate2(whisper_files.variables(state)))
    save_file(whisper_files.huggingface(state), tmp_path / "hf" / "model.safetensors")
    return tmp_path, state


def own(state):
    return {key: value for key, value in state.items() if "positional" not in key}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_told_by_its_bytes(form, written, tmp_path):
    folder, expected = written
    path = folder / form
    if path.is_file():
        path = path.rename(tmp_path / "weights")
    found = read_whisper(path)
    assert all(torch.equal(found[key], value) for key, value in own(expected).items())


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_imported(form, written, capsys):
    folder, expected = written
    assert main(["weights", "import", str(folder / form), "--as", "whisper", "--format", "text"]) == 0
    told = capsys.readouterr().out
    assert "(MIT)" in told and "tells it: n_heads=1" in told and "faces" not in told
    network, card, _ = load_weights("whisper")
    assert card.network == "WhisperEncoder" and network.ln_post is not None
    again = read_whisper("whisper")
    assert all(torch.equal(again[key], value) for key, value in own(expected).items())
    encoder = WhisperEncoder(width=64, n_layers=1, n_heads=1)
    encoder.load_published(again)
    assert torch.equal(encoder.conv1.weight, expected["encoder.conv1.weight"])


def test_a_recogniser_localizes_nothing_itself(written, capsys):
    folder, _ = written
    import_weights(folder / "model.pt", "whisper")
    (folder / "x.wav").write_bytes(b"")
    assert main(["localize", str(folder / "x.wav"), "--weights", "whisper"]) == 2
    assert "is an encoder (WhisperEncoder)" in capsys.readouterr().err


def test_a_network_does_not_take_it_for_an_encoder_of_its_own(written):
    from avloc.models.dimodif import DiMoDif

    folder, _ = written
    import_weights(folder / "model.pt", "whisper")
    network = DiMoDif(max_length=12, width=32, n_heads=2, hidden=24, n_layers=1)
    torch.save({"model": network.state_dict()}, folder / "d.pth")
    with pytest.raises(CheckpointError, match="'whisper' is a WhisperEncoder, no encoder of speech"):
        import_weights(folder / "d.pth", "d", encoders={"audio": "whisper"})


@pytest.mark.parametrize("content", [b"", b"hello there", bytes(20)])
def test_what_is_of_no_form_is_refused_with_the_forms(content, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(CheckpointError, match="is no file of Whisper: neither OpenAI's"):
        read_whisper(tmp_path / "x")


def test_a_folder_that_holds_none_or_both_is_refused(written):
    folder, _ = written
    with pytest.raises(CheckpointError, match="which holds neither"):
        read_whisper(folder)
    (folder / "ct2" / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="which holds model.bin and model.safetensors; give the file"):
        read_whisper(folder / "ct2")


def test_weights_of_another_kind_and_names_of_none_are_refused(written):
    with pytest.raises(CheckpointError, match="holds a HierarchicalLocalizer, expected Whisper's encoder"):
        read_whisper("default")
    with pytest.raises(CheckpointError, match="no weights are called 'whispr'"):
        read_whisper("whispr")
