"""Public networks behind their encoders: what a window proposes, quirks, absent streams, missing encoders."""

import os

import pytest
import torch

from avloc.decoding.published import PublishedQuirks
from avloc.errors import CheckpointError
from avloc.features.prepare import prepare
from avloc.models.auvire import AuViRe
from avloc.models.dimodif import DiMoDif
from avloc.models.encoded import EncodedNetwork, with_encoders
from avloc.models.encoders.auto_avsr import AutoAvsrAudioEncoder, AutoAvsrVisualEncoder
from avloc.models.encoders.av_hubert import AvHubertEncoder
from avloc.models.encoders.compact import CompactVisualEncoder
from avloc.models.encoders.two_stem import TwoStemEncoder
from avloc.models.weights.importing import import_weights
from avloc.models.weights.store import load_weights
from avloc.pipelines.windows import WindowPlan

CONFORMER = dict(stem_width=4, width=768, n_heads=2, n_blocks=1, hidden=8)
HUBERT = dict(stem_width=4, width=768, n_heads=2, n_layers=1, hidden=8)


def small(kind: str, **changes) -> EncodedNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "auvire":
            network = AuViRe(max_length=16, width=8, kernel=5, n_halvings=2)
        else:
            task = "dfd" if kind == "dfd" else "tfl"
            network = DiMoDif(task=task, max_length=16, width=16, n_heads=2, hidden=16, n_layers=2)
        return EncodedNetwork(network.eval(), **changes).eval()


def embeddings(n_frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, 768, n_frames, generator=generator) for _ in range(2))


@pytest.mark.parametrize("kind", ["tfl", "auvire"])
def test_a_window_proposes_suppressed_segments_inside_the_recording(kind):
    network = small(kind)
    outputs = network.score(*embeddings(11))
    for proposals, logit in zip(network.proposals(outputs), outputs.recording_logit, strict=True):
        assert 0 < len(proposals) <= 101
        assert (proposals.segments[:, 0] >= 0).all() and (proposals.segments[:, 1] <= 11 / 25 + 1e-6).all()
        assert (proposals.segments[:, 1] > proposals.segments[:, 0]).all()
        assert (proposals.scores.diff() <= 0).all()
        # The best point counts for the recording also where its segment has no length.
        assert logit.sigmoid().item() >= proposals.scores[0].item() - 1e-6
    assert outputs.inside_logits.shape == (2, 2, 11)


def test_dimodif_tells_the_modality_by_the_tile_and_auvire_does_not_tell():
    told = small("tfl").score(*embeddings(16)).proposals[0].modality
    assert set(map(tuple, told.tolist())) <= {(1.0, 0.0), (0.0, 1.0)}
    assert small("auvire").score(*embeddings(16)).proposals[0].modality.isnan().all()


def test_the_public_code_cuts_at_the_end_of_the_window():
    quirks = PublishedQuirks(clamps_to_window=True)
    ends = [
        max(p.segments[:, 1].max().item() for p in small("tfl", **given).score(*embeddings(9)).proposals)
        for given in ({}, {"quirks": quirks})
    ]
    assert ends[0] <= 9 / 25 + 1e-6 < ends[1] <= 16 / 25


@pytest.mark.parametrize("kind", ["tfl", "auvire"])
def test_how_many_are_kept_and_whether_the_last_one_is_can_be_said(kind):
    lengths = {}
    for name, given in {
        "published": {},
        "none dropped": {"drops_last": False, "most_kept": 10_000},
        "last dropped": {"most_kept": 10_000},
        "few": {"most_kept": 3},
    }.items():
        outputs = small(kind, quirks=PublishedQuirks(**given)).score(*embeddings(4))
        lengths[name] = len(outputs.proposals[0])
    assert lengths["none dropped"] == lengths["last dropped"] + 1
    assert lengths["few"] <= 3 < lengths["published"]


def test_detection_gives_a_score_and_no_segments():
    network = small("dfd")
    outputs = network.score(*embeddings(16))
    expected = network.network(*embeddings(16)).logits.sigmoid().mean(1)
    assert [len(p) for p in outputs.proposals] == [0, 0]
    torch.testing.assert_close(outputs.recording_logit.sigmoid(), expected.amax(1))
    torch.testing.assert_close(outputs.inside_logits[:, 0, 0].sigmoid(), expected[:, 1])  # row 0 is the sound


def test_an_absent_stream_counts_as_embeddings_of_zeros():
    encoders = {
        "audio_encoder": AutoAvsrAudioEncoder(**CONFORMER),
        "visual_encoder": AutoAvsrVisualEncoder(**CONFORMER),
    }
    network = small("tfl", **encoders)
    waveform, mask = torch.randn(1, 640 * 8), torch.ones(1, 8, dtype=torch.bool)
    with torch.inference_mode():
        outputs = network(audio=(waveform,), audio_mask=mask)
        heard, _ = network.audio_encoder((waveform,), mask)
        expected = network.score(torch.zeros_like(heard), heard)
    assert torch.equal(outputs.recording_logit, expected.recording_logit)
    with pytest.raises(ValueError, match="at least one of audio and visual"):
        network()
    assert network.inputs == {"audio": ("waveform",), "visual": ("mouth88_landmarks",)}
    assert (network.window_frames, network.window_hop_frames) == (16, 8)


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """AuViRe and its encoder, imported at small sizes."""
    monkeypatch.setenv("AVLOC_HOME", str(tmp_path / "home"))
    torch.save({"model": AvHubertEncoder(**HUBERT).state_dict()}, tmp_path / "h.pt")
    torch.save({"model": small("auvire").network.state_dict()}, tmp_path / "a.pth")
    import_weights(tmp_path / "h.pt", "av-hubert", settings=HUBERT)
    import_weights(tmp_path / "a.pth", "auvire")
    import_weights(tmp_path / "a.pth", "features", encoders={})
    return tmp_path / "home" / "weights"


def test_both_streams_share_the_weights_of_one_encoder(imported):
    network, card, _ = load_weights("auvire")
    encoded = with_encoders(network, card)
    assert encoded.inputs == {"audio": ("fbank104",), "visual": ("mouth88_landmarks",)}
    assert encoded.audio_encoder.encoder is encoded.visual_encoder.encoder


def test_what_cannot_localize_is_refused_with_what_to_do(imported, capsys, tmp_path):
    from avloc.cli.main import main

    (tmp_path / "clip.mp4").write_bytes(b"")
    for name, message in (("av-hubert", "is an encoder"), ("features", "saved features only")):
        network, card, _ = load_weights(name)
        with pytest.raises(CheckpointError, match=message):
            with_encoders(network, card)
        assert main(["localize", str(tmp_path / "clip.mp4"), "--weights", name]) == 2
    os.remove(imported / "av-hubert.safetensors")
    capsys.readouterr()
    assert main(["localize", str(tmp_path / "clip.mp4"), "--weights", "auvire"]) == 2
    told = capsys.readouterr().err
    assert "audio: 'av-hubert' (AvHubertEncoder) is not there" in told and "visual: 'av-hubert'" in told


def test_without_landmarks_the_command_exits_with_2_and_the_install_line(
    imported, capsys, tmp_path, monkeypatch
):
    from avloc.cli.main import main
    from avloc.pipelines import landmarks

    monkeypatch.setattr(landmarks.importlib.util, "find_spec", lambda name: None)
    (tmp_path / "clip.mp4").write_bytes(b"")
    assert main(["localize", str(tmp_path / "clip.mp4"), "--weights", "auvire"]) == 2
    assert "pip install 'avloc[face]'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["tfl", "auvire"])
def test_rows_of_a_batch_have_ends_of_their_own(kind):
    """What each row gives alone, where padding is the same zeros."""
    network = small(kind)
    visual, audio = embeddings(16)
    visual[1, :, 9:], audio[1, :, 9:] = 0.0, 0.0
    n_valid = torch.tensor([16, 9])
    both = network.decode(network.network(visual, audio, n_valid=n_valid), n_valid)
    for row, n_frames in enumerate(n_valid.tolist()):
        alone = network.score(*(x[row : row + 1, :, :n_frames] for x in (visual, audio)))
        torch.testing.assert_close(both.proposals[row].segments, alone.proposals[0].segments)
        torch.testing.assert_close(both.proposals[row].scores, alone.proposals[0].scores)
        torch.testing.assert_close(both.recording_logit[row], alone.recording_logit[0])


@pytest.mark.parametrize("n_frames", [100, 128])
def test_an_ear_of_whole_pieces_gives_a_window_what_its_embeddings_give(n_frames):
    """The window is filled up to a piece, the eye has fewer channels: both as in the features of training."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ear = TwoStemEncoder(width=12, n_layers=1, n_heads=2, recogniser_channels=8, spectral_channels=4)
        eye = CompactVisualEncoder(width=4, out_channels=6, n_blocks=1)
        head = DiMoDif(max_length=128, width=16, n_heads=2, hidden=16, n_layers=1, feature_channels=12)
        waveform, crops = 0.1 * torch.randn(1, 640 * 160), torch.randn(1, 160, 96, 96)
    network = EncodedNetwork(head, audio_encoder=ear, visual_encoder=eye).eval()
    assert WindowPlan.of(network).fills_up and not WindowPlan.of(small("tfl")).fills_up
    mask = torch.arange(160)[None] < n_frames
    audio = prepare(ear.inputs, waveform=waveform, audio_mask=mask)
    with torch.inference_mode():
        outputs = network(audio=audio, audio_mask=mask, visual=(crops,), visual_mask=mask)
        heard, seen = (encoder(x, mask)[0] for encoder, x in ((ear, audio), (eye, (crops,))))
        seen = torch.cat((seen, torch.zeros(1, 6, 160)), dim=1)
        expected = network.score(seen[:, :, :n_frames], heard[:, :, :n_frames])
    assert torch.equal(outputs.proposals[0].segments, expected.proposals[0].segments)
    assert torch.equal(outputs.recording_logit, expected.recording_logit)
    assert outputs.inside_logits.shape == (1, 2, 128)
