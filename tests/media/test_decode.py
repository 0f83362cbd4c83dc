import dataclasses
import os
import shutil
from fractions import Fraction

import numpy as np
import pytest

from avloc.errors import UnreadableMediaError
from avloc.media.decode import AudioBlock, Decoder, VideoBlock
from avloc.media.probe import open_recording
from avloc.media.whole import read_audio, read_frames
from avloc.structures import Reason


def decode(path, **options):
    """Everything of a file: sound (C, n), where it is present, source index by grid frame, the decoder."""
    with Decoder(open_recording(path), **{"crops": (), **options}) as decoder:
        blocks = list(decoder)
    sounds = [b for b in blocks if isinstance(b, AudioBlock)]
    pictures = [b for b in blocks if isinstance(b, VideoBlock)]
    rate = options.get("sample_rate", 16000)
    for of_kind, starts, lengths, longest in (
        (sounds, [b.start_sample for b in sounds], [b.samples.shape[1] for b in sounds], rate),
        (pictures, [b.start_frame for b in pictures], [len(b.source_index) for b in pictures], 25),
    ):
        assert starts == [sum(lengths[:i]) for i in range(len(of_kind))], "blocks have holes"
        assert all(0 < n <= longest for n in lengths)
    samples = np.concatenate([b.samples for b in sounds], axis=1) if sounds else None
    present = np.concatenate([b.present for b in sounds]) if sounds else None
    sources = np.concatenate([b.source_index for b in pictures]) if pictures else None
    return samples, present, sources, decoder


def flash_and_click(path) -> tuple[int, int]:
    """Grid frames in which the picture flashes and the sound clicks."""
    frames, rate = read_frames(path)
    assert rate == 25
    samples = read_audio(path)
    return int(frames.mean(axis=(1, 2, 3)).argmax()), int(np.abs(samples[0]).argmax()) // 640


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("a.mp4", [Fraction(i, 25) for i in range(50)]),
        ("a.mp4", [Fraction(i, 30) for i in range(60)]),
        ("a.mkv", [Fraction(i, 30) for i in range(60)]),
        ("a.mkv", [Fraction(i, 15) for i in range(30)]),
        ("a.mp4", [Fraction(i, 10) for i in range(20)]),
        ("a.mp4", [Fraction(i, 60) for i in range(120)]),
        ("a.mp4", sorted({0.0, 1.0, *np.random.default_rng(0).uniform(0, 2, 40).round(3)})),
        ("a.mkv", sorted({0.0, 1.0, *np.random.default_rng(1).uniform(0, 2, 30).round(3)})),
    ],
)
def test_a_click_and_a_flash_of_the_same_moment_land_in_the_same_grid_frame(make, name, times):
    flash = [
        time for time in times if 1.0 <= time <= 1.02
    ]  # so that one of them is shown at the centre, 1.02
    path = make.clip(name, times=times, samples=make.tone(2.0, clicks=[1.0]), flash=flash)
    assert flash_and_click(path) == (25, 25)


@pytest.mark.parametrize(
    ("name", "sound_codec", "start"),
    [("a.mp4", "aac", 0.5), ("a.mkv", "aac", 0.476), ("a.mkv", "pcm_s16le", 0.476)],
)
def test_late_sound_stays_in_time_and_is_marked_absent_before_it_begins(make, name, sound_codec, start):
    samples = make.tone(1.5, clicks=[1.0 - start])
    path = make.clip(name, samples=samples, sound_start=start, flash=[1.0], sound_codec=sound_codec)
    assert flash_and_click(path) == (25, 25)
    decoded, present, _, _ = decode(path)
    begin = int(present.argmax()) / 16000
    assert start - 0.065 <= begin <= start + 0.001  # AAC may present its 64 ms of priming
    assert not present[: int(begin * 16000)].any()
    assert present[int(begin * 16000) :].all()
    assert not decoded[:, ~present].any()


def test_a_negative_start_moves_both_streams_alike(make):
    path = make.clip(
        "a.mkv",
        samples=make.tone(2.2, clicks=[1.2]),
        sound_start=-0.2,
        flash=[1.0],
        sound_codec="pcm_s16le",
        options={"avoid_negative_ts": "disabled"},
    )
    assert flash_and_click(path) == (30, 30)
    _, _, sources, _ = decode(path)
    assert sources[:6].tolist() == [-1, -1, -1, -1, -1, 0]


@pytest.mark.parametrize("name", ["a.mpg", "a.ts", "a.avi"])
def test_other_containers_keep_both_streams_together(make, name):
    video = "mpeg2video" if name != "a.avi" else "mpeg4"
    sound = "mp2" if name != "a.avi" else "pcm_s16le"
    times = [Fraction(i, 25) for i in range(50)]
    samples = make.tone(2.0, 16000, clicks=[1.0])
    path = make.clip(name, times=times, samples=samples, flash=[1.0], picture_codec=video, sound_codec=sound)
    flash, click = flash_and_click(path)
    assert abs(flash - click) <= (
        1 if sound == "mp2" else 0
    )  # MP2 delays by its filter bank, 30 ms at 16 kHz


def test_source_frames_are_counted_in_order_of_presentation(make):
    _, _, sources, _ = decode(make.clip(times=[Fraction(i, 50) for i in range(100)]))
    assert sources.tolist() == list(range(1, 100, 2))
    _, _, sources, _ = decode(make.clip("b.mp4", times=[Fraction(i, 10) for i in range(10)]))
    assert sources.tolist() == [int((i + 0.5) / 25 * 10) for i in range(25)][: len(sources)]


def test_channels_are_never_mixed(make):
    tone = make.tone(1.0, 8000, 2)
    tone[1] = 0
    samples, present, sources, decoder = decode(make.wav(samples=tone, rate=8000))
    assert samples.shape == (2, 16000)
    assert samples.dtype == np.float32
    assert present.all()
    assert sources is None
    assert not samples[1].any()
    assert np.abs(samples[0]).max() == pytest.approx(0.05, abs=0.002)
    assert decoder.warnings == ()


def test_the_resampler_does_not_shift_the_sound(make):
    for rate in (8000, 22050, 44100, 48000):
        samples = read_audio(make.wav(samples=make.tone(2.0, rate, clicks=[1.0]), rate=rate))
        loud = np.flatnonzero(np.abs(samples[0]) > 0.45)
        assert abs(loud.mean() - 16008) < 3  # samples: the click lasts 16 of them
        assert abs(samples.shape[1] - 32000) <= 1


def test_eight_kilohertz_can_be_asked_for(make):
    samples, _, _, _ = decode(make.wav(samples=make.tone(1.0, 8000), rate=8000), sample_rate=8000)
    assert samples.shape == (1, 8000)
    np.testing.assert_allclose(samples, make.tone(1.0, 8000), atol=1e-4)


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "pcm_s16le"), ("a.mp4", "aac")])
def test_a_gap_in_the_sound_is_silence_that_is_not_present(make, name, codec):
    samples = make.tone(2.0, clicks=[1.0])
    path = make.clip(name, samples=samples, sound_codec=codec, cuts=[(0.5, 0.8)], flash=[1.0])
    decoded, present, _, _ = decode(path)
    assert (~present).sum() == pytest.approx(5 * 1024, abs=16)
    assert not decoded[:, ~present].any()
    assert flash_and_click(path) == (25, 25)


def test_samples_that_are_no_numbers_become_zero_with_a_warning(make):
    tone = make.tone(1.0)
    tone[0, 100:110] = np.nan
    tone[0, 200] = np.inf
    tone[0, 300] = 7.0
    samples, _, _, decoder = decode(make.wav(samples=tone, bits=32))
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.0
    assert not samples[0, 100:110].any()
    assert decoder.warnings == (Reason.SANITISED_SAMPLES,)


def test_a_truncated_clip_is_decoded_up_to_its_end_with_a_warning(make):
    samples = make.tone(8.0, channels=1)
    times = [Fraction(i, 25) for i in range(200)]
    whole = make.clip(times=times, samples=samples, options={"movflags": "faststart"}).read_bytes()
    path = make.folder / "cut.mp4"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    decoded, _, sources, decoder = decode(path)
    assert Reason.TRUNCATED in decoder.warnings
    assert 2.0 < decoded.shape[1] / 16000 < 7.0
    assert 50 < len(sources) < 175
    assert decoder.recording.duration == pytest.approx(8.0, abs=0.1)


def test_a_wav_that_ends_early_is_truncated(make):
    data = make.wav(samples=make.tone(2.0)).read_bytes()
    path = make.folder / "cut.wav"
    path.write_bytes(data[: len(data) // 2])
    decoded, _, _, decoder = decode(path)
    assert decoder.warnings == (Reason.TRUNCATED,)
    assert decoded.shape[1] == pytest.approx(16000, abs=50)
    assert decoder.recording.duration == pytest.approx(2.0), "what is missing is not analysed"


def test_broken_packets_are_holes_and_not_the_end(make):
    data = bytearray(make.clip("a.mp4", samples=make.tone(4.0), picture_codec=None).read_bytes())
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 3
    data[middle : middle + 300] = os.urandom(300)
    path = make.folder / "b.mp4"
    path.write_bytes(data)
    decoded, _, _, _ = decode(path)
    assert decoded.shape[1] == pytest.approx(4 * 16000, abs=1100)


def test_a_turned_picture_is_shown_upright(make):
    import av

    path = make.folder / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(90)
        pixels = np.full((48, 64, 3), 20, np.uint8)
        pixels[:24, :32] = 200  # upper left
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    frames, _ = read_frames(path)
    assert frames.shape[1:] == (64, 48, 3)
    quarters = [frames[0, :32, :24], frames[0, :32, 24:], frames[0, 32:, :24], frames[0, 32:, 24:]]
    brightest = int(np.argmax([q.mean() for q in quarters]))
    assert brightest == 2, "turned by 90 degrees against the clock, the upper left goes to the lower left"


def test_a_change_between_opening_and_decoding_is_an_error(make):
    path = make.wav()
    recording = open_recording(path)
    with path.open("ab") as stream:
        stream.write(b"xx")
    with pytest.raises(UnreadableMediaError) as caught:
        list(Decoder(recording))
    assert caught.value.reason == "changed_during_read"


def test_other_content_of_the_same_size_after_opening_is_an_error(make):
    path = make.wav()
    recording = open_recording(path)
    make.wav(samples=make.tone(clicks=[0.5]))
    assert path.stat().st_size == recording.n_bytes
    with pytest.raises(UnreadableMediaError, match="no longer") as caught:
        list(Decoder(recording))
    assert caught.value.reason == "changed_during_read"


def test_another_file_under_the_same_name_is_an_error_whatever_its_time(make):
    path = make.wav()
    recording = open_recording(path)
    other = make.wav("b.wav", samples=make.tone(clicks=[0.5]))
    shutil.copystat(path, other)
    other.replace(path)
    with pytest.raises(UnreadableMediaError) as caught:
        list(Decoder(recording))
    assert caught.value.reason == "changed_during_read"


def test_a_recording_that_was_read_back_is_decoded_by_its_size(make):
    recording = open_recording(make.wav())
    assert list(Decoder(dataclasses.replace(recording, _file_state=None)))


def test_a_change_while_decoding_is_an_error(make):
    path = make.wav(samples=make.tone(30.0))
    blocks = iter(Decoder(open_recording(path)))
    next(blocks)
    os.utime(path, (1, 1))
    with pytest.raises(UnreadableMediaError) as caught:
        list(blocks)
    assert caught.value.reason == "changed_during_read"


def test_a_decoder_is_iterated_once_and_knows_its_arguments(make):
    recording = open_recording(make.wav())
    decoder = Decoder(recording)
    list(decoder)
    with pytest.raises(ValueError, match="once"):
        iter(decoder)
    with pytest.raises(ValueError, match="crops"):
        Decoder(recording, crops=("face999",))


def test_several_decoders_may_be_open_at_the_same_time(make):
    recordings = [
        open_recording(make.wav(f"{i}.wav", make.tone(2.0, clicks=[0.5 * i + 0.25]))) for i in range(3)
    ]
    pairs = zip(*(Decoder(r) for r in recordings), strict=True)
    for blocks in list(pairs)[:1]:
        assert [b.samples.shape for b in blocks] == [(1, 16000)] * 3
    first = next(iter(Decoder(recordings[0])))  # left alone in the middle
    np.testing.assert_array_equal(first.samples, next(iter(Decoder(recordings[0]))).samples)


def test_sound_and_pictures_of_a_real_clip_come_interleaved(shared_media):
    recording = open_recording(shared_media / "genuine" / "hamilton-short.mp4")
    heard = seen = 0.0
    for block in Decoder(recording, crops=()):
        if isinstance(block, AudioBlock):
            heard = (block.start_sample + block.samples.shape[1]) / 16000
        else:
            seen = (block.start_frame + len(block.source_index)) / 25
        assert abs(heard - seen) < 2.5
