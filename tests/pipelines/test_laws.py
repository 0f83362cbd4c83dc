"""What is done to a whole recording moves its segments accordingly.

A forged segment that is found well is followed: the word of the demo, and a second of another voice in real
speech. What is weak may come and go: the recogniser reads pieces of fixed length from the start of the sound,
and moved sound is cut elsewhere.
"""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avloc.cli.main import main
from avloc.media.encode import write_audio
from avloc.media.whole import read_audio
from avloc.pipelines.loading import load_localizer

FRAME_S = 0.04
LISTED = 0.3
DEMO = Path(__file__).resolve().parents[2] / "demo" / "talking_head.mp4"
SPLICES = {
    "1116": ("ls-1116-132847-0000", "ls-2092-145706-0000"),
    "5322": ("ls-5322-7678-0000", "ls-1116-132847-0000"),
}  # host, and whose voice is put in


@pytest.fixture(scope="module")
def localizer():
    # Whatever the threshold of the weights: a law holds for a weak segment too.
    return load_localizer("default", threads=1, min_score=LISTED)


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


@pytest.fixture(scope="module")
def spliced(shared_media):
    """Real speech with the second from 5 s on in another voice, by name: (1, n) at 16 kHz."""

    def read(name):
        return read_audio(shared_media / "speech" / f"{name}.flac")[:1]

    made = {}
    for name, (host, other) in SPLICES.items():
        sound, voice = read(host).copy(), read(other)
        level = np.sqrt(np.square(sound).mean() / np.square(voice).mean())
        sound[:, 80_000:96_000] = level * voice[:, 64_000:80_000]
        made[name] = sound
    return made


@pytest.fixture(params=sorted(SPLICES))
def sound(request, spliced):
    return spliced[request.param]


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
def test_another_container_and_a_later_start_change_nothing(localize, tmp_path, name, delay_s):
    before = localize(DEMO)
    remux(DEMO, tmp_path / name, delay_s=delay_s)
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


@pytest.mark.parametrize("names", [sorted(SPLICES), sorted(SPLICES)[::-1]])
def test_recordings_one_after_the_other_keep_their_segments(localize_sound, spliced, names):
    first, second = (spliced[name] for name in names)
    first = first[:, : first.shape[1] // 640 * 640]  # whole frames, or the second would lie between two
    both = localize_sound(np.concatenate([first, second], axis=1))
    assert_found(both, strongest(localize_sound(first)))
    # What lies around a segment is another sound now: its end was seen to move by 0.044 s.
    moved_s = first.shape[1] / 16_000
    assert_found(both, strongest(localize_sound(second)), moved_s, within_s=1.2 * FRAME_S)


def test_a_part_holds_the_segments_of_the_whole(sound, localize, tmp_path):
    path = tmp_path / "whole.wav"
    write_audio(path, sound, 16_000)
    segment = strongest(localize(path))
    assert_found(load_localizer("default", threads=1, min_score=LISTED, start_s=2.0)(path), segment)


def test_reproducible_documents_are_the_same_bytes(spliced, capsys, tmp_path):
    write_audio(tmp_path / "a.wav", spliced["1116"], 16_000)
    paths = [str(DEMO), str(tmp_path / "a.wav")]

    def run(*arguments):
        main(["localize", "--device", "cpu", "--reproducible", "--curves", "--format", "jsonl", *arguments])
        return capsys.readouterr().out.splitlines()

    first = run(*paths)
    assert len(first) == 2 and first == run(*paths)
    assert first == run(*reversed(paths))[::-1]  # what was analysed before leaves no trace
    assert "timing" not in json.loads(first[0])


def test_another_number_of_threads_stays_within_a_frame_and_a_ten_thousandth(localize):
    one, two = localize(DEMO), load_localizer("default", threads=2, min_score=LISTED)(DEMO)
    assert len(one.detections) == len(two.detections)
    for a, b in zip(one.detections, two.detections, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-4)
        assert abs(a.segment.start - b.segment.start) <= FRAME_S >= abs(a.segment.end - b.segment.end)
    assert one.score == pytest.approx(two.score, abs=1e-4)
