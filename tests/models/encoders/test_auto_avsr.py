"""Auto-AVSR's encoders: sizes, both namings of a checkpoint, relative positions, what the mask reaches."""

import math

import pytest
import torch

from avloc.models.encoders.auto_avsr import AutoAvsrAudioEncoder, AutoAvsrVisualEncoder
from avloc.models.encoders.conformer import (
    KERNEL,
    NORM_EPSILON,
    ConformerEncoder,
    by_place,
    relative_positions,
)
from avloc.models.weights.auto_avsr import is_visual, to_own_names

SMALL = dict(stem_width=4, width=32, n_heads=2, n_blocks=2, hidden=48)


@pytest.mark.parametrize(
    ("encoder", "whole", "frontend"),
    [(AutoAvsrVisualEncoder, 182_028_224, 11_182_784), (AutoAvsrAudioEncoder, 174_694_016, 3_848_576)],
)
def test_the_published_size_has_the_published_number_of_parameters(encoder, whole, frontend):
    with torch.device("meta"):
        made = encoder()
    assert sum(p.numel() for p in made.parameters()) == whole
    assert sum(p.numel() for p in made.frontend.parameters()) == frontend


def test_every_norm_has_the_published_epsilon():
    # The parity fixtures move by 2.5e-5 only where it is torch's own.
    norms = [m for m in ConformerEncoder(width=32, n_heads=2, n_blocks=2, hidden=8).modules()]
    assert {m.eps for m in norms if isinstance(m, torch.nn.LayerNorm)} == {NORM_EPSILON} == {1e-12}


def test_samples_behind_the_last_whole_step_are_not_read():
    encoder = AutoAvsrAudioEncoder(**SMALL).eval()
    waveform = torch.randn(1, 5 * 640 + 300, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 5, dtype=torch.bool)
    with torch.inference_mode():
        embedding, _ = encoder((waveform,), mask)
        shorter, _ = encoder((waveform[:, : 5 * 640],), mask)
    assert embedding.shape == (1, 32, 5)
    assert torch.equal(embedding, shorter)


def test_positions_count_the_distance_between_two_frames():
    table = relative_positions(4, 8)
    assert table.shape == (7, 8)
    assert table[3].tolist() == [0.0, 1.0] * 4  # the frame itself
    assert table[0, :2].tolist() == pytest.approx([math.sin(3), math.cos(3)])  # three frames back
    assert table[6, 6:].tolist() == pytest.approx([math.sin(-3e-3), math.cos(3e-3)])
    by_distance = torch.arange(7.0).expand(4, 7)
    for i in range(4):
        for j in range(4):
            assert by_place(by_distance)[i, j] == 3 - (i - j)


@pytest.mark.parametrize("leaks", [False, True])
def test_padding_reaches_real_frames_only_where_the_public_code_lets_it(leaks):
    conformer = ConformerEncoder(
        in_channels=8, width=32, n_heads=2, n_blocks=1, hidden=8, padding_leaks=leaks
    )
    x = torch.randn(1, 30, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(30)[None] < 20
    other = torch.where(mask[..., None], x, 5.0)
    with torch.inference_mode():
        a, b = (conformer.eval()(given, mask) for given in (x, other))
    same = (a == b).all(dim=2)[0]
    assert bool(same[:20].all()) is not leaks
    assert same[: 20 - KERNEL // 2].all()


def published_names(encoder, *, older: bool, prefix: str = "") -> dict[str, torch.Tensor]:
    """The state dict of an encoder under either published naming, with decoder and CTC."""
    renamed = {}
    for key, value in encoder.state_dict().items():
        front = key.startswith(("frontend.", "embed."))
        if not older and key.startswith("embed.0."):
            name = key.replace("embed.0.", "proj_encoder.")
        elif not older and front:
            name = key
        else:
            name = f"encoder.{key}"
        renamed[prefix + name] = value
    return renamed | {
        f"{prefix}decoder.embed.0.weight": torch.zeros(3),
        f"{prefix}ctc.ctc_lo.bias": torch.ones(2),
    }


@pytest.mark.parametrize("kind", [AutoAvsrVisualEncoder, AutoAvsrAudioEncoder])
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("prefix", ["", "model."])
def test_both_namings_of_a_checkpoint_come_to_the_same(kind, older, prefix):
    encoder = kind(**SMALL)
    state = to_own_names(published_names(encoder, older=older, prefix=prefix))
    own = encoder.state_dict()
    assert state.keys() == own.keys() and all(
        state[key] is own[key] or torch.equal(state[key], own[key]) for key in own
    )
    assert is_visual(state) is (kind is AutoAvsrVisualEncoder)


def test_names_of_old_checkpoints_are_renamed():
    old = {
        "encoder.input_layer.0.weight": 0,
        "encoder.norm.weight": 1,
        "encoder.encoders.0.conv_module.norm.bias": 2,
    }
    assert to_own_names(old) == {
        "embed.0.weight": 0,
        "after_norm.weight": 1,
        "encoders.0.conv_module.norm.bias": 2,
    }


@pytest.mark.dataset
def test_a_published_checkpoint_has_767_entries_of_which_the_encoders_are_used(parity_dir):
    import json

    for name in ("auto_avsr_video", "auto_avsr_audio", "vsr_ml_video", "vsr_ml_audio"):
        entries = json.loads((parity_dir / f"{name}.json").read_text())["state_dict"]
        state = to_own_names({key: shape for key, shape, *_ in entries})
        with torch.device("meta"):
            encoder = AutoAvsrVisualEncoder() if is_visual(state) else AutoAvsrAudioEncoder()
        assert len(entries) == 767
        assert {key: list(value.shape) for key, value in encoder.state_dict().items()} == state
