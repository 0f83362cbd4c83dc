import math
from fractions import Fraction

import pytest
import torch

from avloc import ops
from avloc.decoding.proposals import Proposals
from avloc.decoding.select import Selection, rescore, select
from avloc.errors import ConfigError

RATE = Fraction(25)


def proposals(rows, scores):
    segments = torch.tensor(rows, dtype=torch.float64).reshape(-1, 2)
    scores = torch.tensor(scores, dtype=torch.float64)
    return Proposals(segments, scores, torch.full((len(scores), 2), 0.6, dtype=torch.float64))


def bump(n_frames, start, end, height=1.0):
    scores = torch.zeros(n_frames)
    scores[start:end] = height
    return scores


def test_a_score_is_the_weighted_geometric_mean_of_its_terms():
    selection = Selection(point_weight=2.0, inside_weight=1.0, contrast_weight=0.5, sharpness_weight=0.5)
    frames = bump(100, 25, 50, 0.8)
    (found,) = rescore(
        torch.tensor([[1.0, 2.0]], dtype=torch.float64),
        torch.tensor([0.5]),
        frames,
        frame_rate=RATE,
        selection=selection,
    )
    # inside mean 0.8, contrast 0.8 - 0, sharpness 0.8 at both edges
    expected = math.exp((2 * math.log(0.5) + math.log(0.8) + 0.5 * math.log(0.9) * 2) / 4)
    assert float(found) == pytest.approx(expected, abs=1e-6)


def test_with_the_point_weight_alone_scores_stay_as_they_are():
    selection = Selection(point_weight=1.0, inside_weight=0.0, contrast_weight=0.0, sharpness_weight=0.0)
    given = proposals([[1.0, 2.0], [0.0, 3.0]], [0.3, 0.9])
    found = rescore(given.segments, given.scores, torch.rand(100), frame_rate=RATE, selection=selection)
    torch.testing.assert_close(found, given.scores)


def test_of_two_proposals_with_one_score_the_one_that_fits_the_frame_scores_wins():
    given = proposals([[0.2, 1.2], [2.0, 3.0]], [0.6, 0.6])
    chosen = select(given, bump(100, 50, 75), selection=Selection())
    assert chosen.segments[0].tolist() == [2.0, 3.0]
    assert chosen.scores[0] > chosen.scores[1]


def test_overlapping_proposals_decay_by_the_gaussian_of_their_overlap():
    selection = Selection(inside_weight=0.0, contrast_weight=0.0, sharpness_weight=0.0)
    chosen = select(proposals([[0.0, 2.0], [1.0, 3.0]], [0.9, 0.8]), torch.zeros(100), selection=selection)
    assert chosen.scores.tolist() == pytest.approx([0.9, 0.8 * math.exp(-((1 / 3) ** 2) / 0.5)], abs=1e-6)


def test_rescoring_is_not_bypassed(monkeypatch):
    given, frames = proposals([[0.2, 1.2], [2.0, 3.0]], [0.6, 0.6]), bump(100, 50, 75)
    true = select(given, frames, selection=Selection())
    calls = []

    def other_evidence(frame_scores, segments):
        calls.append(segments.clone())
        return torch.flip(ops_score(frame_scores, segments), dims=(0,))

    ops_score = ops.score_segments
    monkeypatch.setattr(ops, "score_segments", other_evidence)
    changed = select(given, frames, selection=Selection())
    assert len(calls) == 1
    assert calls[0].tolist() == [[0.0, 5.0, 30.0], [0.0, 50.0, 75.0]]  # row, start and end in frames
    assert changed.segments[0].tolist() != true.segments[0].tolist()


def test_soft_suppression_is_not_bypassed_and_runs_once(monkeypatch):
    given, frames = proposals([[0.0, 2.0], [1.0, 3.0], [8.0, 9.0]], [0.9, 0.8, 0.7]), torch.zeros(400)
    calls = []

    def only_the_last(segments, scores, **options):
        calls.append(options)
        return torch.tensor([len(scores) - 1]), torch.tensor([0.123], dtype=torch.float64)

    monkeypatch.setattr(ops, "soft_segment_nms", only_the_last)
    chosen = select(given, frames, selection=Selection(sigma=0.7))
    assert len(calls) == 1 and calls[0]["method"] == "gaussian" and calls[0]["sigma"] == 0.7
    assert chosen.scores.tolist() == [0.123]


def test_at_most_max_segments_are_kept_best_first():
    rows = [[3.0 * i, 3.0 * i + 1] for i in range(30)]
    given = proposals(rows, [0.2 + 0.02 * i for i in range(30)])
    chosen = select(given, torch.full((2300,), 0.5), selection=Selection(max_segments=4))
    assert chosen.segments[:, 0].tolist() == [87.0, 84.0, 81.0, 78.0]


def test_a_final_hard_suppression_leaves_no_overlap_above_it():
    given = proposals([[0.0, 2.0], [0.5, 2.5], [1.9, 4.0]], [0.9, 0.8, 0.7])
    chosen = select(given, torch.full((200,), 0.5), selection=Selection(final_iou=0.5))
    assert sorted(chosen.segments[:, 0].tolist()) == [0.0, 1.9]


def test_nothing_proposed_gives_nothing():
    assert len(select(proposals([], []), torch.zeros(10), selection=Selection())) == 0
    assert len(select(proposals([[0, 0.3]], [1e-4]), torch.zeros(10), selection=Selection())) == 0


def test_a_configuration_with_an_unknown_key_or_a_wrong_value_is_refused():
    assert Selection.from_mapping({"sigma": 0.3}).sigma == 0.3
    with pytest.raises(ConfigError, match="sigam"):
        Selection.from_mapping({"sigam": 0.3})
    with pytest.raises(ConfigError, match="method"):
        Selection.from_mapping({"method": "hard"})
    with pytest.raises(ValueError, match="weights"):
        Selection(point_weight=0.0, inside_weight=0.0, contrast_weight=0.0, sharpness_weight=0.0)


def test_the_default_configuration_spells_out_the_defaults():
    from avloc.config import load_config

    assert Selection.from_mapping(load_config("default")["decoding"]) == Selection()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_segments", 0),
        ("max_segments", 2.0),
        ("pre_top_k", -1),
        ("window_top_k", True),
        ("min_score", -0.1),
        ("iou_threshold", float("nan")),
        ("final_iou", 1.5),
        ("sigma", 0.0),
    ],
)
def test_a_value_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value!r}"):
        Selection(**{name: value})
