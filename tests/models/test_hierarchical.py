import pytest
import torch

from avloc.models.hierarchical import HierarchicalLocalizer, build_network

SMALL = dict(
    type="HierarchicalLocalizer",
    audio_encoder=dict(
        type="TwoStemEncoder", width=64, n_layers=2, n_heads=2, recogniser_channels=24, spectral_channels=16
    ),
    visual_encoder=dict(type="CompactVisualEncoder", width=8, out_channels=24, n_blocks=1),
    alignment=dict(channels=16, max_lag=8, reach=2),
    discrepancy=dict(channels=16, n_blocks=1),
    pyramid=dict(channels=32, n_levels=4, n_stem_blocks=1, attention_from=2, n_heads=2),
    head=dict(n_head_layers=1),
)


@pytest.fixture
def network() -> HierarchicalLocalizer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_network(SMALL).eval()


def make_window(n_frames: int = 160) -> dict:
    generator = torch.Generator().manual_seed(3)
    n_pieces = (n_frames - 160) // 120 + 1
    mask = torch.ones(2, n_frames, dtype=torch.bool)
    return dict(
        audio=(
            torch.randn(2, n_pieces, 80, 640, generator=generator),
            torch.randn(2, 2, 80, 4 * n_frames, generator=generator),
        ),
        audio_mask=mask,
        visual=(torch.randn(2, n_frames, 96, 96, generator=generator),),
        visual_mask=mask.clone(),
    )


def test_levels_halve_and_cover_the_window(network):
    with torch.inference_mode():
        outputs = network(**make_window(280))
    assert [x.shape for x in outputs.score_logits] == [(2, 280), (2, 140), (2, 70), (2, 35)]
    assert all(
        d.shape == (2, 2, s.shape[1]) for d, s in zip(outputs.distances, outputs.score_logits, strict=True)
    )
    assert all(bool((d >= 0).all()) for d in outputs.distances)
    assert outputs.inside_logits.shape == outputs.boundary_logits.shape == (2, 2, 280)
    assert outputs.discrepancy.shape == (2, 280)
    assert float(outputs.discrepancy.min()) >= 0 and float(outputs.discrepancy.max()) <= 1
    assert outputs.lag_evidence.shape == (2, 17, 280)


@pytest.mark.parametrize("absent", ["audio", "visual"])
def test_an_absent_stream_gives_no_discrepancy_and_cannot_be_called_forged(network, absent):
    window = make_window()
    window[absent] = window[f"{absent}_mask"] = None
    with torch.inference_mode():
        outputs = network(**window)
    row = ("audio", "visual").index(absent)
    assert outputs.discrepancy is None and outputs.lag_weights is None
    assert float(outputs.inside_logits[:, row].max()) == -8.0
    assert float(outputs.inside_logits[:, 1 - row].min()) != -8.0


def test_a_network_without_any_stream_is_refused(network):
    with pytest.raises(ValueError, match="at least one"):
        network()


def test_a_row_without_a_face_equals_the_same_row_without_a_picture(network):
    window = make_window()
    window["visual_mask"][:] = False
    with torch.inference_mode():
        masked = network(**window)
        alone = network(audio=window["audio"], audio_mask=window["audio_mask"])
    # 1e-5: sums with zeros in another order
    torch.testing.assert_close(masked.inside_logits, alone.inside_logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(masked.recording_logit, alone.recording_logit, atol=1e-5, rtol=0)


def test_padding_never_votes(network):
    first, second = make_window(), make_window()
    for window in (first, second):
        window["audio_mask"][:, 90:] = False
        window["visual_mask"][:, 90:] = False
    second["audio"][0][..., 360:] = 5.0
    second["audio"][1][..., 360:] = 5.0
    second["visual"][0][:, 90:] = 5.0
    with torch.inference_mode():
        a, b = network(**first), network(**second)
    torch.testing.assert_close(a.recording_logit, b.recording_logit, atol=1e-5, rtol=0)
    torch.testing.assert_close(a.inside_logits[:, :, :90], b.inside_logits[:, :, :90], atol=1e-5, rtol=0)
    assert not bool(a.point_masks[0][:, 90:].any())


def test_the_picture_counts(network):
    window = make_window()
    black = {**window, "visual": (torch.full_like(window["visual"][0], -2.55),)}
    with torch.inference_mode():
        a, b = network(**window), network(**black)
    assert not torch.allclose(a.inside_logits[:, 1], b.inside_logits[:, 1])
    assert not torch.allclose(a.discrepancy, b.discrepancy)


def test_proposals_come_one_entry_a_window(network):
    with torch.inference_mode():
        outputs = network(**make_window())
    proposals = network.proposals(outputs)
    assert len(proposals) == 2
    assert proposals[0].segments.shape[1] == 2
    assert float(proposals[0].segments.max()) <= 6.4 + 1e-6


@pytest.mark.parametrize("branch", ["audio_encoder", "visual_encoder"])
def test_a_network_may_be_built_without_a_branch(branch):
    network = build_network({**SMALL, branch: None})
    assert network.alignment is None
    assert set(network.inputs) == {"audio", "visual"} - {branch.split("_")[0]}


def test_windows_may_share_less() -> None:
    assert build_network(SMALL).window_hop_frames == 360
    assert build_network(SMALL | {"window_hop_frames": 480}).window_hop_frames == 480
    with pytest.raises(ValueError, match="multiple of 120 below 640, got 500"):
        build_network(SMALL | {"window_hop_frames": 500})


def test_without_a_discrepancy_map_the_lag_is_found_all_the_same():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(SMALL | {"discrepancy": None}).eval()
    with torch.inference_mode():
        outputs = network(**make_window())
    assert outputs.discrepancy is outputs.discrepancy_logit is outputs.residual is None
    assert outputs.lag_weights.shape == (2, 17) and outputs.aligned is not None
    assert not hasattr(network, "fuse_discrepancy")
