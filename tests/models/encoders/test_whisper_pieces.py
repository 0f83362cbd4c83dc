"""Whisper's encoder over pieces: the grid of 25 Hz, and what is masked."""

import pytest
import torch

from avloc.models.encoders.whisper import WhisperEncoder
from avloc.models.encoders.whisper_pieces import WhisperPieces


@pytest.fixture
def recogniser() -> WhisperEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return WhisperEncoder(width=16, n_layers=2, n_heads=2, final_norm=True).eval()


def pieces_of(n: int) -> torch.Tensor:
    return torch.randn(1, n, 80, 640, generator=torch.Generator().manual_seed(0))


def test_before_the_second_piece_begins_the_first_alone_counts(recogniser):
    pieces = pieces_of(2)
    with torch.inference_mode():
        embedding, mask = WhisperPieces(recogniser)((pieces,), torch.ones(1, 280, dtype=torch.bool))
        closing = recogniser(pieces[:, 0])[-1]  # (1, 320, C), behind the norm
    assert embedding.shape == (1, 16, 280) and mask.all()
    expected = closing.unflatten(1, (160, 2)).mean(2)[0, :120].T
    torch.testing.assert_close(embedding[0, :, :120], expected, atol=1e-5, rtol=0)


def test_masked_frames_are_zeros_and_change_nothing(recogniser):
    encoder, mask = WhisperPieces(recogniser), torch.ones(1, 160, dtype=torch.bool)
    mask[:, 90:] = False
    first, second = pieces_of(1), pieces_of(1)
    second[..., 360:] = 9.0
    with torch.inference_mode():
        a, b = (encoder((pieces,), mask)[0] for pieces in (first, second))
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
    assert not a[:, :, 90:].any() and a[:, :, :90].all()
