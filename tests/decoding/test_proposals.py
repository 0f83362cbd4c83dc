import math
from fractions import Fraction

import pytest
import torch

from avloc.decoding.proposals import Proposals, decode_points, modality_of
from avloc.structures import Modality


def levels(n_frames=16, n_levels=3, batch=1):
    lengths = [math.ceil(n_frames / 2**level) for level in range(n_levels)]
    return {
        "score_logits": [torch.full((batch, n), -4.0) for n in lengths],
        "distances": [torch.ones(batch, 2, n) for n in lengths],
        "modality_logits": [torch.zeros(batch, 2, n) for n in lengths],
        "point_masks": [torch.ones(batch, n, dtype=torch.bool) for n in lengths],
    }


def loop_oracle(fields, row, rate=25.0):
    """The definition, one point at a time."""
    real = [i for i, m in enumerate(fields["point_masks"][0][row].tolist()) if m]
    low, high = (real[0], real[-1] + 1) if real else (0, 0)
    found = []
    for level, scores in enumerate(fields["score_logits"]):
        stride = 2**level
        for i in range(scores.shape[1]):
            left, right = fields["distances"][level][row, :, i].tolist()
            start = max(i * stride + stride / 2 - left, low) / rate
            end = min(i * stride + stride / 2 + right, high) / rate
            if fields["point_masks"][level][row, i] and end > start:
                found.append((start, end, 1 / (1 + math.exp(-float(scores[row, i])))))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_points_become_the_segments_that_a_loop_over_them_gives(seed):
    generator = torch.Generator().manual_seed(seed)
    fields = levels(n_frames=21, batch=2)
    for level, scores in enumerate(fields["score_logits"]):
        scores.copy_(torch.randn(scores.shape, generator=generator))
        shape = fields["distances"][level].shape
        fields["distances"][level] = torch.rand(shape, generator=generator) * 9
        fields["point_masks"][level] = torch.rand(scores.shape, generator=generator) > 0.3
    decoded = decode_points(**fields)
    for row in range(2):
        expected = torch.tensor(loop_oracle(fields, row))
        torch.testing.assert_close(decoded[row].segments, expected[:, :2])
        torch.testing.assert_close(decoded[row].scores, expected[:, 2])


def test_a_segment_of_zero_length_is_dropped():
    fields = levels(n_frames=4, n_levels=1)
    fields["distances"][0][:, :, 1] = 0.0
    assert len(decode_points(**fields)[0]) == 3


def test_a_segment_ends_where_the_real_frames_of_the_window_end():
    fields = levels(n_frames=8, n_levels=1)
    fields["point_masks"][0][:, 5:] = False
    fields["distances"][0][:] = 100.0
    (proposals,) = decode_points(**fields, frame_rate=Fraction(10))
    assert proposals.segments.tolist() == [[0.0, 0.5]] * 5


def test_a_masked_point_does_not_vote():
    fields = levels(n_frames=8, n_levels=2)
    fields["point_masks"][1][:] = False
    assert len(decode_points(**fields)[0]) == 8


def test_a_row_without_a_real_frame_gives_no_proposal():
    fields = levels(n_frames=8, n_levels=2)
    fields["point_masks"] = [torch.zeros_like(m) for m in fields["point_masks"]]
    assert len(decode_points(**fields)[0]) == 0


def test_values_that_are_not_finite_are_left_out():
    fields = levels(n_frames=4, n_levels=1)
    fields["score_logits"][0][0, 0] = float("nan")
    fields["distances"][0][0, 1, 2] = float("nan")
    assert len(decode_points(**fields)[0]) == 2


def test_levels_that_do_not_fit_are_refused_with_their_shapes():
    fields = levels()
    fields["distances"][1] = torch.ones(1, 2, 3)
    with pytest.raises(ValueError, match="level 1 has scores"):
        decode_points(**fields)
    with pytest.raises(ValueError, match="segments"):
        Proposals(torch.zeros(3, 2), torch.zeros(2), torch.zeros(3, 2))


@pytest.mark.parametrize(
    ("audio", "visual", "expected"),
    [
        (0.6, 0.7, Modality.BOTH),
        (0.5, 0.9, Modality.VISUAL),
        (0.6, 0.2, Modality.AUDIO),
        (0.3, 0.3, Modality.AUDIO),
        (0.1, 0.4, Modality.VISUAL),
    ],
)
def test_modality_is_both_only_where_each_probability_exceeds_a_half(audio, visual, expected):
    assert modality_of(audio, visual) is expected
