from fractions import Fraction

import numpy as np
import pytest

from avloc.metrics import FrameScores, SegmentTable, auc, frame_auc, pool_frames
from avloc.structures import Curve

REFERENCES = SegmentTable.from_spans({"forged": [[0.4, 1.2]], "genuine": []})


def zones():
    """Frames of the forged recording by hand: 25 Hz, edges at frames 10 and 30, two frames to each side."""
    forged, boundary = np.zeros(50, dtype=bool), np.zeros(50, dtype=bool)
    forged[10:30] = True
    boundary[8:12] = boundary[28:32] = True
    return forged, boundary


def test_two_frames_on_each_side_of_an_edge_are_the_boundary_zone():
    pooled = pool_frames({"forged": FrameScores(np.zeros(50))}, REFERENCES)
    forged, boundary = zones()
    np.testing.assert_array_equal(pooled.is_forged, forged)
    np.testing.assert_array_equal(pooled.is_boundary, boundary)


def test_inside_and_boundary_share_their_genuine_frames():
    values = np.random.default_rng(0).normal(size=(2, 50))
    frames = {"forged": FrameScores(values[0]), "genuine": FrameScores(values[1])}
    figures = frame_auc(pool_frames(frames, REFERENCES))
    forged, boundary = zones()
    genuine = np.concatenate([values[0][~forged & ~boundary], values[1]])
    for name, chosen in (("inside", forged & ~boundary), ("boundary", forged & boundary)):
        scores = np.concatenate([values[0][chosen], genuine])
        expected = auc(scores, np.arange(len(scores)) < chosen.sum())
        assert figures[f"frame_AUC_{name}"] == expected
    assert figures["frame_AUC"] == auc(values.ravel(), np.concatenate([forged, np.zeros(50, dtype=bool)]))


def test_a_detector_of_transitions_has_a_boundary_figure_and_no_inside():
    _, boundary = zones()
    figures = frame_auc(pool_frames({"forged": FrameScores(boundary.astype(float))}, REFERENCES))
    assert figures["frame_AUC_boundary"] == 1.0 and figures["frame_AUC_inside"] == 0.5


def test_frames_without_a_score_are_left_out_and_counted():
    values = np.array([np.nan] * 25 + [0.5] * 25)
    pooled = pool_frames(
        {"forged": FrameScores(values), "genuine": None, "unknown": FrameScores(values)}, REFERENCES
    )
    assert len(pooled.scores) == 25 and pooled.coverage == 0.5


def test_the_start_and_the_rate_of_a_curve_are_respected():
    late = FrameScores(np.zeros(10), rate=Fraction(10), start=0.25)
    pooled = pool_frames({"forged": late}, REFERENCES)
    centres = 0.25 + (np.arange(10) + 0.5) / 10
    np.testing.assert_array_equal(pooled.is_forged, (centres >= 0.4) & (centres < 1.2))


def test_curves_become_their_largest_value():
    curves = [
        Curve("score_audio", 0.0, Fraction(25), (0.1, None, None)),
        Curve("score_visual", 0.0, Fraction(25), (0.3, 0.2)),
    ]
    np.testing.assert_array_equal(FrameScores.from_curves(curves).values, [0.3, 0.2, np.nan])
    assert FrameScores.from_curves([]) is None
    later = Curve("score_visual", 0.04, Fraction(25), (0.4, 0.3))
    np.testing.assert_array_equal(FrameScores.from_curves([curves[0], later]).values, [0.1, 0.4, 0.3])
    with pytest.raises(ValueError, match="must lie on one grid"):
        FrameScores.from_curves([curves[0], Curve("score_visual", 0.02, Fraction(25), (0.3,))])


def test_no_frames_give_no_figures():
    pooled = pool_frames({}, REFERENCES)
    assert pooled.coverage is None and all(np.isnan(v) for v in frame_auc(pooled).values())


def test_weights_count_recordings_several_times():
    values = np.random.default_rng(1).normal(size=(2, 50))
    frames = {"forged": FrameScores(values[0]), "genuine": FrameScores(values[1])}
    once = frame_auc(pool_frames(frames, REFERENCES), weights=np.array([1.0, 3.0]))
    several = SegmentTable.from_spans({"forged": [[0.4, 1.2]], "g0": [], "g1": [], "g2": []})
    frames |= {f"g{i}": frames["genuine"] for i in range(3)}
    expected = frame_auc(pool_frames(frames, several))
    assert once == pytest.approx(expected, abs=1e-12)
