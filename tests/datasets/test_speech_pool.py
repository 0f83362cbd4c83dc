"""SpeechPool: decoded once, the same samples as the reader gave, one use only."""

import json
import logging
import pickle

import numpy as np
import pytest
import soundfile

from avloc.datasets.speech_pool import SpeechPool
from avloc.datasets.speech_statistics import measure_speech
from avloc.errors import AnnotationError, UnreadableMediaError


@pytest.fixture
def manifest(tmp_path):
    rows = [
        {"id": name, "file": f"{name}.wav", "kind": kind, "identity": who, "use": use, "weights_ok": True}
        | {"licence_material": "CC0", "sha256": name, "duration_s": 2.0}
        | extra
        for name, kind, who, use, extra in (
            ("a0", "speech", "ann", "train", {}),
            ("a1", "speech", "ann", "train", {}),
            ("b0", "speech", "bob", "train", {}),
            ("c0", "speech", "cat", "dev", {}),
            (
                "f0",
                "generated_speech",
                "ann",
                "train",
                {"generator": "g", "natural_pair": "a1", "pair_lag_ms": 2},
            ),
        )
    ]
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"entries": rows}))
    return path


class Reader:
    def __init__(self):
        self.names = []

    def __call__(self, path):
        self.names.append(path.stem)
        rng = np.random.default_rng(len(path.stem) + ord(path.stem[0]))
        return (0.1 * rng.standard_normal((1, 16000 + 1000 * len(self.names)))).astype(np.float32)


def test_a_pool_holds_one_use_and_is_decoded_once(manifest, tmp_path):
    reader = Reader()
    pool = SpeechPool.build([manifest], use="train", cache=tmp_path / "cache", reader=reader)
    assert reader.names == ["a0", "a1", "b0", "f0"]
    again = SpeechPool.build([manifest], use="train", cache=tmp_path / "cache", reader=reader)
    assert len(reader.names) == 4 and len(again) == 4
    assert pool.natural.tolist() == [0, 1, 2] and pool.generated.tolist() == [3]
    assert pool.pairs == ((1, 3),) and pool.by_identity["ann"] == (0, 1)


def test_talking_faces_come_along_only_for_the_times_of_their_words(manifest, tmp_path):
    rows = json.loads(manifest.read_text())["entries"]
    face = rows[2] | {"kind": "genuine_talking_face", "identity": "eve"}
    rows += [face | {"id": "g0", "file": "g0.mp4"}]
    rows += [face | {"id": "g1", "file": "g1.mp4", "word_segments": [[0.1, 0.4, "bin"]]}]
    manifest.write_text(json.dumps({"entries": rows}))
    pool = SpeechPool.build([manifest], use="train", cache=tmp_path / "cache", reader=Reader())
    assert [pool.entries[i].id for i in pool.timed] == ["g1"] and len(pool) == 5
    assert pool.natural.tolist() == [0, 1, 2] and "eve" not in pool.by_identity


def _with_words_of(manifest, host, words):
    rows = json.loads(manifest.read_text())["entries"]
    again = rows[-1] | {"id": "w0", "file": "w0.wav", "identity": "machine", "natural_pair": None}
    rows += [again | {"replaces": {"media_entry": host, "words": words}}]
    manifest.write_text(json.dumps({"entries": rows}))


@pytest.mark.parametrize(("host", "known"), [("a1", {1: (4,)}), ("c0", {}), ("f0", {}), ("nobody", {})])
def test_words_that_were_spoken_again_are_found_by_their_recording(manifest, tmp_path, host, known):
    _with_words_of(manifest, host, [[0.2, 0.5, 0.1, 0.4, "bin"]])
    pool = SpeechPool.build([manifest], use="train", cache=tmp_path / "cache", reader=Reader())
    assert pickle.loads(pickle.dumps(pool)).spoken_again == pool.spoken_again == known
    assert pool.generated.tolist() == [3]  # a few words are no phrase to insert


@pytest.mark.parametrize(
    ("times", "name"),
    [([0.2, 9.5, 0.1, 0.4], "end_s .* inside 'a1'"), ([0.2, 0.5, 0.1, 7], "own_end_s .*'w0'")],
)
def test_words_spoken_again_lie_inside_both_recordings(manifest, tmp_path, times, name):
    _with_words_of(manifest, "a1", [[*times, "bin"]])
    with pytest.raises(AnnotationError, match=f"entry 'w0': expected {name}.* got (9.5|7.0)"):
        SpeechPool.build([manifest], use="train", cache=tmp_path / "cache", reader=Reader())


def test_reading_gives_the_decoded_samples_and_zeros_outside(manifest, tmp_path):
    pool = SpeechPool.build([manifest], use="train", cache=tmp_path / "cache", reader=Reader())
    expected = Reader()(manifest.with_name("a0.wav"))[0]
    whole = pool.read(0)
    # Half a step of 16 bits.
    np.testing.assert_allclose(whole, expected, atol=0.51 / 32768)
    around = pool.read(0, -10, pool.n_samples(0) + 5)
    assert not around[:10].any() and not around[-5:].any()
    np.testing.assert_array_equal(around[10:-5], whole)
    assert len(pool.read(0, 10**6, 10**6 + 7)) == 7


def test_a_pickled_pool_is_small_and_reads_the_same(manifest, tmp_path):
    pool = SpeechPool.build([manifest], use="train", cache=tmp_path / "cache", reader=Reader())
    packed = pickle.dumps(pool)
    assert len(packed) < 8000
    np.testing.assert_array_equal(pickle.loads(packed).read(2), pool.read(2))


def test_changed_content_is_decoded_again(manifest, tmp_path):
    reader = Reader()
    SpeechPool.build([manifest], use="dev", cache=tmp_path / "cache", reader=reader)
    document = json.loads(manifest.read_text())
    document["entries"][3]["sha256"] = "other"
    manifest.write_text(json.dumps(document))
    SpeechPool.build([manifest], use="dev", cache=tmp_path / "cache", reader=reader)
    assert reader.names == ["c0", "c0"]


def test_drawing_favours_no_speaker_of_hours(manifest, tmp_path):
    pool = SpeechPool.build([manifest], use="train", cache=tmp_path / "cache", reader=Reader())
    rng = np.random.default_rng(0)
    drawn = np.bincount([pool.draw(rng) for _ in range(2000)], minlength=4)
    ann, bob = drawn[0] + drawn[1], drawn[2]
    seconds = [pool.n_samples(i) for i in range(3)]
    wanted = np.sqrt((seconds[0] + seconds[1]) / seconds[2])
    assert drawn[3] == 0 and ann / bob == pytest.approx(wanted, rel=0.15)


def test_an_empty_selection_is_refused(manifest, tmp_path):
    with pytest.raises(AnnotationError, match="use='test'"):
        SpeechPool.build([manifest], use="test", cache=tmp_path, reader=Reader())


def test_silence_is_left_out_with_a_warning(manifest, tmp_path, caplog):
    def reader(path):
        return Reader()(path) * (0.0 if path.stem in ("a1", "f0") else 1.0)

    with caplog.at_level(logging.WARNING):
        pool = SpeechPool.build([manifest], use="train", cache=tmp_path / "cache", reader=reader)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2 and "a1.wav' is silent" in told[0] and "f0.wav" in told[1]
    assert pool.natural.tolist() == [0, 2] and pool.by_identity["ann"] == (0,)
    assert not len(pool.generated) and pool.pairs == ()


def test_nothing_but_silence_is_refused(manifest, tmp_path):
    with pytest.raises(AnnotationError, match="use='dev' is silent; give recordings of speech"):
        SpeechPool.build([manifest], use="dev", cache=tmp_path, reader=lambda path: np.zeros((1, 16000)))


def test_a_missing_recording_is_named(manifest, tmp_path):
    with pytest.raises(UnreadableMediaError, match="c0.wav"):
        SpeechPool.build([manifest], use="dev", cache=tmp_path)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_another_sample_rate_is_converted(manifest, tmp_path, rate):
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
    soundfile.write(tmp_path / "c0.wav", np.stack([tone, 0.1 * tone], axis=1), rate)
    pool = SpeechPool.build([manifest], use="dev", cache=tmp_path / "cache")
    heard = pool.read(0)
    assert len(heard) == pytest.approx(32000, abs=400)
    spectrum = np.abs(np.fft.rfft(heard[4000:20000]))
    assert np.argmax(spectrum) == 440 and np.abs(heard).max() == pytest.approx(0.3, rel=0.05)


def test_statistics_find_a_band_limit_a_level_and_an_offset():
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(64000))
    spectrum[np.linspace(0, 8000, len(spectrum)) > 5900] *= 1e-4
    burst = np.repeat(np.tile([0.1, 0.001], 10), 3200)
    waveform = np.fft.irfft(spectrum) * burst + 0.01
    found = measure_speech(waveform.astype(np.float32))
    assert abs(found.bandwidth_hz[0] - 5900) < 150
    # 59/80 of the power of unit noise passes.
    assert found.level[0] == pytest.approx(0.1 * np.sqrt(0.7375), rel=0.15)
    assert found.offset[0] == pytest.approx(0.01, abs=0.001)
    assert measure_speech(rng.standard_normal(32000).astype(np.float32)).bandwidth_hz[0] == 8000


def test_silence_and_very_short_sound_have_statistics():
    for n in (0, 10, 3000):
        found = measure_speech(np.zeros(n, dtype=np.float32))
        assert np.isfinite(found.speech).all() and found.level[0] > 0
