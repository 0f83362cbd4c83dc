"""The rebuilt speech detector against the published one, and spans against a plain state machine."""

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from avloc.errors import CheckpointError
from avloc.features import speech
from avloc.features.speech import SpeechDetector, probabilities_to_spans
from avloc.structures import Segment

HOP_S = 512 / 16000


@pytest.fixture(scope="module")
def talk(shared_media: Path) -> np.ndarray:
    samples, sample_rate = soundfile.read(shared_media / "speech" / "ami-dev00.flac", dtype="float32")
    assert sample_rate == 16000
    return samples[: 10 * 16000 + 100]


def detect(samples: np.ndarray, block: int) -> SpeechDetector:
    detector = SpeechDetector()
    for start in range(0, len(samples), block):
        detector.push(samples[start : start + block])
    detector.finish()
    return detector


def test_probabilities_are_those_of_the_published_model(talk):
    (folder,) = find_spec("silero_vad").submodule_search_locations
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        published = torch.jit.load(Path(folder) / "data" / "silero_vad.jit")
    padded = np.pad(talk, (0, -len(talk) % 512))
    with torch.inference_mode():
        expected = [float(published(torch.from_numpy(hop)[None], 16000)) for hop in padded.reshape(-1, 512)]
    found = detect(talk, 16000).probabilities
    assert np.ptp(expected) > 0.9  # the recording holds speech and pauses
    np.testing.assert_allclose(found, expected, atol=1e-4)  # float32 sums in another order


@pytest.mark.parametrize("block", [100, 512, 7777, 10**6])
def test_blocks_of_any_length_give_the_same(talk, block):
    part = talk[: 3 * 16000]
    np.testing.assert_allclose(
        detect(part, block).probabilities, detect(part, 16000).probabilities, atol=1e-5
    )


def test_what_is_kept_between_pushes_does_not_grow_with_the_recording():
    detector = SpeechDetector()
    for _ in range(20):
        detector.push(np.zeros(8000, np.float32))
        assert len(detector._buffer) < 64 + 512
    assert len(detector.probabilities) == 20 * 8000 // 512


def test_spans_lie_where_the_speech_is(talk):
    silence = np.zeros(32000, np.float32)
    clip, rate = 0.9 * talk[35000:67000] / np.abs(talk).max(), 16000
    spans = detect(np.concatenate([silence, clip, silence]), 16000).spans().segments
    assert spans and spans[0].start > 1.9 and spans[-1].end < 4.3
    assert sum(span.duration for span in spans) > 0.5 * len(clip) / rate


def test_silence_and_noise_are_no_speech():
    noise = np.random.default_rng(0).normal(0, 0.05, 48000).astype(np.float32)
    assert detect(noise, 16000).spans().segments == ()
    assert detect(np.zeros(0, np.float32), 16000).spans().segments == ()


def literal_spans(probabilities, duration, onset, offset, min_speech, min_silence, pad):
    active, runs = False, []
    for i, p in enumerate(probabilities):
        if p >= onset:
            if not active:
                runs.append([i, i])
            active = True
        elif p < offset:
            active = False
        if active:
            runs[-1][1] = i + 1
    joined = []
    for start, end in runs:
        if joined and (start - joined[-1][1]) * HOP_S < min_silence:
            joined[-1][1] = end
        else:
            joined.append([start, end])
    padded = [
        [max(0.0, s * HOP_S - pad), min(duration, min(e * HOP_S, duration) + pad)]
        for s, e in joined
        if min(e * HOP_S, duration) - s * HOP_S >= min_speech
    ]
    result = []
    for start, end in padded:
        if result and start <= result[-1][1]:
            result[-1][1] = end
        else:
            result.append([start, end])
    return result


@pytest.mark.parametrize("seed", range(20))
def test_spans_are_those_of_a_state_machine(seed):
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.25, int(rng.integers(0, 400))))
    probabilities = (0.5 + 0.5 * np.sin(walk)).astype(np.float32)
    duration = max(0.001, len(probabilities) * HOP_S - 0.01)
    pad = float(rng.choice([0.0, 0.03, 0.2]))
    found = probabilities_to_spans(probabilities, duration, pad_s=pad)
    expected = literal_spans(probabilities, duration, 0.5, 0.35, 0.25, 0.1, pad)
    assert [(s.start, s.end) for s in found.segments] == [pytest.approx(pair) for pair in expected]


def test_speech_lasts_while_the_probability_is_between_the_two_thresholds():
    probabilities = np.array([0.4] * 10 + [0.6] + [0.4] * 20 + [0.3] * 10, np.float32)
    found = probabilities_to_spans(probabilities, 10.0, pad_s=0.0).segments
    assert found == (Segment(10 * HOP_S, 31 * HOP_S),)


def test_samples_of_two_channels_not_numbers_or_after_the_end_are_refused():
    detector = SpeechDetector()
    with pytest.raises(ValueError, match="one channel"):
        detector.push(np.zeros((2, 10), np.float32))
    with pytest.raises(ValueError, match="finite"):
        detector.push(np.array([np.nan], np.float32))
    detector.finish()
    detector.finish()
    with pytest.raises(ValueError, match="after finish"):
        detector.push(np.zeros(10, np.float32))


def test_a_model_of_other_spectra_is_refused(monkeypatch):
    monkeypatch.setattr(torch, "hann_window", torch.hamming_window)
    with pytest.raises(CheckpointError, match="Hann windows"):
        speech._load_network.__wrapped__()


def test_a_missing_model_file_is_named(monkeypatch):
    monkeypatch.setattr(speech, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="silero_vad.jit"):
        speech._load_network.__wrapped__()
