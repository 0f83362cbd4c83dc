"""Whisper's encoder: parity with the public code through two file formats, cutting, masking, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avloc.errors import CheckpointError
from avloc.models.encoders.whisper import WhisperEncoder, sinusoid_positions
from avloc.models.weights.whisper_ctranslate2 import read_whisper_ctranslate2
from avloc.models.weights.whisper_openai import read_whisper_openai


def _encoder(description: dict, **changes: object) -> WhisperEncoder:
    dims = description["dims"]
    sizes = {
        "width": dims["n_audio_state"],
        "n_heads": dims["n_audio_head"],
        "n_layers": dims["n_audio_layer"],
    }
    return WhisperEncoder(**sizes, final_norm=True, **changes).eval()


def _outputs(encoder: WhisperEncoder, mel: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        *blocks, final = encoder(mel)
        named = {f"block{i}": block for i, block in enumerate(blocks)}
        return named | {"embedded": encoder.embed(mel), "final": final}


def _assert_parity(fixture, outputs: dict[str, torch.Tensor], case: dict) -> None:
    for name, expected in case["outputs"].items():
        got = outputs[name]
        assert list(got.shape) == expected["shape"], name
        difference = np.abs(
            got.numpy().reshape(-1)[:: expected["flat_stride"]] - fixture.arrays[expected["array"]]
        )
        # The fixtures' own tolerance: final and embedded 1e-4, blocks 1e-4 of their spread more.
        allowed = 1e-4 if name in ("final", "embedded") else 1e-4 * expected["std"] + 1e-4
        assert difference.max() <= allowed, (name, difference.max())


@pytest.mark.dataset
@pytest.mark.parametrize("name", ["whisper_mini", "whisper_tiny"])
def test_both_readers_give_the_outputs_of_the_public_code(name, published, whisper_files, tmp_path: Path):
    fixture = published(name)
    torch.save({"dims": fixture.description["dims"], "model_state_dict": fixture.state}, tmp_path / "m.pt")
    (tmp_path / "model.bin").write_bytes(whisper_files.ctranslate2(whisper_files.variables(fixture.state)))
    first, second = _encoder(fixture.description), _encoder(fixture.description)
    first.load_published(read_whisper_openai(tmp_path / "m.pt"))
    second.load_published(read_whisper_ctranslate2(tmp_path / "model.bin"))
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key
    for case in fixture.description["cases"]:
        if case["inputs"]["T"] < 1000:  # the case of 30 s is the next test's, once
            mel = fixture.whisper_input(case)
            outputs = _outputs(first, mel)
            _assert_parity(fixture, outputs, case)
            assert torch.equal(outputs["final"], _outputs(second, mel)["final"])


@pytest.mark.dataset
def test_thirty_seconds_use_every_position_as_the_public_code_does(published):
    fixture = published("whisper_tiny")
    encoder = _encoder(fixture.description)
    encoder.load_published(fixture.state)
    case = next(case for case in fixture.description["cases"] if case["inputs"]["T"] == 1500)
    _assert_parity(fixture, _outputs(encoder, fixture.whisper_input(case)), case)


def _small(whisper_files, **changes: object) -> WhisperEncoder:
    encoder = WhisperEncoder(**({"width": 8, "n_layers": 2, "n_heads": 2} | changes)).eval()
    encoder.load_published(whisper_files.small_state())
    return encoder


def _noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def test_a_cut_encoder_gives_the_same_first_layers(whisper_files):
    mel = _noise(2, 80, 64)
    whole, cut = _small(whisper_files)(mel), _small(whisper_files, n_layers=1)(mel)
    assert [tuple(x.shape) for x in whole] == [(2, 32, 8)] * 2
    assert len(cut) == 1
    assert torch.equal(cut[0], whole[0])


def test_a_masked_tail_gives_the_same_as_a_shorter_input(whisper_files):
    encoder, mel = _small(whisper_files, final_norm=True), _noise(2, 80, 64)
    mask = torch.arange(32)[None] < torch.tensor([20, 32])[:, None]
    masked, short, full = encoder(mel, mask), encoder(mel[:1, :, :40]), encoder(mel[1:])
    for m, s, f in zip(masked, short, full, strict=True):
        # 1e-5: another kernel of the attention sums in another order.
        assert torch.allclose(m[:1, :20], s, atol=1e-5)
        assert torch.allclose(m[1:], f, atol=1e-5)


def test_what_lies_under_the_mask_does_not_matter(whisper_files):
    encoder, mel = _small(whisper_files), _noise(1, 80, 64)
    mask = torch.ones(1, 32, dtype=torch.bool)
    mask[:, 10:15] = False
    other = mel.clone()
    other[:, :, 20:30] = float("nan")
    for a, b in zip(encoder(mel, mask), encoder(other, mask), strict=True):
        assert torch.equal(a, b)


def test_a_row_without_any_real_frame_stays_finite(whisper_files):
    encoder = _small(whisper_files)
    hidden = encoder(_noise(2, 80, 64), torch.tensor([[True] * 32, [False] * 32]))
    assert all(x.isfinite().all() for x in hidden)


def test_blocks_may_see_frames_averaged_in_pairs(whisper_files):
    pooled, plain = _small(whisper_files, pooling=2), _small(whisper_files)
    mel = _noise(2, 80, 64)
    mask = torch.arange(32)[None] < torch.tensor([21, 32])[:, None]
    hidden = pooled(mel, mask)
    assert [tuple(x.shape) for x in hidden] == [(2, 16, 8)] * 2
    x = plain.embed(mel, mask).unflatten(1, (16, 2)).mean(2)
    attended = mask.unflatten(1, (16, 2)).any(2)
    for got, block in zip(hidden, plain.blocks, strict=True):
        x = block(x, attended[:, None, None])
        assert torch.allclose(got, x, atol=1e-6)
    # A frame is real where either of its two is.
    assert torch.allclose(hidden[-1][:1, :11], pooled(mel[:1, :, :44], mask[:1, :22])[-1], atol=1e-5)
    with pytest.raises(ValueError, match="pooling must be 1 or 2, got 3"):
        _small(whisper_files, pooling=3)


def test_every_parameter_gets_a_gradient(whisper_files):
    encoder = _small(whisper_files)
    encoder(_noise(1, 80, 32))[-1].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_positions_are_neither_trained_nor_saved(whisper_files):
    encoder = _small(whisper_files)
    assert "positional_embedding" not in encoder.state_dict()
    assert "positional_embedding" not in dict(encoder.named_parameters())


def test_position_zero_is_zero_sines_and_unit_cosines():
    table = sinusoid_positions(3, 8)
    assert table[0].tolist() == [0.0] * 4 + [1.0] * 4
    # Row 1, last column: cos(1 / 10000), because the exponent reaches 1 there.
    assert table[1, 7].item() == pytest.approx(np.cos(1e-4), abs=1e-7)


@pytest.mark.parametrize("width", [2, 7])
def test_an_impossible_width_of_the_position_table_is_refused(width):
    with pytest.raises(ValueError, match="even and at least 4"):
        sinusoid_positions(3, width)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="multiple of n_heads, got 8 and 3"):
        WhisperEncoder(width=8, n_layers=1, n_heads=3)


def test_more_than_thirty_seconds_are_refused(whisper_files):
    with pytest.raises(ValueError, match="at most 3000 frames long, got 3002"):
        _small(whisper_files)(torch.zeros(1, 80, 3002))


def test_a_deeper_encoder_than_the_checkpoint_is_refused(whisper_files):
    with pytest.raises(CheckpointError, match=r"3 blocks .* lacks 15, first 'blocks\.2\."):
        _small(whisper_files, n_layers=3)


def test_a_wider_encoder_than_the_checkpoint_is_refused(whisper_files):
    with pytest.raises(CheckpointError, match=r"must have shape .* for width 16"):
        _small(whisper_files, width=16)
