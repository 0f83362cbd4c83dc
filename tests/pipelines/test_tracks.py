import numpy as np
import pytest

from avloc.media.whole import read_audio
from avloc.pipelines.tracks import SLACK_FRAMES, Tracks
from avloc.pipelines.windows import plan_windows
from avloc.structures import Reason

FRAMES_OF_TWO_WINDOWS = 2 * 640


def run(media, blocks=None):
    tracks = Tracks(media.recording(), media.blocks() if blocks is None else blocks)
    return tracks, list(tracks)


def run_and_watch(media):
    """Windows, and how many frames were held before each block."""
    held = []

    def watched():
        for block in media.blocks():
            held.append(tracks.n_held_frames)
            yield block

    tracks = Tracks(media.recording(), watched())
    return held, list(tracks)


def test_windows_are_those_of_the_plan_and_hold_the_samples(make_media, make_noise):
    samples = make_noise(60.3)
    _, windows = run(make_media(samples))
    assert [w.window for w in windows] == list(plan_windows(1508))
    for cut in windows:
        first = cut.window.start * 640
        given = np.zeros(cut.window.n_frames * 640, np.float32)
        real = samples[0, first : cut.window.end * 640]
        given[: len(real)] = real
        np.testing.assert_array_equal(cut.waveforms[0], given)


@pytest.mark.parametrize("block_s", [0.04, 0.44, 1.0, 70.0])
def test_blocks_of_any_length_give_the_same_windows(make_media, make_noise, block_s):
    """Streaming is offline: one block that holds everything is the reference."""
    mouth = np.full(1600, 90.0)
    mouth[400:800] = np.nan
    media = make_media(make_noise(64.0, channels=2), mouth)
    media.block_s = 64.0
    expected_tracks, expected = run(media)
    media.block_s = block_s
    tracks, windows = run(media)
    assert [w.window for w in windows] == [w.window for w in expected]
    for cut, reference in zip(windows, expected, strict=True):
        assert cut.waveforms.keys() == reference.waveforms.keys() == {None}
        np.testing.assert_array_equal(cut.waveforms[None], reference.waveforms[None])
        np.testing.assert_array_equal(cut.heard, reference.heard)
        for picture, other in zip(cut.pictures, reference.pictures, strict=True):
            np.testing.assert_array_equal(picture.face, other.face)
            np.testing.assert_array_equal(picture.crops["mouth96_box"], other.crops["mouth96_box"])
    assert tracks.faces.usable_frames == expected_tracks.faces.usable_frames
    assert tracks.face_spans(64.0) == expected_tracks.face_spans(64.0)
    assert tracks.speech(None, 64.0) == expected_tracks.speech(None, 64.0)
    assert tracks.mix == expected_tracks.mix


def test_memory_does_not_grow_with_the_recording(make_media, make_noise):
    held, windows = run_and_watch(make_media(make_noise(200.0), np.full(5000, 90.0)))
    assert len(windows) == 14 and 600 < max(held) <= FRAMES_OF_TWO_WINDOWS


def test_a_stream_that_ends_early_does_not_hold_the_other_back(make_media, make_noise):
    held, windows = run_and_watch(make_media(make_noise(5.0), np.full(5000, 90.0)))
    assert max(held) <= FRAMES_OF_TWO_WINDOWS + SLACK_FRAMES
    assert [bool(cut.waveforms) for cut in windows] == [True] + [False] * 13


def test_a_stream_that_runs_a_little_behind_is_not_lost(make_media, make_noise):
    media = make_media(make_noise(60.0), np.full(1500, 90.0))
    sound = [b for b in media.blocks() if hasattr(b, "samples")]
    picture = [b for b in media.blocks() if not hasattr(b, "samples")]
    late = (
        picture[:20] + [b for pair in zip(sound[:40], picture[20:], strict=True) for b in pair] + sound[40:]
    )
    _, windows = run(media, late)
    for cut in windows:
        assert cut.heard.all() and cut.pictures[0].seen.all()


def one_after_the_other(media, *, sound_first):
    return sorted(media.blocks(), key=lambda block: hasattr(block, "samples") != sound_first)


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_that_comes_after_its_windows_is_there_but_not_analysed(make_media, make_noise, channels):
    media = make_media(make_noise(200.0, channels=channels), np.full(5000, 90.0))
    tracks, _ = run(media, one_after_the_other(media, sound_first=False))
    for measures in (*tracks.channels, tracks.mix):
        assert measures.heard_frames == 5000
        assert 0.1 < measures.coverage < 0.4


@pytest.mark.parametrize("sound_s", [100.0, 200.0])
def test_sound_that_was_not_waited_for_lowers_the_coverage(localize_made, make_media, make_noise, sound_s):
    media = make_media(make_noise(sound_s), np.full(5000, 90.0))
    late = one_after_the_other(media, sound_first=False)
    media.blocks = lambda first, last, crops: late
    prediction = localize_made(media)
    assert prediction.analysed.coverage_audio < 0.4 and prediction.analysed.coverage_visual == 1.0
    assert Reason.PARTIAL_COVERAGE in prediction.warnings
    assert [channel.relation for channel in prediction.channels] == ["distinct"]
    assert Reason.SILENT not in prediction.warnings


def test_pictures_that_come_after_their_windows_are_there_but_not_analysed(make_media, make_noise):
    media = make_media(make_noise(200.0), np.full(5000, 90.0))
    tracks, windows = run(media, one_after_the_other(media, sound_first=True))
    assert tracks.mix.coverage == 1.0 and tracks.n_video_frames == 5000
    assert tracks.faces.usable_frames < 2000
    assert sum(bool(cut.pictures) for cut in windows) < len(windows) / 2


def test_a_frame_of_sound_counts_from_half_of_its_samples_on(make_media, make_noise):
    present = np.ones(32000, bool)
    present[: 640 * 3 + 321] = False
    _, (cut,) = run(make_media(make_noise(2.0), present=present))
    assert not cut.heard[:4].any() and cut.heard[4:].all()


def test_a_face_for_less_than_a_second_is_not_used(make_media, make_noise):
    mouth = np.full(200, np.nan)
    mouth[50:70] = 90.0
    tracks, (cut,) = run(make_media(make_noise(8.0), mouth))
    assert cut.pictures == () and tracks.faces.usable_frames == 0


def test_speech_of_a_channel_that_is_analysed_late_keeps_its_time(make_media, shared_media):
    speech = read_audio(shared_media / "genuine" / "hdtf-aoc.mp4")[0, : 6 * 16000]
    samples = np.zeros((2, 70 * 16000), np.float32)
    samples[1, 50 * 16000 : 50 * 16000 + len(speech)] = speech
    samples[0, : len(speech)] = speech
    tracks, _ = run(make_media(samples))
    early, late = tracks.speech(0, 70.0), tracks.speech(1, 70.0)
    assert early.duration > 1.0 and late.duration == pytest.approx(early.duration, abs=0.3)
    # Speech that begins with the first sample is noticed some hops of 0.032 s later than after a pause.
    assert late.segments[0].start - early.segments[0].start == pytest.approx(50.0, abs=0.2)
