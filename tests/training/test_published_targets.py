"""Targets of the public trainings: the end is included, later segments win, late ones are cut or refused."""

import pytest

from avloc.training.published_targets import assign_published, assign_tiles


def test_the_last_frame_is_included_and_a_later_segment_wins():
    targets = assign_published([(0.0, 0.2), (0.16, 0.28)], 10)
    assert targets[:, 0].tolist() == [1.0] * 8 + [0.0] * 2
    assert targets[3, 1:].tolist() == [3.0, 2.0] and targets[4, 1:].tolist() == [0.0, 3.0]


def test_a_late_segment_is_cut_or_refused():
    assert assign_published([(23.5, 24.0)], 600)[587:, 0].sum() == 13
    assert assign_published([(23.5, 24.0)], 600)[599, 2] == 1.0  # frame 600 is the last
    with pytest.raises(ValueError, match="reaches frame 600 of a window of 600"):
        assign_published([(23.5, 24.0)], 600, refuses_late=True)
    assert assign_published([(30.0, 31.0)], 600).sum() == 0


def test_the_picture_comes_before_the_sound():
    targets = assign_tiles([(0.0, 0.04)], [(0.08, 0.08)], 4)
    assert targets[:, 0].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]
