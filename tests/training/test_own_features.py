"""avloc's own network on embeddings: targets, masks, what is dropped, and what the media trainer refuses."""

import numpy as np
import pytest
import torch

from avloc.datasets.feature_set import FeatureSet
from avloc.errors import ConfigError
from avloc.structures import Reference, Segment, Timeline
from avloc.training.own_features import OwnExamples, training_batch
from avloc.training.published_features import FeatureBatches
from avloc.training.runner import train

N_FRAMES, CHANNELS = 20, {"audio": 6, "visual": 4}
EARLY, LATE = Segment(0.2, 0.4), Segment(0.6, 2.0)


@pytest.fixture
def features() -> FeatureSet:
    """Sound forged early and late; both at once, nobody says where; a genuine one; one without a picture."""
    genuine, heard = Timeline(()), Timeline((EARLY, LATE))
    references = [
        Reference("a", (EARLY, LATE), audio=heard, visual=genuine),
        Reference("b", (EARLY,)),
        Reference("c", (), audio=genuine, visual=genuine),
        Reference("d", (EARLY,), audio=genuine, visual=Timeline((EARLY,))),
    ]

    def load(number: int) -> tuple[np.ndarray | None, np.ndarray]:
        rng = np.random.default_rng(number)
        visual, audio = (
            rng.standard_normal((CHANNELS[s], 15), dtype=np.float32) for s in ("visual", "audio")
        )
        visual[:, 12:] = 0.0  # no face
        return (None if number == 3 else visual), audio

    return FeatureSet(references, {r.recording_id: lambda i=i: load(i) for i, r in enumerate(references)}, {})


def batch_of(features: FeatureSet, **settings):
    examples = OwnExamples(features, n_frames=N_FRAMES, channels=CHANNELS)
    settings = {"indices": range(4), "batch_size": 4, "epochs": 1, "seed": 0} | settings
    batches = FeatureBatches(examples, **settings)
    batch = batches[0]
    order = np.random.default_rng([settings["seed"], 0]).permutation(range(4))
    return training_batch(batch), [int(np.flatnonzero(order == i)[0]) for i in range(4)]


def test_segments_become_targets_in_frames_that_end_with_the_sequence(features):
    batch, (a, b, c, d) = batch_of(features)
    assert batch.segments[a].tolist() == [[5.0, 10.0], [15.0, 20.0]]
    assert batch.modality[a].tolist() == [[True, False]] * 2 and batch.modality[b, 0].tolist() == [True, True]
    assert batch.valid[[a, b, c]].tolist() == [[True, True], [True, False], [False, False]]
    assert batch.forged[[a, b, c]].tolist() == [True, True, False]
    # Sound and picture do not belong together where one alone was forged.
    assert batch.mismatch[a].nonzero().flatten().tolist() == [*range(5, 10), *range(15, 20)]
    assert not batch.mismatch[[b, c]].any()


def test_frames_of_zeros_and_a_stream_that_is_not_there_are_masked(features):
    batch, (a, _, _, d) = batch_of(features)
    assert batch.audio_mask[a].tolist() == [True] * 15 + [False] * 5
    assert batch.visual_mask[a].tolist() == [True] * 12 + [False] * 8 and not batch.visual_mask[d].any()
    assert batch.audio[0].shape == (4, 6, N_FRAMES) and batch.visual[0].shape == (4, 4, N_FRAMES)
    assert not batch.valid[d].any() and not batch.forged[d], "what was forged is not there"


def test_modality_dropout_takes_one_stream_with_its_segments_and_none_that_is_alone(features):
    found = set()
    for seed in range(6):
        batch, rows = batch_of(features, modality_dropout=1.0, seed=seed)
        a, d = rows[0], rows[3]
        heard, seen = batch.audio_mask.any(1), batch.visual_mask.any(1)
        assert (heard ^ seen).all() and heard[d]
        assert batch.valid[a].any() == heard[a], "sound was forged"
        assert not batch.modality[~heard][..., 0].any()
        found.add(bool(heard[a]))
    assert found == {True, False}
    again, _ = batch_of(features, modality_dropout=1.0, seed=5)
    assert torch.equal(again.audio_mask, batch.audio_mask)


def test_who_learns_from_recordings_refuses_the_network(tmp_path):
    with pytest.raises(ConfigError, match="'avloc_lavdf' learns from features .* give --features and --data"):
        train("avloc_lavdf", work_dir=str(tmp_path))
