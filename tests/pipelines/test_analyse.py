import numpy as np
import pytest
import torch

from avloc.config import load_config
from avloc.decoding.proposals import Proposals
from avloc.models.hierarchical import build_network
from avloc.pipelines.analyse import WindowAnalyser, WindowFindings
from avloc.pipelines.pairing import View
from avloc.pipelines.windows import plan_windows


@pytest.fixture(scope="module")
def real_network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_network(load_config("default")["model"]).eval()


def view_of(window, samples, *, heard=None, channel=0):
    waveform = samples[window.start * 640 : window.end * 640]
    heard = np.ones(window.n_frames, bool) if heard is None else heard
    return View(channel, waveform, heard, None, np.zeros(window.n_frames, bool))


def noise(n_frames, seed=0):
    return np.random.default_rng(seed).normal(0, 0.05, n_frames * 640).astype(np.float32)


def count_pieces(monkeypatch, network):
    counts = []
    true = network.audio_encoder.encode_pieces

    def counted(pieces, mask):
        counts.append(len(pieces))
        return true(pieces, mask)

    monkeypatch.setattr(network.audio_encoder, "encode_pieces", counted)
    return counts


def test_pieces_that_neighbouring_windows_share_are_encoded_once(monkeypatch, real_network):
    counts = count_pieces(monkeypatch, real_network)
    samples = noise(1000)
    first, second = plan_windows(1000)
    with torch.inference_mode():
        analyser = WindowAnalyser(real_network)
        analyser(first, view_of(first, samples))
        shared = analyser(second, view_of(second, samples))
        alone = WindowAnalyser(real_network)(second, view_of(second, samples))
    assert counts == [5, 3, 5]
    for name, values in shared.curves.items():
        np.testing.assert_allclose(values, alone.curves[name], atol=1e-4)  # another batch, other rounding
    assert shared.score == pytest.approx(alone.score, abs=1e-4)


def test_a_piece_with_other_samples_or_missing_sound_is_not_shared(monkeypatch, real_network):
    counts = count_pieces(monkeypatch, real_network)
    first, second = plan_windows(1000)
    other = noise(1000, seed=1)
    gap = np.ones(640, bool)
    gap[500:510] = False
    with torch.inference_mode():
        analyser = WindowAnalyser(real_network)
        analyser(first, view_of(first, noise(1000), heard=gap))
        analyser(second, view_of(second, noise(1000)))  # of the two shared pieces, both touch the gap
        analyser(second, view_of(second, other, channel=1))
    assert counts == [5, 5, 5]


def test_the_repetition_of_a_short_recording_changes_no_real_frame_that_is_masked(real_network):
    (window,) = plan_windows(30)
    with torch.inference_mode():
        found = WindowAnalyser(real_network)(window, view_of(window, noise(30)))
    assert {len(values) for values in found.curves.values()} == {30}
    assert float(found.proposals.segments.max()) <= 30 / 25 + 1e-6


def test_a_view_that_the_network_has_no_branch_for_is_left_out(network):
    (window,) = plan_windows(50)
    network.inputs = {"visual": ("mouth96_box",)}
    assert WindowAnalyser(network)(window, view_of(window, noise(50))) is None


def test_a_stream_that_is_absent_has_no_curve_value(network):
    (window,) = plan_windows(50)
    found = WindowAnalyser(network)(window, view_of(window, noise(50)))
    assert np.isnan(found.curves["score_visual"]).all() and "discrepancy" not in found.curves
    assert not np.isnan(found.curves["score_audio"]).any() and found.lag_weights is None


def test_a_network_that_reads_the_face_too_runs_over_a_window():
    configuration = load_config("default")["model"]
    eye = {"type": "CompactVisualEncoder", "width": 8, "out_channels": 48, "n_blocks": 1, "face_channels": 16}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network({**configuration, "visual_encoder": eye}).eval()
    assert network.inputs["visual"] == ("mouth96_box", "face112")
    assert network.alignment is not None and network.visual_encoder.sync_channels == 32
    (window,) = plan_windows(50)
    rng = np.random.default_rng(0)
    crops = {
        name: rng.integers(0, 255, (50, size, size)).astype(np.uint8)
        for name, size in (("mouth96_box", 96), ("face112", 112))
    }
    heard = np.ones(50, bool)
    with torch.inference_mode():
        first = WindowAnalyser(network)(window, View(0, noise(50), heard, crops, heard))
        crops["face112"][:] = 128
        second = WindowAnalyser(network)(window, View(0, noise(50), heard, crops, heard))
    np.testing.assert_array_equal(first.band, second.band)  # synchrony is the lips' alone
    assert not np.array_equal(first.curves["score_visual"], second.curves["score_visual"])


def test_a_segment_belongs_to_the_face_of_most_of_its_frames():
    face = np.full(300, -1)
    face[:200], face[212:] = 4, 9  # nobody around 8.2 s
    segments = torch.tensor([[6.0, 10.4], [7.0, 10.4], [1.0, 2.0], [8.1, 8.4], [-1.0, 0.5], [11.0, 99.0]])
    proposals = Proposals(segments, torch.linspace(0.9, 0.4, 6), torch.rand(6, 2))
    curves = {"score_visual": np.arange(300, dtype=np.float32)}
    found = WindowFindings(proposals, curves, 0.5, None, None, None).by_face(face)
    assert {key: value.proposals.segments[:, 0].tolist() for key, value in found.items()} == {
        4: pytest.approx([6.0, 1.0, -1.0]),
        9: pytest.approx([7.0, 11.0]),
    }
    shown = {key: np.flatnonzero(~np.isnan(value.curves["score_visual"])) for key, value in found.items()}
    assert np.array_equal(shown[4], np.arange(200)) and np.array_equal(shown[9], np.arange(212, 300))
