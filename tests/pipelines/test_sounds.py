import numpy as np
import pytest

from avloc.pipelines.sounds import choose_sound, relate

N = 50
ALL = np.ones(N, bool)


def tone(hz, level=0.1):
    return (level * np.sin(2 * np.pi * hz * np.arange(N * 640) / 16000)).astype(np.float32)


SILENCE = np.zeros(N * 640, np.float32)


def choose(samples, channels, heard=ALL):
    return choose_sound(samples, relate(samples, heard), channels)


def test_each_channel_that_says_something_new_is_chosen():
    samples = np.stack([tone(200), tone(200), SILENCE, tone(310), -tone(310)])
    chosen = choose(samples, "each")
    assert list(chosen) == [0, 3, 4]
    np.testing.assert_array_equal(chosen[3], samples[3])


def test_the_mix_is_the_mean_of_the_distinct_channels_with_inverted_ones_flipped():
    chosen = choose(np.stack([tone(200), -tone(200), tone(200), SILENCE, tone(310)]), "mix")
    assert list(chosen) == [None]
    np.testing.assert_allclose(chosen[None], (2 * tone(200) + tone(310)) / 3, atol=1e-6)


def test_one_channel_is_chosen_unless_it_is_silent():
    samples = np.stack([tone(200), tone(200), SILENCE])
    assert list(choose(samples, 1)) == [1]
    assert choose(samples, 2) == {}


@pytest.mark.parametrize("channels", ["each", "mix", 0])
def test_nothing_is_chosen_where_there_is_nothing_to_hear(channels):
    assert choose(SILENCE[None], channels) == {}
    assert choose(None, channels) == {}
    assert choose(tone(200)[None], channels, heard=np.arange(N) < 11) == {}  # less than half a second
    assert choose(tone(200)[None], channels, heard=np.arange(N) < 12) != {}
