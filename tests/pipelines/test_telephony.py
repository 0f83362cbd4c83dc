"""Telephone recordings: every usual codec through the real decoder, and calls of two parties."""

import av
import numpy as np
import pytest

from avloc.media.encode import write_audio
from avloc.media.whole import read_audio
from avloc.structures import RawFormat, Status

CODECS = {  # file name, coder, rate, options of the coder
    "mulaw": ("a.wav", "pcm_mulaw", 8000, {}),
    "alaw": ("a.wav", "pcm_alaw", 8000, {}),
    "g722": ("a.wav", "g722", 16000, {}),
    "g726": ("a.wav", "g726", 8000, {"code_size": "4"}),
    "opus": ("a.ogg", "libopus", 8000, {"b": "12000", "application": "voip"}),
    "amr": ("a.amr", "libopencore_amrnb", 8000, {"b": "12200"}),
    "mp3": ("a.mp3", "libmp3lame", 8000, {"b": "16000"}),
}
# What Opus makes of 8 kHz sound falls off slowly up to 5.2 kHz: that is no edge of a telephone.
NARROW = set(CODECS) - {"g722", "opus"}


@pytest.fixture(scope="module")
def speech(shared_corpus):
    """Eight seconds of read speech at 16 kHz, (n,)."""
    import json

    entries = json.loads((shared_corpus / "manifest.json").read_text())["entries"]
    entry = next(e for e in entries if e["kind"] == "speech" and e["use"] == "train" and e["duration_s"] > 10)
    return read_audio(shared_corpus / entry["file"])[0, : 8 * 16_000]


def encode(folder, name, speech):
    file, codec, rate, options = CODECS[name]
    step = 16_000 // rate
    samples = speech.reshape(-1, step).mean(axis=1) if step > 1 else speech
    pcm = np.round(samples * 32767).astype(np.int16)
    with av.open(str(folder / file), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", options=options)
        form = "flt" if codec.startswith("lib") and codec != "libopencore_amrnb" else "s16"
        size = 160 if codec in ("libopencore_amrnb", "g726") else 1152
        resampler = av.AudioResampler(
            format=stream.codec_context.format.name, layout="mono", rate=rate, frame_size=size
        )
        values = (pcm / 32768).astype(np.float32) if form == "flt" else pcm
        frame = av.AudioFrame.from_ndarray(values[None], format=form, layout="mono")
        frame.sample_rate = rate
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return folder / file


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_is_analysed_on_its_path(localizer_of, speech, tmp_path, codec):
    prediction = localizer_of()(encode(tmp_path, codec, speech))
    assert prediction.status is Status.ANALYSED, prediction.message
    (channel,) = prediction.channels
    assert channel.path == ("audio_telephone" if codec in NARROW else "audio_wide")
    assert (channel.bandwidth_hz < 4200) == (codec in NARROW) and channel.coverage == 1.0
    spoken = sum(s.segment.duration for s in prediction.spans if s.kind == "speech")
    assert spoken > 4.0 and prediction.analysed.duration_s == pytest.approx(8.0, abs=0.15)  # padding of MP3
    assert not [s for s in prediction.spans if s.kind == "event" and s.code != "comfort_noise"]


@pytest.mark.parametrize("name", ["tel-gsm-2609.wav", "tel-g726-3005.wav", "pca-auto0-u8.wav"])
def test_real_telephone_files_take_the_telephone_path(localizer_of, shared_media, name):
    prediction = localizer_of()(shared_media / "telephony" / name)
    assert {c.path for c in prediction.channels} == {"audio_telephone"}
    assert prediction.analysed.coverage_audio == 1.0


def test_a_call_without_a_header_is_that_with_one(localizer_of, speech, tmp_path):
    with_header = encode(tmp_path, "mulaw", speech)
    raw = tmp_path / "call.raw"
    content = with_header.read_bytes()
    raw.write_bytes(content[content.index(b"data") + 8 :][: 8 * 8000])
    first = localizer_of()(with_header)
    second = localizer_of(input_format=RawFormat("mulaw", 8000, 1))(raw)
    assert second.recording.audio.codec == "pcm_mulaw"
    assert [c.bandwidth_hz for c in first.channels] == [c.bandwidth_hz for c in second.channels]
    assert [s for s in first.spans if s.kind == "speech"] == [s for s in second.spans if s.kind == "speech"]


@pytest.fixture
def stereo(tmp_path, speech):
    """A call of two parties at 8 kHz, the second made by a function of the first."""

    def make(second, rate=8000):
        first = speech.reshape(-1, 2).mean(axis=1) if rate == 8000 else speech
        path = tmp_path / "call.wav"
        write_audio(path, np.stack([first, second(first)]).astype(np.float32), rate)
        return path

    return make


@pytest.mark.parametrize(
    ("second", "relation", "is_analysed"),
    [
        (lambda x: x, "identical", False),
        (lambda x: 0.3 * x, "identical", False),
        (lambda x: 0 * x, "silent", False),
        (lambda x: -x, "inverted", True),
        (lambda x: np.roll(x, 4 * 8000), "distinct", True),
        (lambda x: x + np.random.default_rng(0).normal(0, 0.3 * x.std(), len(x)), "distinct", True),
    ],
)
def test_relations_of_two_channels_are_told(localizer_of, stereo, second, relation, is_analysed):
    prediction = localizer_of(roles={0: "agent", 1: "customer"})(stereo(second))
    one, two = prediction.channels
    assert (one.role, two.role, one.relation, two.relation) == ("agent", "customer", "distinct", relation)
    assert one.score is not None and (two.score is not None) == is_analysed


def test_one_wide_and_one_narrow_channel_have_their_own_paths(localizer_of, stereo):
    def telephone(x):
        spectrum = np.fft.rfft(np.roll(x, 4 * 16_000))
        hertz = np.fft.rfftfreq(len(x), 1 / 16_000)
        return np.fft.irfft(np.where((hertz > 300) & (hertz < 3400), spectrum, 0), len(x))

    prediction = localizer_of()(stereo(telephone, rate=16_000))
    assert [c.path for c in prediction.channels] == ["audio_wide", "audio_telephone"]
    assert [c.threshold for c in prediction.channels] == [0.5, 0.6] and prediction.threshold is None
    assert prediction.channels[0].bandwidth_hz > 5000 > 3600 > prediction.channels[1].bandwidth_hz


def test_pauses_of_a_party_count_as_analysed(localizer_of, stereo):
    def mostly_silent(x):
        return np.where(np.arange(len(x)) < 3 * 8000, np.roll(x, 9000), 0.0)

    prediction = localizer_of()(stereo(mostly_silent))
    assert [c.coverage for c in prediction.channels] == [1.0, 1.0]
