import torch
from torch.nn import functional

from avloc.models.alignment import CrossModalAlignment
from avloc.models.discrepancy import DiscrepancyMap


def make_alignment(max_lag: int = 8) -> CrossModalAlignment:
    """Alignment whose two embeddings are the same map, so that equal streams have cosine 1."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        alignment = CrossModalAlignment(audio_channels=16, visual_channels=16, channels=16, max_lag=max_lag)
    alignment.embed_visual.load_state_dict(alignment.embed_audio.state_dict())
    return alignment.eval()


def make_streams(lag: int, n_frames: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Sound and picture that say the same, the sound ``lag`` frames late."""
    source = torch.randn(1, 16, n_frames + 40, generator=torch.Generator().manual_seed(5))
    visual = source[:, :, 20 : 20 + n_frames]
    audio = source[:, :, 20 - lag : 20 - lag + n_frames]
    return audio, visual


def test_a_constant_offset_is_found_with_its_sign_and_absorbed():
    alignment, mask = make_alignment(), torch.ones(1, 200, dtype=torch.bool)
    for lag in (-5, 0, 3):
        audio, visual = make_streams(lag)
        with torch.inference_mode():
            aligned = alignment(audio, mask, visual, mask)
        assert abs(float(aligned.lag) - lag) < 0.5
        centre = aligned.correlation[0, 8, 20:180].mean()
        assert float(centre) > 0.8  # after recentring the peak lies in the middle whatever the offset was
        agreement = functional.cosine_similarity(aligned.matched, aligned.visual, dim=1)[0, 20:180].mean()
        assert float(agreement) > 0.8


def test_a_change_of_lag_inside_stands_out_in_the_correlation():
    alignment, mask = make_alignment(), torch.ones(1, 200, dtype=torch.bool)
    audio, visual = make_streams(0)
    late, _ = make_streams(6)
    audio = torch.cat((audio[:, :, :80], late[:, :, 80:120], audio[:, :, 120:]), dim=2)
    with torch.inference_mode():
        aligned = alignment(audio, mask, visual, mask)
    assert abs(float(aligned.lag)) < 1.5
    outside = float(aligned.correlation[0, 8, 20:70].mean())
    assert outside > 0.8
    # Embeddings that nobody trained share a mean, so even unrelated frames have a cosine of about 0.4.
    assert float(aligned.correlation[0, 8, 85:110].mean()) < outside - 0.35


def test_the_compiled_correlation_is_used(monkeypatch):
    import avloc.models.alignment as module

    calls = []
    original = module.band_correlation
    monkeypatch.setattr(module, "band_correlation", lambda *a: calls.append(1) or original(*a))
    mask = torch.ones(1, 200, dtype=torch.bool)
    make_alignment()(*[x for pair in zip(make_streams(0), (mask, mask), strict=True) for x in pair])
    assert calls


def test_the_discrepancy_map_is_silent_where_a_stream_is_masked():
    alignment = make_alignment()
    discrepancy = DiscrepancyMap(embedding_channels=16, max_lag=8, channels=12).eval()
    audio, visual = make_streams(0)
    mask = torch.ones(1, 200, dtype=torch.bool)
    seen = mask.clone()
    seen[:, 150:] = False
    with torch.inference_mode():
        features, logit, residual = discrepancy(alignment(audio, mask, visual, seen))
    assert features.shape == (1, 12, 200) and logit.shape == (1, 200)
    assert bool((features[:, :, 150:] == 0).all()) and bool((residual[:, :, 150:] == 0).all())
