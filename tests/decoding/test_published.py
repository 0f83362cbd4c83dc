"""Decoding as DiMoDif and AuViRe do it: by hand; the published numbers are the parity fixtures'."""

import json
import math

import pytest
import torch

from avloc.decoding.published import PublishedQuirks, decode_levels, decode_tiles, suppress
from avloc.errors import ConfigError


def test_a_point_of_either_tile_counts_from_the_start_of_its_own():
    logits = torch.full((1, 1, 20), -5.0)
    offsets = torch.ones(1, 1, 20, 2)
    logits[0, 0, 3], logits[0, 0, 14] = 2.0, 1.0
    offsets[0, 0, 14] = torch.tensor([2.5, 9.0])
    rows = decode_tiles(logits, offsets, ends=8)[0]
    assert rows.shape == (20, 4)
    assert rows[0].tolist() == pytest.approx([1 / (1 + math.exp(-2)), 2.0, 4.0, 0.0])
    assert rows[1, 1:].tolist() == [1.5, 8.0, 1.0]  # cut at the end of the recording


def test_a_point_of_a_coarse_level_lies_at_its_factor():
    logits = [torch.zeros(2, 4), torch.tensor([[-9.0, 9.0], [9.0, -9.0]])]
    offsets = [torch.ones(2, 4, 2), torch.ones(2, 2, 2)]
    rows = decode_levels(logits, offsets, factors=(1, 2), ends=torch.tensor([4, 2]))
    assert rows[:, 0, 1:].tolist() == [[1.0, 3.0], [0.0, 1.0]]
    assert rows[1, :, 2].max() == 2.0


def test_equal_scores_keep_the_order_of_the_points():
    rows = decode_levels([torch.zeros(1, 5)], [torch.ones(1, 5, 2)], factors=(1,), ends=5)
    assert rows[0, :, 1].tolist() == [0.0, 0.0, 1.0, 2.0, 3.0]


def test_the_second_of_two_equal_short_segments_decays():
    rows = torch.tensor([[0.9, 10.0, 20.0], [0.8, 10.0, 20.0], [0.7, 100.0, 110.0]])
    picked, kept = suppress(rows, drops_last=False)
    assert picked.tolist() == [0, 2, 1]
    assert kept[:, 0].tolist() == pytest.approx([0.9, 0.7, 0.8 * math.exp(-1 / 0.7234)])
    assert kept[0, 1:].tolist() == pytest.approx([0.4, 0.8])


def test_a_segment_longer_than_3_7_s_decays_nothing():
    rows = torch.tensor([[0.9, 0.0, 100.0], [0.8, 0.0, 100.0]])
    _, kept = suppress(rows, drops_last=False)
    assert kept[:, 0].tolist() == pytest.approx([0.9, 0.8])


@pytest.mark.parametrize(
    ("n", "drops_last", "n_kept"), [(1, True, 0), (1, False, 1), (5, True, 4), (150, True, 101)]
)
def test_the_last_candidate_is_dropped_and_101_are_kept_at_most(n, drops_last, n_kept):
    rows = torch.stack((torch.linspace(1, 0.1, n), torch.arange(n) * 9.0, torch.arange(n) * 9.0 + 3), dim=1)
    picked, kept = suppress(rows, drops_last=drops_last)
    assert len(picked) == n_kept and kept.shape == (n_kept, 3)


def test_nothing_gives_nothing():
    picked, kept = suppress(torch.zeros(0, 3))
    assert picked.shape == (0,) and kept.shape == (0, 3)


@pytest.mark.dataset
def test_the_public_suppression_gives_the_same_on_its_golden_cases(parity_dir):
    n_runs = 0
    for path in sorted((parity_dir / "nms").glob("*.json")):
        case = json.loads(path.read_text())
        for run in case["runs"]:
            if run["implementation"] != "auvire.soft_nms_torch_parallel":
                continue
            expected = torch.tensor(run["expected"]["rows_score_begin_end"]).reshape(-1, 3)
            frames = torch.tensor(case["segments"]).reshape(-1, 2) * 25
            order = torch.tensor(case["scores"]).argsort(descending=True, stable=True)
            rows = torch.cat((torch.tensor(case["scores"])[:, None], frames), dim=1)[order]
            _, kept = suppress(rows)
            # 1e-4 frames: the peer works in float32 and prints nine digits
            torch.testing.assert_close(kept * torch.tensor([1.0, 25.0, 25.0]), expected, atol=1e-4, rtol=0)
            n_runs += 1
    assert n_runs >= 8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"drops_lasts": True}, "published: unknown keys .'drops_lasts'., allowed are .*'drops_last'"),
        ({"truncates": 1}, "published: truncates must be true or false, got 1"),
        ({"most_kept": 0}, "published: most_kept must be a whole number of at least 1, got 0"),
        ({"most_kept": True}, "published: most_kept must be a whole number"),
    ],
)
def test_quirks_that_are_none_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        PublishedQuirks.from_mapping(values)
