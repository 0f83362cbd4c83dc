from fractions import Fraction

import pytest

from avloc.media.clock import FrameClock, SampleClock, is_variable_rate, timestamp_to_seconds

HOUR = Fraction(3600)
RATE = 16_000


def seconds(samples: int) -> Fraction:
    return Fraction(samples, RATE)


def test_a_timestamp_becomes_exact_seconds():
    assert timestamp_to_seconds(1001, Fraction(1, 30000)) == Fraction(1001, 30000)


@pytest.mark.parametrize(
    ("times", "is_variable"),
    [
        ([Fraction(i * 1001, 30000) for i in range(20)], False),
        ([Fraction(round(i * 1000 / 30), 1000) for i in range(20)], False),
        ([Fraction(i, 30) for i in (0, 1, 2, 4, 5)], True),
        ([Fraction(0), Fraction(1, 25)], False),
        ([], False),
    ],
)
def test_a_rate_is_variable_beyond_the_rounding_of_its_time_base(times, is_variable):
    assert is_variable_rate(times, Fraction(1, 1000)) is is_variable


def test_jitter_below_twenty_milliseconds_is_no_gap():
    clock = SampleClock(HOUR)
    for i in range(100):
        jitter = Fraction((-1) ** i * 8, 1000) if i else 0
        place = clock.place(seconds(i * 1024) + jitter, 1024, RATE)
        assert place.new_run is (i == 0)
        assert place.n_samples == 1024
    assert (clock.n_gaps, clock.n_repaired, clock.position) == (0, 0, seconds(102400))


def test_a_late_start_and_a_gap_begin_new_runs_where_the_timestamps_say():
    clock = SampleClock(HOUR)
    assert clock.place(Fraction(476, 1000), 1600, RATE).start == Fraction(476, 1000)
    place = clock.place(Fraction(2), 1600, RATE)
    assert (place.new_run, place.start, clock.n_gaps) == (True, Fraction(2), 1)


def test_a_hole_of_exactly_one_comfort_noise_packet_is_a_gap():
    clock = SampleClock(HOUR)
    clock.place(Fraction(0), 160, 8000)
    assert clock.place(Fraction(40, 1000), 160, 8000).start == Fraction(40, 1000)


def test_sound_before_time_zero_is_left_out():
    clock = SampleClock(HOUR)
    assert clock.place(Fraction(-1, 10), 800, RATE).n_samples == 0
    place = clock.place(Fraction(-1, 20), 1600, RATE)
    assert (place.skip, place.start, place.n_samples) == (800, 0, 800)


def test_repeated_sound_is_left_out_and_a_broken_timestamp_is_bridged():
    clock = SampleClock(HOUR)
    clock.place(Fraction(0), 16000, RATE)
    place = clock.place(Fraction(9, 10), 3200, RATE)
    assert (place.skip, place.n_samples) == (1600, 1600)
    place = clock.place(Fraction(-95443, 1), 1600, RATE)  # a 33-bit counter wrapped
    assert (place.new_run, place.skip) == (False, 0)
    place = clock.place(Fraction(-95443, 1) + Fraction(1, 10), 1600, RATE)
    assert place.new_run is False
    assert clock.n_repaired == 2
    assert clock.position == Fraction(13, 10)


def test_a_timestamp_past_the_longest_recording_is_not_believed():
    clock = SampleClock(HOUR)
    clock.place(Fraction(0), 1600, RATE)
    assert clock.place(Fraction(7200), 1600, RATE).new_run is False
    assert clock.n_repaired == 1


@pytest.mark.parametrize("parts", [1.001, 0.999])
def test_a_clock_that_drifts_is_followed_without_gaps(parts):
    clock = SampleClock(HOUR)
    factor = Fraction(parts).limit_denominator(1000)
    for i in range(3000):
        place = clock.place(seconds(i * 1024) * factor, 1024, RATE)
        assert place.new_run is (i == 0)
    assert clock.n_gaps == 0
    assert abs(clock.position - seconds(3000 * 1024) * factor) < Fraction(15, 1000)
    assert clock.drift_ppm == pytest.approx((parts - 1) * 1e6, rel=0.1)


def shown(times, end=None):
    """Source frame at each grid frame, by the clock."""
    clock = FrameClock(Fraction(1, 25), HOUR)
    grid = []
    for i, time in enumerate(times):
        grid += [i - 1 for _ in clock.push(time)]
    return grid + [len(times) - 1 for _ in clock.finish(end)]


@pytest.mark.parametrize("rate", [Fraction(10), Fraction(15), Fraction(30000, 1001), Fraction(60)])
def test_the_frame_shown_at_the_centre_of_each_grid_frame_is_taken(rate):
    times = [i / rate for i in range(40)]
    grid = shown(times, 1 / rate)
    for index, source in enumerate(grid):
        centre = Fraction(2 * index + 1, 50)
        assert source == max(i for i, time in enumerate(times) if time <= centre)
    assert abs(len(grid) / 25 - float(40 / rate)) <= 0.02


def test_before_the_first_frame_nothing_is_shown():
    assert shown([Fraction(1, 10), Fraction(14, 100)]) == [-1, -1, 0, 1]


def test_broken_video_timestamps_are_repaired_at_the_nominal_distance():
    clock = FrameClock(Fraction(1, 25), HOUR)
    for time in (
        Fraction(0),
        None,
        Fraction(2, 25),
        Fraction(2, 25),
        Fraction(-1000),
        Fraction(-1000) + Fraction(1, 25),
    ):
        clock.push(time)
    assert clock.n_repaired == 3
    assert list(clock.finish(None)) == [5]
