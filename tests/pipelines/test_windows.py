import numpy as np
import pytest
import torch

from avloc.decoding.proposals import Proposals
from avloc.features.audio import PIECE_FRAMES, PIECE_HOP
from avloc.pipelines.windows import Merger, fill_up, frame_evidence, next_window, plan_windows

LENGTHS = [1, 13, 160, 161, 280, 281, 640, 641, 999, 1000, 1001, 1360, 1361, 7500]


@pytest.mark.parametrize("n_frames", LENGTHS)
def test_cores_tile_the_recording(n_frames):
    windows = list(plan_windows(n_frames))
    edges = [w.core_start for w in windows] + [windows[-1].core_end]
    assert edges[0] == 0 and edges[-1] == n_frames
    assert all(a < b for a, b in zip(edges, edges[1:], strict=False))
    assert all(a.core_end == b.core_start for a, b in zip(windows, windows[1:], strict=False))


@pytest.mark.parametrize("n_frames", LENGTHS)
def test_a_core_lies_in_its_window_and_no_neighbour_is_nearer(n_frames):
    windows = list(plan_windows(n_frames))
    for window in windows:
        assert window.start <= window.core_start < window.core_end <= window.end
    for window, following in zip(windows, windows[1:], strict=False):
        assert window.end - window.core_end == window.core_end - following.start
        assert window.start + 640 == window.end


@pytest.mark.parametrize("n_frames", LENGTHS)
def test_every_window_has_a_length_that_cuts_into_whole_pieces(n_frames):
    for window in plan_windows(n_frames):
        assert window.network_frames in (160, 280, 400, 520, 640)
        assert window.n_frames <= window.network_frames < max(PIECE_FRAMES + 1, window.n_frames + PIECE_HOP)
        assert window.start % PIECE_HOP == 0


@pytest.mark.parametrize("n_frames", LENGTHS)
def test_windows_are_the_same_however_the_frames_arrive(n_frames):
    emitted, index = [], 0
    for available in [*range(0, n_frames, 25), n_frames]:
        while (window := next_window(index, available, ended=False)) is not None:
            emitted.append(window)
            index += 1
    while (window := next_window(index, n_frames, ended=True)) is not None:
        emitted.append(window)
        index += 1
    assert emitted == list(plan_windows(n_frames))


@pytest.mark.parametrize("n_frames", LENGTHS)
def test_the_new_parts_of_the_windows_hold_every_frame_once(n_frames):
    counted = np.zeros(n_frames, dtype=int)
    for window in plan_windows(n_frames):
        counted[window.new_start : window.end] += 1
    assert (counted == 1).all()


def test_a_short_recording_is_filled_up_by_repeating_it():
    filled = fill_up(np.arange(3), 8)
    assert filled.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert fill_up(np.ones((2, 5)), 5, axis=1).shape == (2, 5)
    with pytest.raises(ValueError, match="expected 1 to 8"):
        fill_up(np.zeros(0), 8)


def equivariant_proposals(window, truth):
    """What a shift-equivariant network proposes: every true segment that this window holds, cut to it."""
    start_s = window.start / 25
    rows = [(max(s - start_s, 0.0), min(e - start_s, window.n_frames / 25)) for s, e in truth]
    rows = torch.tensor([r for r in rows if r[1] > r[0]], dtype=torch.float32).reshape(-1, 2)
    return Proposals(rows, torch.full((len(rows),), 0.9), torch.full((len(rows), 2), 0.7))


@pytest.mark.parametrize(("length_s", "offset_s"), [(0.2, 0.0), (1.0, 0.013), (11.2, 0.02)])
def test_a_segment_anywhere_in_five_minutes_comes_out_once_at_its_place(length_s, offset_s):
    n_frames = 7500
    for start_s in np.arange(0.0, 300.0 - length_s - offset_s, 0.7) + offset_s:
        truth = [(float(start_s), float(start_s + length_s))]
        merger = Merger(window_top_k=300, min_score=0.01)
        for window in plan_windows(n_frames):
            merger.add(window, equivariant_proposals(window, truth), {})
        merged = merger.proposals(0.0, 300.0)
        assert len(merged) == 1, start_s
        np.testing.assert_allclose(merged.segments[0].numpy(), truth[0], atol=4e-6)  # float32 steps at 25 s
        assert merged.segments.dtype == torch.float64


def test_curves_are_stitched_from_the_cores():
    n_frames = 1500
    merger = Merger(window_top_k=1, min_score=0.0)
    nothing = Proposals(torch.zeros(0, 2), torch.zeros(0), torch.zeros(0, 2))
    for window in plan_windows(n_frames):
        position = np.arange(window.start, window.end, dtype=np.float32)
        merger.add(window, nothing, {"position": position, "window": np.full(window.n_frames, window.index)})
    np.testing.assert_array_equal(merger.curve("position", n_frames), np.arange(n_frames))
    assert merger.curve("window", n_frames)[[499, 500, 859, 860]].tolist() == [0, 1, 1, 2]
    assert np.isnan(merger.curve("absent", n_frames)).all()


def test_a_window_that_was_left_out_leaves_no_value():
    merger = Merger(window_top_k=1, min_score=0.0)
    nothing = Proposals(torch.zeros(0, 2), torch.zeros(0), torch.zeros(0, 2))
    first, second, *_ = plan_windows(1200)
    merger.add(second, nothing, {"x": np.ones(second.n_frames)})
    curve = merger.curve("x", 1200)
    assert np.isnan(curve[: first.core_end]).all() and (curve[first.core_end : second.core_end] == 1).all()


def test_proposals_beyond_the_duration_are_cut():
    (window,) = plan_windows(100)
    rows = torch.tensor([[1.0, 4.0], [3.95, 4.0]])
    merger = Merger(window_top_k=5, min_score=0.0)
    merger.add(window, Proposals(rows, torch.ones(2), torch.ones(2, 2)), {})
    assert merger.proposals(0.0, 3.9).segments.tolist() == [[1.0, 3.9]]
    assert merger.proposals(1.2, 3.9).segments.tolist() == [[1.2, 3.9]]


def test_a_noisy_window_hands_on_only_its_best_proposals():
    (window,) = plan_windows(600)
    rows = torch.stack([torch.arange(20.0), torch.arange(20.0) + 1], dim=1)
    scores = torch.linspace(0, 1, 20)
    merger = Merger(window_top_k=3, min_score=0.01)
    merger.add(window, Proposals(rows, scores, torch.ones(20, 2)), {})
    assert merger.proposals(0.0, 24.0).scores.tolist() == pytest.approx(scores[[19, 18, 17]].tolist())


def test_frame_evidence_is_the_larger_of_the_streams_and_zero_where_nothing_was_analysed():
    audio = np.array([0.2, np.nan, np.nan, 0.9], dtype=np.float32)
    visual = np.array([0.5, 0.1, np.nan, np.nan], dtype=np.float32)
    torch.testing.assert_close(frame_evidence(audio, visual), torch.tensor([0.5, 0.1, 0.0, 0.9]))


def test_the_network_declares_the_windows_and_pieces_that_it_is_given():
    from avloc.features.audio import PIECE_FRAMES, PIECE_HOP, WINDOW_FRAMES, WINDOW_HOP
    from avloc.models.encoders import two_stem
    from avloc.models.hierarchical import HierarchicalLocalizer

    declared = (HierarchicalLocalizer.window_frames, HierarchicalLocalizer.window_hop_frames)
    assert declared == (WINDOW_FRAMES, WINDOW_HOP)
    assert (two_stem.PIECE_FRAMES, two_stem.PIECE_HOP) == (PIECE_FRAMES, PIECE_HOP)
