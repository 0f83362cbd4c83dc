"""Blocks of a part are those of the whole recording, wherever it begins and whatever the container."""

from fractions import Fraction

import numpy as np
import pytest

from avloc.media.decode import AudioBlock, Decoder, VideoBlock
from avloc.media.probe import open_recording
from avloc.structures import Reason


def decode(path, frames=(0, None), crops=()):
    decoder = Decoder(open_recording(path), crops=crops, frames=frames)
    blocks = list(decoder)
    sound = [b for b in blocks if isinstance(b, AudioBlock)]
    picture = [b for b in blocks if isinstance(b, VideoBlock)]
    samples = np.concatenate([b.samples for b in sound], axis=1) if sound else None
    sources = np.concatenate([b.source_index for b in picture]) if picture else None
    starts = (sound[0].start_sample if sound else None, picture[0].start_frame if picture else None)
    return starts, samples, sources, decoder


TIMES = [Fraction(i, 30) for i in range(360)]  # 12 s
CLICKS_S = (3.3, 5.0, 11.97)
SOUNDS = {
    "wav": "pcm_s16le",
    "flac": "flac",
    "mp3": "mp3",
    "ogg": "libopus",
    "m4a": "aac",
    "mka": "pcm_s16le",
}


@pytest.mark.parametrize("frames", [(0, 100), (75, 200), (113, None), (299, 300)])
@pytest.mark.parametrize("extension", SOUNDS)
def test_sound_of_a_part_is_that_of_the_whole(make, extension, frames):
    codec = SOUNDS[extension]
    rate = 48000 if codec == "libopus" else 44100
    samples = make.tone(12.0, rate, clicks=CLICKS_S)
    path = make.clip(f"a.{extension}", picture_codec=None, sound_codec=codec, samples=samples, rate=rate)
    _, whole, _, _ = decode(path)
    (start, _), part, _, decoder = decode(path, frames)
    first, last = frames[0] * 640, whole.shape[1] if frames[1] is None else frames[1] * 640
    assert start == first and abs(part.shape[1] - (last - first)) <= 16  # timestamps of a millisecond
    part, expected = part[0][: last - first - 16], whole[0, first : last - 16]
    # A resampler that starts elsewhere lies up to half a sample beside, and where timestamps are whole
    # milliseconds, half of one: a click shows it, a tone hardly.
    calm = np.convolve(np.abs(expected) > 0.06, np.ones(401), mode="same") < 0.5
    np.testing.assert_allclose(part[calm], expected[calm], atol=0.04 if extension == "mka" else 0.01)
    for click_s in CLICKS_S:
        at = round(click_s * 16000) - first
        if 100 < at < len(part) - 100:
            assert abs(int(np.argmax(part[at - 99 : at + 100])) - 99) <= 24  # a click is 1 ms long
    assert decoder.warnings == ()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.mpg"])
@pytest.mark.parametrize("frames", [(0, 60), (75, 200), (113, None), (275, 276)])
def test_pictures_of_a_part_are_those_of_the_whole(make, name, frames):
    regular = name in ("a.avi", "a.mpg", "a.ts")  # they know usual frame rates only
    times = [Fraction(i, 25) for i in range(300)] if regular else TIMES
    path = make.clip(
        name,
        times=times,
        samples=make.tone(12.0, 44100),
        rate=44100,
        picture_codec="mpeg2video" if name in ("a.mpg", "a.ts") else "mpeg4",
        sound_codec="mp2" if name in ("a.mpg", "a.ts", "a.avi") else "aac",
    )
    _, whole_sound, whole, _ = decode(path)
    (_, start), sound, part, _ = decode(path, frames)
    last = len(whole) if frames[1] is None else frames[1]
    assert start == frames[0]
    np.testing.assert_array_equal(part, whole[frames[0] : last])
    expected = whole_sound.shape[1] - frames[0] * 640 if frames[1] is None else (last - frames[0]) * 640
    assert abs(sound.shape[1] - expected) <= 16  # timestamps of a millisecond


def test_faces_of_a_part_are_found_where_they_are(shared_media):
    path = shared_media / "genuine" / "hdtf-aoc.mp4"

    def seen(frames):
        blocks = [b for b in Decoder(open_recording(path), frames=frames) if isinstance(b, VideoBlock)]
        return {
            b.start_frame + int(i): f.boxes[i]
            for b in blocks
            for f in b.faces
            for i in np.flatnonzero(f.present)
        }

    whole, part = seen((0, None)), seen((60, 110))
    assert set(part) == set(range(60, 110)) <= set(whole)
    for frame in range(70, 100):
        np.testing.assert_allclose(part[frame], whole[frame], atol=12)  # another frame is searched for faces


def test_a_part_behind_the_end_is_empty_and_no_damage(make):
    starts, samples, sources, decoder = decode(make.clip(), (1000, None))
    assert starts == (None, None) and samples is None and sources is None
    assert Reason.TRUNCATED not in decoder.warnings
