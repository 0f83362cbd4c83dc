"""What is done to a whole recording moves its segments accordingly: laws on published forgeries.

The strongest segment of each clip is a real one and is followed. What lies near the threshold may come and
go: the recogniser reads pieces of fixed length from the start of the sound, and moved sound is cut elsewhere.
"""

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from avloc.cli.main import main
from avloc.media.encode import write_audio
from avloc.media.whole import read_audio
from avloc.pipelines.loading import load_localizer

FRAME_S = 0.04
CLIPS = ("lavdf-000083", "lavdf-000085")


@pytest.fixture(scope="module")
def localizer():
    return load_localizer("default", threads=1)


@pytest.fixture(scope="module")
def localize(localizer):
    """Localize a file once, however many tests ask for it."""
    known = {}

    def run(path):
        key = (str(path), path.stat().st_mtime_ns)
        if key not in known:
            known[key] = localizer(path)
        return known[key]

    return run


@pytest.fixture(params=CLIPS)
def clip(request, shared_media):
    return shared_media / "fake" / f"{request.param}.mp4"


@pytest.fixture
def sound(clip):
    """The sound of the clip at 16 kHz, (1, n)."""
    return read_audio(clip)[:1]


def strongest(prediction):
    best = max(prediction.detections, key=lambda d: d.score)
    return best.segment.start, best.segment.end


def assert_found(prediction, segment, moved_s=0.0, within_s=FRAME_S):
    """One of the segments is the one that was found before, moved."""
    ends = np.array([(d.segment.start, d.segment.end) for d in prediction.detections])
    assert len(ends), "nothing was found any more"
    errors = np.abs(ends - (np.array(segment) + moved_s)).max(axis=1)
    assert errors.min() <= within_s + 1e-9, f"{ends.tolist()} does not hold {segment} moved by {moved_s}"


def remux(source, target, *, delay_s=0.0):
    """Copy the streams of a clip into another container, all timestamps later."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        streams = {
            s.index: made.add_stream_from_template(s) for s in (*given.streams.video, *given.streams.audio)
        }
        for packet in given.demux(list(given.streams.video) + list(given.streams.audio)):
            if packet.dts is None:
                continue
            later = round(Fraction(delay_s) / packet.time_base)
            packet.pts, packet.dts = packet.pts + later, packet.dts + later
            packet.stream = streams[packet.stream.index]
            made.mux(packet)


@pytest.mark.parametrize(
    ("name", "delay_s"), [("a.mp4", 0), ("a.mkv", 0), ("a.ts", 0), ("a.mkv", 1.5), ("a.mov", 7)]
)
def test_another_container_and_a_later_start_change_nothing(localize, clip, tmp_path, name, delay_s):
    before = localize(clip)
    remux(clip, tmp_path / name, delay_s=delay_s)
    after = localize(tmp_path / name)
    # The priming samples of AAC, which an MP4 hides, are sound in other containers: there zero is earlier.
    moved_s = after.recording.video.start - before.recording.video.start
    assert moved_s == 0 or (name != "a.mp4" and 0 < moved_s < 0.1)
    assert_found(after, strongest(before), moved_s)
    assert after.verdict == before.verdict and after.score == pytest.approx(before.score, abs=0.02)


@pytest.fixture
def localize_sound(localize, tmp_path):
    def run(samples):
        path = tmp_path / f"{samples.shape[1]}.wav"
        write_audio(path, samples, 16_000)
        return localize(path)

    return run


def silence(duration_s):
    return np.zeros((1, round(duration_s * 16_000)), np.float32)


@pytest.mark.parametrize("delay_s", [0.48, 2.0, 9.6])
def test_silence_before_the_sound_moves_its_segments(localize_sound, sound, delay_s):
    segment = strongest(localize_sound(sound))
    assert_found(localize_sound(np.concatenate([silence(delay_s), sound], axis=1)), segment, delay_s)


def test_silence_after_the_sound_moves_nothing(localize_sound, sound):
    segment = strongest(localize_sound(sound))
    assert_found(localize_sound(np.concatenate([sound, silence(5.0)], axis=1)), segment)


@pytest.mark.parametrize("trimmed_s", [0.48, 2.0])
def test_a_trimmed_start_moves_segments_back(localize_sound, sound, trimmed_s):
    segment = strongest(localize_sound(sound))
    assert_found(localize_sound(sound[:, round(trimmed_s * 16_000) :]), segment, -trimmed_s)


@pytest.mark.parametrize("names", [CLIPS, CLIPS[::-1]])
def test_recordings_one_after_the_other_keep_their_segments(localize_sound, shared_media, names):
    first, second = (read_audio(shared_media / "fake" / f"{name}.mp4")[:1] for name in names)
    first = first[:, : first.shape[1] // 640 * 640]  # whole frames, or the second would lie between two
    both = localize_sound(np.concatenate([first, second], axis=1))
    assert_found(both, strongest(localize_sound(first)))
    # What lies around a segment is another sound now: its end was seen to move by 0.044 s.
    moved_s = first.shape[1] / 16_000
    assert_found(both, strongest(localize_sound(second)), moved_s, within_s=1.2 * FRAME_S)


def test_a_part_holds_the_segments_of_the_whole(shared_media, localize):
    path = shared_media / "fake" / f"{CLIPS[0]}.mp4"
    segment = strongest(localize(path))
    assert_found(load_localizer("default", threads=1, start_s=2.0)(path), segment)


def test_reproducible_documents_are_the_same_bytes(shared_media, capsys):
    paths = [str(shared_media / "fake" / f"{name}.mp4") for name in CLIPS]

    def run(*arguments):
        main(["localize", "--device", "cpu", "--reproducible", "--curves", "--format", "jsonl", *arguments])
        return capsys.readouterr().out.splitlines()

    first = run(*paths)
    assert len(first) == 2 and first == run(*paths)
    assert first == run(*reversed(paths))[::-1]  # what was analysed before leaves no trace
    assert "timing" not in json.loads(first[0])


def test_another_number_of_threads_stays_within_a_frame_and_a_ten_thousandth(shared_media, localize):
    path = shared_media / "fake" / f"{CLIPS[0]}.mp4"
    one, two = localize(path), load_localizer("default", threads=2)(path)
    assert len(one.detections) == len(two.detections)
    for a, b in zip(one.detections, two.detections, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-4)
        assert abs(a.segment.start - b.segment.start) <= FRAME_S >= abs(a.segment.end - b.segment.end)
    assert one.score == pytest.approx(two.score, abs=1e-4)
