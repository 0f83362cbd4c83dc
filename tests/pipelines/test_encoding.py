"""Streams through encoders: those of equal length together, and the numbers of each alone."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from avloc.models.encoders.auto_avsr import AutoAvsrAudioEncoder, AutoAvsrVisualEncoder
from avloc.models.encoders.av_hubert import AvHubertEncoder
from avloc.models.encoders.compact import CompactVisualEncoder
from avloc.models.encoders.two_stem import TwoStemEncoder
from avloc.models.weights.encoders import StreamEncoder
from avloc.pipelines import encoding
from avloc.pipelines.encoding import Batcher, Job
from avloc.pipelines.whole_streams import Stream

CONFORMER = dict(stem_width=4, width=16, n_heads=2, n_blocks=1, hidden=8)
MAKERS = {
    "Auto-AVSR, sound": ("audio", lambda: AutoAvsrAudioEncoder(**CONFORMER)),
    "Auto-AVSR, lips": ("visual", lambda: AutoAvsrVisualEncoder(**CONFORMER)),
    "AV-HuBERT, sound": ("audio", lambda: hubert("audio")),
    "AV-HuBERT, lips": ("visual", lambda: hubert("visual")),
    "recogniser and spectra": (
        "audio",
        lambda: TwoStemEncoder(width=64, n_layers=1, n_heads=2, recogniser_channels=8, spectral_channels=8),
    ),
    "compact": ("visual", lambda: CompactVisualEncoder(width=8, out_channels=16, n_blocks=1)),
}
SIDES = {"mouth96_box": 96, "mouth88_landmarks": 96}


def hubert(stream: str) -> AvHubertEncoder:
    return AvHubertEncoder(stream=stream, stem_width=4, width=32, n_heads=2, n_layers=1, hidden=16)


def make_encoder(name: str) -> StreamEncoder:
    stream, make = MAKERS[name]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = make()
    return StreamEncoder(stream, network, name, "Mini", "00")


def make_job(encoder: StreamEncoder, number: int, n_frames: int, *, absent: slice = slice(0, 0)) -> Job:
    generator = np.random.default_rng(number)
    present = np.ones(n_frames, dtype=bool)
    present[absent] = False
    if encoder.stream == "audio":
        waveform = generator.uniform(-0.5, 0.5, n_frames * 640).astype(np.float32)
        return Job(f"key {number}", "audio", Stream({"waveform": waveform}, present))
    crops = {
        name: generator.integers(0, 256, (n_frames, SIDES[name], SIDES[name]), np.uint8)
        for name in encoder.crops
    }
    return Job(f"key {number}", "visual", Stream(crops, present))


def encode(encoder: StreamEncoder, jobs: list[Job], **options: object) -> dict[str, np.ndarray]:
    batcher = Batcher({encoder.stream: encoder}, dtype="float32", **options)

    def results() -> Iterator[tuple[Job, np.ndarray]]:
        for job in jobs:
            yield from batcher.add(job)
        yield from batcher.finish()

    return {job.key: features for job, features in results()}


@pytest.mark.parametrize("name", MAKERS)
def test_a_batch_gives_what_each_recording_gives_alone(name):
    encoder = make_encoder(name)
    lengths = (30, 20, 30, 30, 20)
    jobs = [make_job(encoder, number, n) for number, n in enumerate(lengths)]
    jobs.append(make_job(encoder, 5, 30, absent=slice(3, 9)))  # the same length, and not the same frames
    together = encode(encoder, jobs)
    alone = {key: rows for job in jobs for key, rows in encode(encoder, [job], batch_frames=1).items()}
    assert [len(together[job.key]) for job in jobs] == [*lengths, 30]
    for key, rows in alone.items():
        # Other numbers of rows add in another order: a few units in the last place of float32.
        np.testing.assert_allclose(together[key], rows, rtol=1e-4, atol=2e-5)
    if "recogniser" not in name:  # whose blocks see past what is masked, a few frames
        assert not together["key 5"][5:7].any()


def test_a_batch_is_no_larger_than_asked_and_the_first_does_not_wait_for_ever(monkeypatch):
    encoder = make_encoder("Auto-AVSR, sound")
    batcher = Batcher({"audio": encoder}, batch_frames=20)
    sizes = []
    monkeypatch.setattr(
        batcher, "_run", lambda jobs: sizes.append(len(jobs)) or [np.zeros((1, 1))] * len(jobs)
    )
    monkeypatch.setattr(encoding, "POOL_BATCHES", 1)
    lengths = [10, 7, 10, 7, 7, 6, 5, 4, 30]
    done = [[job.key for job, _ in batcher.add(make_job(encoder, i, n))] for i, n in enumerate(lengths)]
    assert done[:7] == [[], [], ["key 0", "key 2"], ["key 1", "key 3"], [], [], []]
    assert done[7:] == [["key 4"], ["key 8"]], "the pool is full; one that is longer than a batch is one"
    assert [job.key for job, _ in batcher.finish()] == ["key 5", "key 6", "key 7"]
    assert max(sizes) == 2


def test_what_one_recording_breaks_does_not_touch_the_others(monkeypatch):
    encoder = make_encoder("Auto-AVSR, sound")
    batcher = Batcher({"audio": encoder}, dtype="float16")
    real = batcher._run

    def run(jobs: list[Job]) -> list[np.ndarray]:
        if len(jobs) > 2 or any(job.key == "key 1" for job in jobs):
            raise torch.OutOfMemoryError("too much")
        return real(jobs)

    monkeypatch.setattr(batcher, "_run", run)
    jobs = [make_job(encoder, number, 10) for number in range(5)]
    found = {job.key: rows for part in map(batcher.add, jobs) for job, rows in part}
    found |= {job.key: rows for job, rows in batcher.finish()}
    assert isinstance(found.pop("key 1"), torch.OutOfMemoryError)
    assert [rows.shape for rows in found.values()] == [(10, 16)] * 4
    assert all(rows.dtype == np.float16 for rows in found.values())


def test_what_float16_cannot_hold_is_no_features():
    encoder = make_encoder("Auto-AVSR, sound")
    with torch.no_grad():
        encoder.network.after_norm.bias.fill_(1e5)
    batcher = Batcher({"audio": encoder})
    assert list(batcher.add(make_job(encoder, 0, 10))) == []
    ((_, error),) = batcher.finish()
    assert "float16 cannot hold them, store float32" in str(error)
    assert encode(encoder, [make_job(encoder, 0, 10)])["key 0"].max() > 9e4
