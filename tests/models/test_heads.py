import pytest
import torch

from avloc.models.heads import PRIOR, FrameHead, PointHead, RecordingHead


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def make_level(n_frames: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(2, 8, n_frames, generator=torch.Generator().manual_seed(1))
    return x, torch.ones(2, n_frames, dtype=torch.bool)


def test_points_have_a_score_two_distances_and_two_modalities():
    score, distances, modality = PointHead(channels=8, n_levels=3)(*make_level(), 1)
    assert score.shape == (2, 12) and distances.shape == modality.shape == (2, 2, 12)
    assert bool((distances > 0).all())


def test_distances_grow_with_the_stride_of_the_level():
    head = PointHead(channels=8, n_levels=3).eval()
    first, second, third = (head(*make_level(), level)[1] for level in range(3))
    torch.testing.assert_close(second, 2 * first)
    torch.testing.assert_close(third, 4 * first)
    with torch.no_grad():
        head.level_scale[1] += 1.0
    assert bool((head(*make_level(), 1)[1] > second).all())
    torch.testing.assert_close(head(*make_level(), 2)[1], third)


def test_at_the_start_a_point_is_as_likely_as_the_share_of_positive_ones():
    x, mask = make_level()
    score, _, _ = PointHead(channels=8, n_levels=1)(0 * x, mask, 0)
    assert float(score.sigmoid().mean()) == pytest.approx(PRIOR, rel=0.8)
    inside, boundary = FrameHead(channels=8)(0 * x, mask)
    assert inside.shape == boundary.shape == (2, 2, 12)
    assert float(inside.sigmoid().mean()) < 0.4 and float(boundary.sigmoid().mean()) < 0.15


def test_masked_frames_are_not_heard_by_their_neighbours():
    x, mask = make_level()
    mask[:, 6:] = False
    x = x * mask[:, None]
    for head, arguments in ((PointHead(channels=8, n_levels=1), (0,)), (FrameHead(channels=8), ())):
        head.eval()
        padded = head(x, mask, *arguments)
        short = head(x[:, :, :6], mask[:, :6], *arguments)
        for a, b in zip(padded, short, strict=True):
            torch.testing.assert_close(a[..., :6], b, atol=1e-5, rtol=0)


def test_the_recordings_logit_reads_the_level_and_the_strongest_values():
    head = RecordingHead(channels=8)
    x, mask = make_level()
    strongest = torch.zeros(2, 3)
    logit = head(x, mask, strongest)
    assert logit.shape == (2,)
    for k in range(3):
        changed = strongest.clone()
        changed[0, k] = 6.0
        other = head(x, mask, changed)
        assert float(other[0]) != float(logit[0]) and float(other[1]) == float(logit[1])
    assert float(head(2 * x, mask, strongest)[0]) != float(logit[0])


def test_the_recordings_logit_ignores_masked_frames_and_survives_their_being_all():
    head = RecordingHead(channels=8)
    x, mask = make_level()
    mask[0, 5:], mask[1] = False, False
    loud = x.clone()
    loud[0, :, 5:] = 50.0
    strongest = torch.zeros(2, 3)
    first, second = head(x, mask, strongest), head(loud, mask, strongest)
    torch.testing.assert_close(first[0], second[0])
    assert bool(first.isfinite().all())
