"""Spectra against other implementations, and the laws of masks and pieces."""

import json
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from librosa.filters import mel as librosa_mel  # here, since librosa sets an environment variable on import

from avloc.features.audio import (
    PIECE_FRAMES,
    PIECE_HOP,
    SAMPLES_PER_FRAME,
    WINDOW_FRAMES,
    WINDOW_HOP,
    cut_pieces,
    log_mel,
    log_spectrum,
    mel_bank,
    mel_edges_hz,
    whisper_mel,
)


def smooth(seed, shape, windows):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(tuple(s + w - 1 for s, w in zip(shape, windows, strict=True)))
    for axis, w in enumerate(windows):
        if w > 1:
            n = shape[axis]
            x = sum(np.take(x, np.arange(j, j + n), axis=axis) for j in range(w)) / np.sqrt(float(w))
    return x


def noise(seed: int, n_rows: int, n_samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(n_rows, n_samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n_fft", "n_mels"), [(400, 80), (400, 128), (512, 80)])
def test_the_filter_bank_is_slaneys_as_librosa_computes_it(n_fft, n_mels):
    expected = librosa_mel(sr=16000, n_fft=n_fft, n_mels=n_mels)
    # float32 rounding of weights that are at most 0.04
    np.testing.assert_allclose(mel_bank(n_fft, n_mels), expected, atol=1e-8)


def test_the_filter_bank_is_slaneys_as_torchaudio_computes_it(monkeypatch):
    try:
        import torchaudio
    except OSError:  # its wheel is linked to CUDA; without its compiled part the filters are still there
        for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
            monkeypatch.delitem(sys.modules, name)
        stub = types.ModuleType("torchaudio._extension")
        stub._IS_TORCHAUDIO_EXT_AVAILABLE = stub._IS_ALIGN_AVAILABLE = False
        stub._check_cuda_version = lambda: None
        stub.fail_if_no_align = lambda function: function
        monkeypatch.setitem(sys.modules, "torchaudio._extension", stub)
        import torchaudio
    expected = torchaudio.functional.melscale_fbanks(
        201, 0.0, 8000.0, 80, 16000, norm="slaney", mel_scale="slaney"
    )
    np.testing.assert_allclose(mel_bank(400, 80), expected.T.numpy(), atol=1e-5)  # float32 there


def test_mel_edges_run_from_zero_to_nyquist():
    edges = mel_edges_hz()
    assert edges[0] == 0.0 and edges[-1] == pytest.approx(8000.0) and np.all(np.diff(edges) > 0)


def test_whisper_mel_repeats_the_published_implementation(parity_dir: Path):
    fixture = json.loads((parity_dir / "whisper_log_mel.json").read_text())
    arrays = np.load(parity_dir / "whisper_log_mel.npz")
    assert fixture["cases"]
    for case in fixture["cases"]:
        seed, n = case["inputs"]["seed"], case["inputs"]["N"]
        waveform = smooth([seed, 0, 0], (n,), (5,)) * smooth([seed, 0, 1], (n,), (1600,))
        waveform = (0.1 * waveform).astype(np.float32)
        if case["inputs"]["zero_from_to"]:
            start, end = case["inputs"]["zero_from_to"]
            waveform[start:end] = 0
        mel = whisper_mel(torch.from_numpy(waveform)[None], n_mels=case["inputs"]["n_mels"])[0].numpy()
        expected = case["outputs"]["log_mel"]
        assert list(mel.shape) == expected["shape"]
        stored = arrays[expected["array"]].reshape(-1)
        # tolerance of the fixture
        np.testing.assert_allclose(mel.reshape(-1)[:: expected["flat_stride"]], stored, atol=1e-4)


def test_the_clamp_of_whisper_mel_looks_at_its_own_row_only():
    rows = noise(0, 2, 16000)
    rows[1, 4000:] *= 1e-6
    both = whisper_mel(rows)
    torch.testing.assert_close(both[1:], whisper_mel(rows[1:]))
    assert (both[1].max() - both[1].min()).item() == pytest.approx(2.0)  # 8 decades, divided by 4


FULL_BAND = {
    log_mel: librosa_mel(sr=16000, n_fft=512, n_mels=80, dtype=np.float64),
    log_spectrum: np.eye(257)[1:],
}
UPPER_HZ = {log_mel: mel_edges_hz()[2:], log_spectrum: 31.25 * np.arange(1, 257)}
full_band = pytest.mark.parametrize("transform", FULL_BAND)


@full_band
def test_log_spectra_without_masks_are_the_log_of_a_plain_transform(transform):
    waveform = noise(1, 1, 640 * 10)
    padded = np.pad(waveform[0].numpy().astype(np.float64), 200, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = [np.abs(np.fft.rfft(padded[160 * i :][:400] * window, n=512)) ** 2 for i in range(40)]
    expected = np.log(np.maximum(FULL_BAND[transform] @ np.array(power).T, 1e-10))
    expected = (expected - expected.mean()) / 4
    features = transform(waveform)
    assert features.shape == (1, 2, len(expected), 40)
    # Logarithms of float32 sums: a bin that happens to be almost empty is known less well than a band.
    np.testing.assert_allclose(features[0, 0].numpy(), expected, atol=2e-3)
    assert np.abs(features[0, 0].numpy() - expected).mean() < 1e-5 and (features[0, 1] == 1).all()


@full_band
def test_log_spectra_do_not_depend_on_gain(transform):
    waveform = noise(2, 1, 6400)
    torch.testing.assert_close(transform(waveform), transform(waveform * 0.1), atol=2e-3, rtol=0)


@full_band
def test_masked_bands_and_frames_are_zero_and_do_not_move_the_others(transform):
    waveform = noise(3, 1, 640 * 8)
    mask = torch.ones(1, 8, dtype=torch.bool)
    mask[0, 5:] = False
    changed = waveform.clone()
    changed[0, 640 * 6 :] = 0.9  # beyond the reach of the last real frame
    bandwidth = torch.tensor([4000.0])
    first = transform(waveform, bandwidth_hz=bandwidth, mask=mask)
    second = transform(changed, bandwidth_hz=bandwidth, mask=mask)
    torch.testing.assert_close(first, second)
    real = torch.from_numpy(UPPER_HZ[transform] <= 4000)
    assert 0 < int(real.sum()) < len(real)
    assert (first[0, 0, ~real] == 0).all() and (first[0, 0, :, 20:] == 0).all()
    torch.testing.assert_close(first[0, 1, :, 0], real.float())
    inside = first[0, 0, real, :20]
    assert inside.mean().abs() < 1e-5 and inside.std() > 0.05


@full_band
def test_digital_silence_gives_finite_values(transform):
    silence = torch.zeros(1, 6400)
    assert transform(silence)[:, 0].abs().max() < 1e-5  # a mean of equal numbers, rounded
    assert torch.isfinite(whisper_mel(silence)).all()
    everything_masked = transform(noise(4, 1, 6400), bandwidth_hz=torch.tensor([0.0]))
    assert (everything_masked == 0).all()


def test_pieces_of_a_window_coincide_with_those_of_the_next_window():
    n = SAMPLES_PER_FRAME
    recording = noise(5, 1, (WINDOW_FRAMES + WINDOW_HOP) * n)
    first = cut_pieces(recording[:, : WINDOW_FRAMES * n])
    second = cut_pieces(recording[:, WINDOW_HOP * n :])
    assert first.shape == (1, 5, PIECE_FRAMES * n)
    assert torch.equal(first[:, 3:], second[:, :2])
    assert torch.equal(first[0, 1], recording[0, PIECE_HOP * n : (PIECE_HOP + PIECE_FRAMES) * n])


@pytest.mark.parametrize("n_samples", [0, 159 * 640, 161 * 640, 160 * 640 + 1])
def test_a_length_that_pieces_cannot_cover_is_refused(n_samples):
    with pytest.raises(ValueError, match="pad the waveform"):
        cut_pieces(torch.zeros(1, n_samples))


@pytest.mark.parametrize("transform", [whisper_mel, log_mel, log_spectrum])
@pytest.mark.parametrize("shape", [(16000,), (1, 0), (1, 399)])
def test_a_waveform_of_the_wrong_shape_is_refused(transform, shape):
    with pytest.raises(ValueError, match=r"expected a waveform \(B, N\)"):
        transform(torch.zeros(shape))


def test_log_mel_refuses_masks_of_another_length():
    with pytest.raises(ValueError, match="25 Hz grid"):
        log_mel(torch.zeros(1, 6400), mask=torch.ones(1, 40, dtype=torch.bool))
    with pytest.raises(ValueError, match="bandwidth_hz"):
        log_mel(torch.zeros(1, 6400), bandwidth_hz=torch.zeros(2))


def test_both_spectra_of_a_window_take_a_small_part_of_its_duration():
    waveform = noise(6, 1, WINDOW_FRAMES * SAMPLES_PER_FRAME)
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        whisper_mel(cut_pieces(waveform).flatten(0, 1))
        log_mel(waveform)
        best = min(best, time.process_time() - start)
    assert best / 25.6 < 0.01  # measured .002 on one core; the margin is for slower machines
