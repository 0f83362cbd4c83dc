"""The whole way with the real decoder, tracks and network (untrained: what counts is that inputs matter)."""

import json

import numpy as np
import pytest
import torch

from avloc.config import load_config
from avloc.decoding.select import Selection
from avloc.media.decode import read_audio, read_frames
from avloc.media.encode import write_video
from avloc.models.hierarchical import build_network
from avloc.models.weights.card import unmeasured_card
from avloc.pipelines.localize import Localizer
from avloc.pipelines.settings import Settings
from avloc.report.schema import to_dict, to_json
from avloc.structures import Reason, Status, Verdict

pytestmark = pytest.mark.dataset


@pytest.fixture(scope="module")
def localizer():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(load_config("default")["model"])
    return Localizer(
        network,
        unmeasured_card("untrained"),
        weights_sha256="00",
        selection=Selection(),
        settings=Settings(curves=True, min_score=0.0),
        threads=1,
    )


@pytest.fixture(scope="module")
def talking_face(shared_corpus):
    """Three seconds of a talking face: frames, rate and sound at 16 kHz."""
    path = sorted((shared_corpus / "grid_s1").glob("*.mp4"))[0]
    frames, rate = read_frames(path)
    return frames, rate, read_audio(path)[:1]


def curve(prediction, name):
    (found,) = [c for c in prediction.curves if c.name == name]
    return np.array([np.nan if v is None else v for v in found.values])


def test_the_picture_counts(localizer, talking_face, tmp_path):
    frames, rate, samples = talking_face
    write_video(tmp_path / "seen.mp4", frames, rate, samples, 16000)
    write_video(tmp_path / "black.mp4", np.zeros_like(frames), rate, samples, 16000)
    seen, black = localizer(tmp_path / "seen.mp4"), localizer(tmp_path / "black.mp4")
    assert seen.analysed.coverage_visual > 0.9 and black.analysed.coverage_visual == 0.0
    assert np.isfinite(curve(seen, "score_visual")).mean() > 0.9
    assert np.isnan(curve(black, "score_visual")).all()
    assert Reason.NO_FACE in black.warnings and Reason.NO_FACE not in seen.warnings
    assert (seen.channels[0].path, black.channels[0].path) == ("audio_visual", "audio_wide")


def test_sound_that_is_shifted_in_a_span_gives_another_discrepancy_there(localizer, talking_face, tmp_path):
    frames, rate, samples = talking_face
    shifted = samples.copy()
    first, last, shift = 16000, 2 * 16000, 8000
    shifted[:, first:last] = samples[:, first - shift : last - shift]
    write_video(tmp_path / "sync.mp4", frames, rate, samples, 16000)
    write_video(tmp_path / "shift.mp4", frames, rate, shifted, 16000)
    one, other = (curve(localizer(tmp_path / name), "discrepancy") for name in ("sync.mp4", "shift.mp4"))
    change = np.abs(one - other)
    assert np.nanmax(change[25:50]) > 1e-5  # an untrained map varies little; rounding stays below 1e-6
    # A window sees all of its frames, so the rest changes too, but the span changes more.
    assert np.nanmean(change[25:50]) > np.nanmean(np.concatenate((change[:15], change[60:])))


@pytest.mark.parametrize(
    ("name", "status", "verdicts", "told"),
    [
        ("odd-tennis.mp4", Status.ANALYSED, set(Verdict), {Reason.NO_FACE}),
        ("odd-face-noaudio.mp4", Status.ANALYSED, set(Verdict), set()),
        ("odd-face-silentaudio.mp4", Status.ANALYSED, set(Verdict), set()),
    ],
)
def test_odd_recordings_become_documents(localizer, shared_media, name, status, verdicts, told):
    prediction = localizer(shared_media / "odd" / name)
    assert prediction.status is status and prediction.verdict in verdicts
    assert told <= {*prediction.warnings, *prediction.reasons}
    json.loads(to_json(prediction))


def test_telephone_sound_takes_the_telephone_path(localizer, shared_media):
    prediction = localizer(shared_media / "telephony" / "tel-alaw-2033.wav")
    (channel,) = prediction.channels
    assert channel.path == "audio_telephone" and channel.bandwidth_hz < 4200
    assert Reason.NARROWBAND in prediction.warnings and prediction.analysed.coverage_audio == 1.0


def test_a_recording_gives_the_same_bytes_twice(localizer, shared_media):
    path = shared_media / "telephony" / "fsdd-theo.wav"
    first, second = (json.dumps(to_dict(localizer(path), reproducible=True)) for _ in range(2))
    assert first == second
