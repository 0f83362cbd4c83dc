"""Only a part of a recording is analysed: times stay its own, and the rest is never called clean."""

import numpy as np
import pytest

from avloc.structures import Reason, Status, Verdict


@pytest.fixture
def media(make_media, make_noise):
    mouth = np.full(2500, 90.0)
    mouth[2000:2025] = 220.0
    return make_media(make_noise(100.0, (10.0, 11.0), (50.0, 51.0), (70.0, 71.0)), mouth)


def starts(prediction):
    return sorted(round(d.segment.start, 2) for d in prediction.detections)


def test_only_what_lies_in_the_part_is_found_at_its_place(localize_made, media):
    prediction = localize_made(media, start_s=40.0, end_s=90.0, curves=True, frames=True)
    np.testing.assert_allclose(starts(prediction), [50.0, 70.0, 80.0], atol=0.05)
    (analysed,) = [s.segment for s in prediction.spans if s.kind == "analysed"]
    assert (analysed.start, analysed.end) == (40.0, 90.0)
    assert prediction.analysed.duration_s == 100.0
    assert prediction.analysed.coverage_audio == prediction.analysed.coverage_visual == 0.5
    for curve in prediction.curves:
        assert curve.start == 40.0 and len(curve.values) == 1250 and None not in curve.values
    table = prediction.frames
    assert table.time_s[[0, -1]].tolist() == [40.0, pytest.approx(89.96)] and len(table) == 1250
    assert table.source_frame[[0, -1]].tolist() == [1000, 2249]
    assert [f.segment.start for f in prediction.faces] == [40.0]


def test_the_windows_are_those_of_the_part_alone(localize_made, media, make_media, network):
    localize_made(media, start_s=40.0, end_s=90.0)
    lengths = [call["n_frames"] for call in network.calls]
    network.calls.clear()
    localize_made(make_media(media.samples[:, 40 * 16000 : 90 * 16000], media.mouth[1000:2250]))
    assert lengths == [call["n_frames"] for call in network.calls]


def test_a_segment_is_cut_at_the_ends_of_the_part(localize_made, media):
    prediction = localize_made(media, start_s=50.5, end_s=70.5)
    ends = sorted((d.segment.start, d.segment.end) for d in prediction.detections)
    np.testing.assert_allclose(ends, [(50.48, 51.0), (70.0, 70.52)], atol=0.05)
    assert min(ends)[0] >= 50.48 and max(ends)[1] <= 70.52  # whole frames


def test_a_small_part_without_a_find_is_inconclusive(localize_made, media):
    prediction = localize_made(media, start_s=20.0, end_s=45.0)
    assert (prediction.verdict, prediction.reasons) == (Verdict.INCONCLUSIVE, (Reason.PARTIAL_COVERAGE,))
    assert localize_made(media, start_s=52.0, end_s=69.0).verdict is Verdict.INCONCLUSIVE
    assert localize_made(media, end_s=55.0).verdict is Verdict.FORGED_SEGMENTS_FOUND


@pytest.mark.parametrize(
    ("part", "reason", "words"),
    [
        (
            {"start_s": 100.0},
            Reason.NO_SAMPLES,
            "ends at 100.000 s and the part begins at 100.000 s; begin earlier",
        ),
        ({"start_s": 99.7}, Reason.TOO_SHORT, "in 0.320 s of media from 99.680 s on"),
        ({"end_s": 0.3}, Reason.TOO_SHORT, "in 0.320 s of media"),
    ],
)
def test_a_part_with_nothing_in_it_says_so(localize_made, media, part, reason, words):
    prediction = localize_made(media, **part)
    assert (prediction.status, prediction.reasons) == (Status.NOT_ANALYSABLE, (reason,))
    assert prediction.message.endswith(words)


def test_the_real_time_factor_is_that_of_the_part(localize_made, media):
    timing = localize_made(media, start_s=90.0).timing
    assert timing.real_time_factor == pytest.approx(timing.wall_s / 10.0)


@pytest.mark.parametrize("part", [(5.0, 5.0), (-1.0, None), (0.0, 0.0), (float("nan"), None), (None, -2.0)])
def test_a_part_that_is_none_is_refused(localizer_of, part):
    with pytest.raises(ValueError, match="0 <= start_s < end_s"):
        localizer_of(start_s=part[0], end_s=part[1])
