"""The dispatch: shapes, per-piece and per-row rules, refusals."""

import pytest
import torch

from avloc.features.audio import PIECE_SAMPLES, log_mel, log_spectrum, whisper_mel
from avloc.features.prepare import prepare


def noise(n_rows: int, n_frames: int) -> torch.Tensor:
    return 0.1 * torch.randn(n_rows, n_frames * 640, generator=torch.Generator().manual_seed(0))


def test_inputs_come_in_the_order_in_which_they_are_named():
    waveform, mouth = noise(2, 280), torch.zeros(2, 280, 96, 96, dtype=torch.uint8)
    mel, crops, pieces = prepare(
        ("log_mel", "mouth96_box", "whisper_mel"), waveform=waveform, crops={"mouth96_box": mouth}
    )
    assert (
        mel.shape == (2, 2, 80, 1120) and crops.shape == (2, 280, 96, 96) and pieces.shape == (2, 2, 80, 640)
    )
    assert all(tensor.dtype == torch.float32 for tensor in (mel, crops, pieces))
    assert prepare(()) == ()


def test_every_piece_is_clamped_at_its_own_maximum():
    waveform = noise(1, 280)
    waveform[0, : 120 * 640] *= 8.0  # only the first piece hears it
    (pieces,) = prepare(("whisper_mel",), waveform=waveform)
    torch.testing.assert_close(pieces[:, 1], whisper_mel(waveform[:, -PIECE_SAMPLES:]))


def test_each_row_is_masked_above_its_own_bandwidth():
    waveform = noise(2, 160)
    spectrum = torch.fft.rfft(waveform[0])
    spectrum[len(spectrum) // 2 :] = 0  # 4 kHz
    waveform[0] = torch.fft.irfft(spectrum, n=waveform.shape[1])
    mel, linear = prepare(("log_mel", "log_spectrum"), waveform=waveform)
    assert 45 < mel[0, 1, :, 0].sum() < 65 and mel[1, 1].min() == 1.0
    assert 120 < linear[0, 1, :, 0].sum() < 136 and linear[1, 1].min() == 1.0
    torch.testing.assert_close(mel[1:], log_mel(waveform[1:]))
    torch.testing.assert_close(linear[1:], log_spectrum(waveform[1:]))


def test_bandwidth_is_measured_where_there_is_sound():
    waveform = noise(1, 160)
    mask = torch.ones(1, 160, dtype=torch.bool)
    mask[0, 80:] = False
    narrow = waveform.clone()
    spectrum = torch.fft.rfft(narrow[0])
    spectrum[len(spectrum) // 2 :] = 0
    narrow[0] = torch.fft.irfft(spectrum, n=narrow.shape[1])
    narrow[0, 80 * 640 :] = waveform[0, 80 * 640 :]
    (mel,) = prepare(("log_mel",), waveform=narrow, audio_mask=mask)
    assert mel[0, 1, :, 0].sum() < 65
    assert (mel[0, 0, :, 320:] == 0).all()


def test_mouth_crops_are_standardised():
    mouth = torch.full((1, 2, 96, 96), 255, dtype=torch.uint8)
    mouth[0, 1] = 0
    (crops,) = prepare(("mouth96_box",), crops={"mouth96_box": mouth})
    assert crops[0, 0, 0, 0].item() == pytest.approx((1 - 0.421) / 0.165, abs=1e-5)
    assert crops[0, 1, 0, 0].item() == pytest.approx(-0.421 / 0.165, abs=1e-5)


def test_an_encoder_may_read_mouth_and_face():
    generator = torch.Generator().manual_seed(0)
    crops = {
        name: torch.randint(0, 256, (1, 2, size, size), generator=generator, dtype=torch.uint8)
        for name, size in (("face112", 112), ("mouth96_box", 96))
    }
    mouth, face = prepare(("mouth96_box", "face112"), crops=crops)
    assert mouth.shape == (1, 2, 96, 96) and face.shape == (1, 2, 112, 112)
    torch.testing.assert_close(face, (crops["face112"] / 255 - 0.421) / 0.165)
    with pytest.raises(ValueError, match="'face112' needs crops"):
        prepare(("mouth96_box", "face112"), crops={"mouth96_box": crops["mouth96_box"]})
    with pytest.raises(ValueError, match="112, 112"):
        prepare(("face112",), crops={"face112": crops["mouth96_box"]})


def test_a_missing_or_unknown_input_is_refused_by_name():
    with pytest.raises(
        ValueError, match="'mel'.*'face112', 'fbank104', 'log_mel'.*'mouth96_box', 'waveform'"
    ):
        prepare(("mel",), waveform=noise(1, 160))
    with pytest.raises(ValueError, match="'log_mel' needs waveform"):
        prepare(("log_mel",))
    with pytest.raises(ValueError, match="uint8"):
        prepare(("mouth96_box",), crops={"mouth96_box": torch.zeros(1, 2, 96, 96)})


def test_a_waveform_is_standardised_over_the_frames_that_hold_sound():
    waveform, mask = noise(2, 10) + 0.3, torch.ones(2, 10, dtype=torch.bool)
    mask[0, 6:] = False
    (standard,) = prepare(("waveform",), waveform=waveform, audio_mask=mask)
    real = standard[0, : 6 * 640]
    assert (standard[0, 6 * 640 :] == 0).all()
    assert real.mean().abs() < 1e-5 and real.var(correction=0) == pytest.approx(1.0, abs=1e-3)
    (short,) = prepare(("waveform",), waveform=waveform[:1, : 6 * 640])
    torch.testing.assert_close(real[None], short, atol=1e-5, rtol=0)  # sums in another order
    assert standard[1].mean().abs() < 1e-5


def test_silence_stays_finite_in_every_input_of_sound():
    silence, mask = torch.zeros(2, 10 * 640), torch.zeros(2, 10, dtype=torch.bool)
    mask[0] = True
    for made in prepare(("waveform", "fbank104"), waveform=silence, audio_mask=mask):
        assert made.isfinite().all()


def test_filter_banks_have_a_row_of_four_steps_a_frame():
    (banks,) = prepare(("fbank104",), waveform=noise(2, 7))
    assert banks.shape == (2, 7, 104) and banks.dtype == torch.float32
    assert banks.mean(2).abs().max() < 1e-4


def test_the_middle_of_the_lips_is_read_in_real_numbers_too():
    lips = torch.zeros(1, 2, 97, 98, dtype=torch.uint8)
    lips[0, 0, 4, 5] = 255  # margins of 4.5 and 5: 4 and 5 are cut, the half to the even side
    (crops,) = prepare(("mouth88_landmarks",), crops={"mouth88_landmarks": lips})
    assert crops.shape == (1, 2, 88, 88)
    assert crops[0, 0, 0, 0].item() == pytest.approx((1 - 0.421) / 0.165, abs=1e-5)
    with pytest.raises(ValueError, match="mouth88_landmarks uint8"):
        prepare(("mouth88_landmarks",), crops={"mouth88_landmarks": lips[..., :80]})
