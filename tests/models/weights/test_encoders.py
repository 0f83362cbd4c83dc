"""The encoder of a stream, out of weights that hold one encoder, one for both, or a network."""

from types import SimpleNamespace

import pytest
import torch

from avloc.errors import CheckpointError
from avloc.models.encoders.av_hubert import AvHubertEncoder
from avloc.models.encoders.whisper import WhisperEncoder
from avloc.models.weights import encoders
from avloc.models.weights.card import unmeasured_card
from avloc.models.weights.encoders import load_encoder
from avloc.models.weights.importing import import_weights

HUBERT = dict(stem_width=4, width=32, n_heads=2, n_layers=1, hidden=8)


@pytest.fixture
def hubert(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AVLOC_HOME", str(tmp_path))
    torch.save({"model": AvHubertEncoder(**HUBERT).state_dict()}, tmp_path / "h.pt")
    import_weights(tmp_path / "h.pt", "hubert", settings=HUBERT)


def test_av_hubert_reads_either_stream_and_the_two_are_told_apart(hubert):
    audio, visual = (load_encoder("hubert", stream) for stream in ("audio", "visual"))
    assert audio.network.inputs == ("fbank104",) and audio.crops == ()
    assert visual.network.inputs == visual.crops == ("mouth88_landmarks",)
    assert audio.kind == visual.kind == "AvHubertEncoder" and audio.sha256 != visual.sha256
    assert load_encoder("hubert", "audio").sha256 == audio.sha256


def test_networks_of_avloc_lend_their_own_encoders():
    audio, visual = (load_encoder("default", stream) for stream in ("audio", "visual"))
    assert (audio.kind, visual.kind) == ("TwoStemEncoder", "CompactVisualEncoder")
    assert visual.crops == ("mouth96_box",) and not visual.network.training


def test_a_network_without_the_stream_is_refused(monkeypatch):
    hears = SimpleNamespace(audio_encoder=None, visual_encoder=None)
    card = unmeasured_card("deaf", network="HierarchicalLocalizer", version="1")
    monkeypatch.setattr(encoders, "load_weights", lambda name: (hears, card, "00"))
    with pytest.raises(CheckpointError, match=r"'deaf' \(Hier.*\) holds no encoder of the visual stream"):
        load_encoder("deaf", "visual")
    with pytest.raises(ValueError, match="stream must be one of"):
        load_encoder("default", "both")


def test_whisper_reads_sound_on_the_grid_and_no_more_bands_than_are_made(hubert, tmp_path):
    for n_mels in (80, 128):
        state = WhisperEncoder(width=64, n_layers=1, n_heads=1, n_mels=n_mels, final_norm=True).state_dict()
        state = {f"encoder.{key}": value for key, value in state.items()}
        torch.save({"dims": {}, "model_state_dict": state}, tmp_path / "w.pt")
        import_weights(tmp_path / "w.pt", f"whisper-{n_mels}")
    encoder = load_encoder("whisper-80", "audio")
    assert (encoder.kind, encoder.network.inputs) == ("WhisperPieces", ("whisper_mel",))
    with pytest.raises(CheckpointError, match="holds no encoder of the visual stream"):
        load_encoder("whisper-80", "visual")
    with pytest.raises(CheckpointError, match="reads 128 mel bands, and avloc makes 80"):
        load_encoder("whisper-128", "audio")
