"""An encoder's place in a network that learns from embeddings."""

import pytest
import torch

from avloc.errors import CheckpointError
from avloc.models.encoders.stored import StoredFeatures
from avloc.models.weights.card import unmeasured_card
from avloc.models.weights.encoders import encoder_of


def test_embeddings_pass_and_masked_frames_are_zero():
    embedding, mask = torch.ones(1, 3, 4), torch.tensor([[True, True, False, True]])
    given, same = StoredFeatures(out_channels=3)((embedding,), mask)
    assert given[0].tolist() == [[1.0, 1.0, 0.0, 1.0]] * 3 and same is mask


@pytest.mark.parametrize("sync_channels", [0, 4])
def test_what_is_compared_lies_inside(sync_channels):
    with pytest.raises(ValueError, match=f"must be 1 to 3, got {sync_channels}"):
        StoredFeatures(out_channels=3, sync_channels=sync_channels)


def test_it_is_no_encoder_that_could_be_extracted_with():
    network = torch.nn.Module()
    network.audio_encoder = StoredFeatures(out_channels=3)
    with pytest.raises(CheckpointError, match="'heads' .* holds no encoder of the audio stream"):
        encoder_of(network, unmeasured_card("heads", network="HierarchicalLocalizer"), "audio")
