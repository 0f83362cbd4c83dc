import pytest

from avloc.training.assignment import assign_frames, assign_points, collate_segments, level_range

N_LEVELS = 6


def positives(start: float, end: float, n_frames: int = 640) -> dict[int, list[int]]:
    segments, modality, valid = collate_segments([[(start, end, True, False)]])
    found = {}
    for level in range(N_LEVELS):
        targets = assign_points(
            segments, modality, valid, level=level, n_levels=N_LEVELS, n_points=-(-n_frames // 2**level)
        )
        found[level] = targets.positive[0].nonzero()[:, 0].tolist()
    return found


@pytest.mark.parametrize("length", [5.0, 7.3, 12.0, 30.0, 77.7, 150.0, 280.0])
def test_every_length_has_positive_points_on_some_level(length):
    assert any(positives(100.2, 100.2 + length).values())


def test_distances_lead_from_the_point_to_the_ends():
    segments, modality, valid = collate_segments([[(10.0, 20.0, True, True)]])
    targets = assign_points(segments, modality, valid, level=1, n_levels=N_LEVELS, n_points=20)
    for i in targets.positive[0].nonzero()[:, 0].tolist():
        point = (i + 0.5) * 2
        assert point - float(targets.distances[0, 0, i]) == pytest.approx(10.0)
        assert point + float(targets.distances[0, 1, i]) == pytest.approx(20.0)
    assert bool(targets.modality[0, :, targets.positive[0]].all())


def test_the_shortest_of_two_segments_wins():
    segments, modality, valid = collate_segments([[(10.0, 20.0, True, False), (11.0, 19.0, False, True)]])
    targets = assign_points(segments, modality, valid, level=1, n_levels=N_LEVELS, n_points=20)
    centre = targets.positive[0].nonzero()[:, 0].tolist()
    assert centre and all(targets.modality[0, :, i].tolist() == [0.0, 1.0] for i in centre)


def test_padding_rows_are_nobodys_target():
    segments, modality, valid = collate_segments([[], [(4.0, 9.0, True, False)]])
    for level in range(N_LEVELS):
        targets = assign_points(segments, modality, valid, level=level, n_levels=N_LEVELS, n_points=40)
        assert not bool(targets.positive[0].any())


def test_neighbouring_levels_overlap_and_the_last_is_open():
    ranges = [level_range(level, N_LEVELS) for level in range(N_LEVELS)]
    assert all(a[1] > b[0] for a, b in zip(ranges, ranges[1:], strict=False))
    assert ranges[-1][1] == float("inf")


def test_frames_inside_and_in_the_zone():
    segments, modality, valid = collate_segments([[(10.0, 20.0, True, False)]])
    inside, zone = assign_frames(segments, modality, valid, 40)
    assert inside[0, 0].nonzero()[:, 0].tolist() == list(range(10, 20))
    assert zone[0, 0].nonzero()[:, 0].tolist() == [8, 9, 10, 11, 18, 19, 20, 21]
    assert float(inside[0, 1].sum()) == float(zone[0, 1].sum()) == 0.0


def test_the_windows_own_ends_are_no_edges():
    segments, modality, valid = collate_segments([[(0.0, 40.0, True, False)]])
    _, zone = assign_frames(segments, modality, valid, 40)
    assert float(zone.sum()) == 0.0
