from fractions import Fraction

import av
import numpy as np
import pytest

from avloc.media.decode import Decoder
from avloc.media.probe import open_recording
from avloc.media.sound import SoundTrack
from avloc.media.whole import read_audio
from avloc.structures import Reason

OVERSHOOTING = ("odd-dog.mp4", "emo-emotion.mp4")  # AAC that goes up to 1.38 times full scale


def frame(
    samples: np.ndarray, rate: int = 16000, form: str = "fltp", layout: str | None = None
) -> av.AudioFrame:
    n_channels = samples.shape[0]
    layout = layout or {1: "mono", 2: "stereo", 8: "7.1"}.get(n_channels, f"{n_channels} channels")
    if not form.endswith("p"):
        samples = samples.T.reshape(1, -1)
    made = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format=form, layout=layout)
    made.sample_rate = rate
    return made


def run(frames, sample_rate: int = 16000, n_channels: int | None = None):
    track = SoundTrack(
        lambda rate: av.AudioResampler(format="flt", rate=rate),
        lambda rate, form: av.AudioResampler(format=form, rate=rate),
        sample_rate=sample_rate,
        n_channels=n_channels,
        limit=Fraction(10_000),
    )
    messages = [m for made, time in frames for m in track.push(made, time)]
    messages += track.finish()
    starts = [m.fields["start"] for m in messages]
    sizes = [m.arrays["samples"].shape[1] for m in messages]
    assert starts == [sum(sizes[:i]) for i in range(len(sizes))]
    if not messages:
        return np.zeros((0, 0)), np.zeros(0, bool), track
    samples = np.concatenate([m.arrays["samples"] for m in messages], axis=1)
    return samples, np.concatenate([m.arrays["present"] for m in messages]), track


def test_the_same_rate_passes_unchanged():
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 40_000)).astype(np.float32)
    frames = [(frame(sound[:, i : i + 1000]), Fraction(i, 16000)) for i in range(0, 40_000, 1000)]
    samples, present, _ = run(frames)
    np.testing.assert_array_equal(samples, sound)
    assert present.all()


def test_a_long_gap_comes_in_blocks_of_one_second():
    piece = np.full((1, 800), 0.5, np.float32)
    samples, present, track = run([(frame(piece), Fraction(0)), (frame(piece), Fraction(100))])
    assert samples.shape == (1, 100 * 16000 + 800)
    assert np.flatnonzero(present)[[0, 799, 800, -1]].tolist() == [0, 799, 1_600_000, 1_600_799]
    assert track.clock.n_gaps == 1


def test_channels_that_appear_later_do_not_change_the_shape():
    one, two = np.full((1, 8000), 0.5, np.float32), np.full((2, 8000), 0.25, np.float32)
    samples, present, _ = run([(frame(one), Fraction(0)), (frame(two), Fraction(1, 2))])
    assert samples.shape == (1, 16000)
    assert present.all() and samples[:, 8000:].any()
    samples, _, _ = run([(frame(two), Fraction(0)), (frame(one), Fraction(1, 2))])
    assert samples.shape == (2, 16000)
    assert not samples[1, 8000:].any()


def test_sound_has_the_channels_that_the_header_knew():
    two = [(frame(np.full((2, 8000), 0.25, np.float32)), Fraction(0))]
    assert run(two, n_channels=0)[0].shape == (2, 8000)
    assert run(two, n_channels=1)[0].shape == (1, 8000)
    samples, present, _ = run(two, n_channels=3)
    assert samples.shape == (3, 8000) and samples[:2].all() and not samples[2].any() and present.all()


def test_a_rate_that_changes_within_the_stream_keeps_the_time():
    first, second = np.full((1, 16000), 0.5, np.float32), np.full((1, 8000), 0.25, np.float32)
    samples, _, _ = run([(frame(first), Fraction(0)), (frame(second, 8000), Fraction(1))])
    assert abs(samples.shape[1] - 32000) <= 2
    assert np.abs(samples[0, 100:15900] - 0.5).max() < 1e-3
    assert np.abs(samples[0, 16100:31900] - 0.25).max() < 1e-3


def test_repeated_sound_is_cut_in_every_sample_layout():
    ramp = np.arange(8000)[None] / 16000
    for form, scale in (("s16", 32767), ("s16p", 32767), ("fltp", 1), ("flt", 1), ("s32", 2**31 - 1)):
        kind = {"s16": np.int16, "s32": np.int32}.get(form.rstrip("p"), np.float32)
        sound = np.repeat(ramp, 2, axis=0)
        made = [frame((sound * scale).astype(kind), form=form) for _ in range(2)]
        samples, present, _ = run([(made[0], Fraction(0)), (made[1], Fraction(1, 4))])
        assert samples.shape == (2, 12000)
        assert present.all()
        np.testing.assert_allclose(samples[1, :8000], ramp[0], atol=1e-4)
        np.testing.assert_allclose(samples[1, 8000:], ramp[0, 4000:], atol=1e-4)


def test_numbers_that_are_none_are_counted_and_loud_ones_clipped():
    sound = np.zeros((1, 1600), np.float32)
    sound[0, :3] = np.nan, -np.inf, 40.0
    samples, _, track = run([(frame(sound), Fraction(0))])
    assert samples[0, :4].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert track.n_sanitised == 3


@pytest.mark.parametrize(
    ("gain", "told"), [(1.0, False), (1.9, False), (4.0, True), (1e30, True), (3e38, True)]
)
@pytest.mark.parametrize("rate", [16000, 44100])
def test_sound_far_over_full_scale_is_told_and_stays_finite(make, gain, told, rate):
    tone = make.tone(1.0, rate) * np.float32(20)  # peaks at full scale
    with Decoder(open_recording(make.wav(samples=tone * np.float32(gain), rate=rate, bits=32))) as decoder:
        samples = np.concatenate([block.samples for block in decoder], axis=1)
    assert np.isfinite(samples).all() and np.abs(samples).max() == pytest.approx(1.0, abs=1e-3)
    assert decoder.warnings == ((Reason.SANITISED_SAMPLES,) if told else ())


def test_the_overshoot_of_codecs_is_not_told(shared_media):
    coded = [p for p in sorted(shared_media.rglob("*")) if p.name in OVERSHOOTING]
    assert len(coded) == len(OVERSHOOTING)
    for path in coded:
        with Decoder(open_recording(path), crops=()) as decoder:
            list(decoder)
        assert Reason.SANITISED_SAMPLES not in decoder.warnings


def test_sound_before_time_zero_gives_nothing():
    samples, _, track = run([(frame(np.ones((1, 800), np.float32)), Fraction(-1))])
    assert samples.size == 0
    assert track.n_samples == 0


def levels(n_channels: int, n_samples: int) -> np.ndarray:
    """Another constant level on each channel, below 0.7; (C, n) float32."""
    return np.repeat(np.arange(1, n_channels + 1, dtype=np.float32)[:, None] / 100, n_samples, axis=1)


@pytest.mark.parametrize("n_channels", [8, 9, 64])
@pytest.mark.parametrize("form", ["fltp", "dblp", "s16p", "s32p"])
def test_planes_of_many_channels_keep_their_order(n_channels, form):
    sound = levels(n_channels, 1600)
    if form == "fltp":
        sound[3, 7] = np.nan
    made = [av.AudioResampler(format=form, rate=16000).resample(frame(sound, form="flt"))[0] for _ in "ab"]
    samples, present, track = run([(made[0], Fraction(0)), (made[1], Fraction(1, 20))])
    assert samples.shape == (n_channels, 2400) and present.all()
    assert track.n_sanitised == 2 * (form == "fltp")
    np.testing.assert_allclose(samples[:, 8:], levels(n_channels, 2392), atol=1e-4)


def test_integers_of_64_bits_are_read():
    made = [av.AudioResampler(format="s64", rate=16000).resample(frame(levels(2, 1600)))[0] for _ in "ab"]
    samples, _, _ = run([(made[0], Fraction(0)), (made[1], Fraction(1, 20))])
    np.testing.assert_allclose(samples, levels(2, 2400), atol=1e-6)


@pytest.mark.parametrize("n_channels", [7, 8, 9, 64])
@pytest.mark.parametrize("rate", [16000, 48000])
def test_the_child_reads_many_channels(make, n_channels, rate):
    samples = read_audio(make.wav(samples=levels(n_channels, rate), rate=rate))
    assert samples.shape == (n_channels, 16000)
    np.testing.assert_allclose(samples[:, 100:-100], levels(n_channels, 15800), atol=1e-3)


@pytest.mark.parametrize(("name", "codec", "form"), [("a.flac", "flac", "s16"), ("a.mkv", "aac", "fltp")])
def test_the_child_reads_eight_coded_channels(make, name, codec, form):
    path = make.folder / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48000, layout="7.1")
        packer = av.AudioResampler(format=form, layout="7.1", rate=48000, frame_size=1024)
        tone = levels(8, 48000) * np.sin(np.arange(48000, dtype=np.float32) * 0.05)
        for part in packer.resample(frame(tone, 48000, form="flt")) + packer.resample(None):
            part.pts = None
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    samples = read_audio(path)
    assert samples.shape[0] == 8 and samples.shape[1] == pytest.approx(16000, abs=2000)
    peaks = np.abs(samples[[0, 1, 2, 4, 5, 6, 7], 4000:12000]).max(axis=1)  # AAC filters the fourth, the LFE
    np.testing.assert_allclose(peaks, np.array([1, 2, 3, 5, 6, 7, 8]) / 100, rtol=0.15)
