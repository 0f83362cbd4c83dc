"""AV-HuBERT Base: its size, and that a missing modality is no zero input."""

import pytest
import torch

from avloc.models.encoders.av_hubert import AvHubertEncoder

SMALL = dict(stem_width=4, width=32, n_heads=2, n_layers=2, hidden=48)


def small(stream: str = "both") -> AvHubertEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AvHubertEncoder(stream=stream, **SMALL).eval()


def test_the_published_size_has_the_published_number_of_parameters():
    with torch.device("meta"):
        made = AvHubertEncoder()
    assert sum(p.numel() for p in made.parameters()) == 102_620_288


@pytest.mark.parametrize(
    ("stream", "inputs"),
    [
        ("audio", ("fbank104",)),
        ("visual", ("mouth88_landmarks",)),
        ("both", ("fbank104", "mouth88_landmarks")),
    ],
)
def test_an_encoder_declares_what_it_reads_and_holds_all_weights(stream, inputs):
    encoder = small(stream)
    assert encoder.inputs == inputs
    assert encoder.state_dict().keys() == small().state_dict().keys()


def test_a_missing_modality_is_zeros_behind_its_projection():
    encoder = small()
    banks = torch.randn(1, 6, 104, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        alone = encoder.encode(banks, None)
        silent_picture = encoder.encode(banks, torch.zeros(1, 6, 88, 88))
        through_forward, _ = small("audio")((banks,), torch.ones(1, 6, dtype=torch.bool))
    assert not torch.allclose(alone, silent_picture, atol=1e-3)
    assert torch.equal(through_forward.transpose(1, 2), alone)


def test_nothing_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one of banks and crops"):
        small().encode(None, None)


def test_an_unknown_stream_is_refused():
    with pytest.raises(ValueError, match="one of .'audio', 'visual', 'both'., got 'lips'"):
        AvHubertEncoder(stream="lips", **SMALL)
