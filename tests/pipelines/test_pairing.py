import numpy as np

from avloc.pipelines.pairing import choose_views, relate

N = 50
ALL, NONE = np.ones(N, bool), np.zeros(N, bool)


def tone(hz, level=0.1):
    return (level * np.sin(2 * np.pi * hz * np.arange(N * 640) / 16000)).astype(np.float32)


def choose(samples, *, has_video=False, mouth=None, seen=NONE, heard=ALL, channels=None):
    channels = channels or ("mix" if has_video else "each")
    relations = relate(samples, heard)
    return choose_views(
        samples, heard, mouth, seen, relations=relations, channels=channels, has_video=has_video
    )


def test_without_a_picture_each_channel_that_says_something_new_is_a_view():
    samples = np.stack([tone(200), tone(200), np.zeros(N * 640, np.float32), tone(310), -tone(310)])
    views = choose(samples)
    assert [view.channel for view in views] == [0, 3, 4]
    np.testing.assert_array_equal(views[1].waveform, samples[3])
    assert all(view.mouth is None and not view.seen.any() for view in views)


def test_with_a_picture_the_distinct_channels_are_averaged_and_inverted_ones_flipped():
    samples = np.stack([tone(200), -tone(200), tone(200), np.zeros(N * 640, np.float32), tone(310)])
    (view,) = choose(samples, has_video=True)
    assert view.channel is None
    np.testing.assert_allclose(view.waveform, (2 * tone(200) + tone(310)) / 3, atol=1e-6)


def test_a_silent_window_with_a_face_is_seen_and_not_heard():
    mouth = np.full((N, 96, 96), 90, np.uint8)
    (view,) = choose(np.zeros((1, N * 640), np.float32), has_video=True, mouth=mouth, seen=ALL)
    assert view.waveform is None and not view.heard.any() and view.seen.all()


def test_a_window_with_neither_sound_nor_face_has_no_view():
    assert choose(np.zeros((1, N * 640), np.float32), has_video=True) == ()
    assert choose(np.zeros((1, N * 640), np.float32)) == ()
    assert choose(None, has_video=True) == ()


def test_less_than_half_a_second_of_a_stream_is_no_view():
    little = np.arange(N) < 11
    mouth = np.full((N, 96, 96), 90, np.uint8)
    assert choose(tone(200)[None], heard=little) == ()
    assert choose(None, has_video=True, mouth=mouth, seen=little) == ()
    assert len(choose(None, has_video=True, mouth=mouth, seen=np.arange(N) < 12)) == 1
