import pytest
import torch

from avloc.models.encoders import auto_avsr, av_hubert  # noqa: F401 - they register themselves
from avloc.models.encoders.compact import CompactVisualEncoder
from avloc.models.encoders.two_stem import TwoStemEncoder, join_pieces
from avloc.registry import ENCODERS

TWO_STEMS = dict(width=64, n_layers=2, n_heads=2, recogniser_channels=24, spectral_channels=16)
CONFORMER = dict(width=32, n_heads=2, n_blocks=1, hidden=48)
SMALL = {
    "TwoStemEncoder": TWO_STEMS,
    "TwoStemEncoder with linear bands": dict(**TWO_STEMS, spectrum="log_spectrum"),
    "TwoStemEncoder without log spectra": TWO_STEMS | {"spectral_channels": 0},
    "TwoStemEncoder of pooled frames": TWO_STEMS | {"pooling": 2, "spectral_widths": (4, 8, 8)},
    "SpectralEncoder": dict(channels=16, widths=(4, 8, 8), n_blocks=1),
    "SpectralEncoder with linear bands": dict(channels=16, spectrum="log_spectrum", widths=(4, 8, 8)),
    "AutoAvsrVisualEncoder": dict(**CONFORMER, stem_width=4),
    "AutoAvsrAudioEncoder": dict(**CONFORMER, stem_width=4),
    "AvHubertEncoder": dict(stem_width=4, width=32, n_heads=2, n_layers=1, hidden=48),
    "CompactVisualEncoder": dict(width=8, out_channels=24, n_blocks=1),
    "CompactVisualEncoder of motion": dict(width=8, out_channels=24, n_blocks=1, halved=True, motion=12),
    "CompactVisualEncoder with face": dict(width=8, out_channels=40, n_blocks=1, face_channels=16),
}


def make_inputs(
    name: str, encoder: torch.nn.Module, n_frames: int, seed: int = 0
) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    n_pieces = (n_frames - 160) // 120 + 1
    shapes = {
        "whisper_mel": (2, n_pieces, 80, 640),
        "log_mel": (2, 2, 80, 4 * n_frames),
        "log_spectrum": (2, 2, 256, 4 * n_frames),
        "waveform": (2, 640 * n_frames),
        "fbank104": (2, n_frames, 104),
        "mouth96_box": (2, n_frames, 96, 96),
        "mouth88_landmarks": (2, n_frames, 88, 88),
        "face112": (2, n_frames, 112, 112),
    }
    return tuple(torch.randn(shapes[kind], generator=generator) for kind in encoder.inputs)


def make_encoder(name: str) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return ENCODERS.module_dict[name.split()[0]](**SMALL[name])


@pytest.fixture(params=sorted(SMALL))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_all_registered_encoders_are_tested():
    without_inputs = {"StoredFeatures"}  # test_stored.py
    assert set(ENCODERS.module_dict) - without_inputs == {name.split()[0] for name in SMALL}


@pytest.mark.parametrize("n_frames", [160, 280])
def test_shape_and_frame_rate_are_as_declared(name, n_frames):
    encoder = make_encoder(name).eval()
    mask = torch.ones(2, n_frames, dtype=torch.bool)
    embedding, out_mask = encoder(make_inputs(name, encoder, n_frames), mask)
    assert embedding.shape == (2, encoder.out_channels, n_frames)
    assert out_mask.shape == (2, n_frames)
    assert encoder.frame_rate == 25
    assert 0 < encoder.sync_channels <= encoder.out_channels


@pytest.mark.parametrize("n_real", [37, 100, 159])
def test_masked_frames_do_not_change_unmasked_ones(name, n_real):
    encoder = make_encoder(name).eval()
    mask = torch.ones(2, 160, dtype=torch.bool)
    mask[:, n_real:] = False
    first, second = make_inputs(name, encoder, 160), make_inputs(name, encoder, 160)
    for kind, x in zip(encoder.inputs, second, strict=True):
        if kind in ("whisper_mel", "log_mel", "log_spectrum"):
            x[..., 4 * n_real :] = 9.0
        elif kind == "waveform":
            x[:, 640 * n_real :] = 9.0
        else:
            x[:, n_real:] = 9.0
    with torch.inference_mode():
        a, b = (encoder(inputs, mask)[0] for inputs in (first, second))
    # 1e-5: the sums run over other values that are multiplied by zero, in another order of rounding
    torch.testing.assert_close(a[:, :, :n_real], b[:, :, :n_real], atol=1e-5, rtol=0)
    assert (a[:, :, n_real:] == 0).all()


def test_gradient_reaches_every_parameter(name):
    encoder = make_encoder(name)
    mask = torch.ones(2, 160, dtype=torch.bool)
    embedding, _ = encoder(make_inputs(name, encoder, 160), mask)
    embedding.square().sum().backward()
    silent = [key for key, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


def test_the_recognisers_channels_come_first_and_ignore_the_log_spectra():
    encoder = make_encoder("TwoStemEncoder").eval()
    mask = torch.ones(2, 160, dtype=torch.bool)
    pieces, spectra = make_inputs("", encoder, 160)
    with torch.inference_mode():
        a, b = (encoder((pieces, s), mask)[0] for s in (spectra, spectra + 1))
    assert torch.equal(a[:, : encoder.sync_channels], b[:, : encoder.sync_channels])
    assert not torch.equal(a[:, encoder.sync_channels :], b[:, encoder.sync_channels :])


def test_the_lips_have_channels_of_their_own_and_weights_without_a_face_fit():
    with_face = make_encoder("CompactVisualEncoder with face").eval()
    alone = make_encoder("CompactVisualEncoder").eval()
    assert with_face.inputs == ("mouth96_box", "face112") and with_face.sync_channels == alone.out_channels
    missing, unknown = with_face.load_state_dict(alone.state_dict(), strict=False)
    assert not unknown and all(key.startswith(("face.", "join")) for key in missing)
    mask = torch.ones(2, 160, dtype=torch.bool)
    mouth, face = make_inputs("", with_face, 160)
    with torch.inference_mode():
        wanted, _ = alone((mouth,), mask)
        a, b = (with_face((mouth, shown), mask)[0] for shown in (face, face + 1))
    for embedding in (a, b):
        torch.testing.assert_close(embedding[:, : alone.out_channels], wanted, atol=0, rtol=0)
    assert not torch.equal(a[:, alone.out_channels :], b[:, alone.out_channels :])


@pytest.mark.parametrize("face_channels", [-1, 24, 30])
def test_a_face_that_leaves_no_channel_for_the_mouth_is_refused(face_channels):
    with pytest.raises(ValueError, match="face_channels must be 0 to 23"):
        CompactVisualEncoder(width=8, out_channels=24, face_channels=face_channels)


def test_joined_pieces_reproduce_a_signal_that_they_agree_on():
    signal = torch.randn(2, 400, 5, generator=torch.Generator().manual_seed(0))
    pieces = signal.unfold(1, 160, 120).permute(0, 1, 3, 2)  # (B, P, 160, C)
    torch.testing.assert_close(
        join_pieces(pieces, 400), signal, atol=1e-6, rtol=0
    )  # float32 rounding of w + (1-w)


def test_joining_refuses_a_length_that_the_pieces_do_not_make():
    with pytest.raises(ValueError, match="280 frames, not 300"):
        join_pieces(torch.zeros(1, 2, 160, 3), 300)


def test_encoded_pieces_may_be_given_instead_of_the_mel():
    from avloc.models.encoders.two_stem import EncodedPieces

    encoder = make_encoder("TwoStemEncoder").eval()
    mask = torch.ones(2, 280, dtype=torch.bool)
    pieces, spectra = make_inputs("", encoder, 280)
    with torch.inference_mode():
        states = encoder.encode_pieces(pieces.flatten(0, 1), torch.ones(4, 160, dtype=torch.bool)).unflatten(
            0, (2, 2)
        )
        a, b = (encoder((x, spectra), mask)[0] for x in (pieces, EncodedPieces(states)))
    torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_default_sizes_are_what_the_configuration_documents():
    assert TwoStemEncoder.inputs == ("whisper_mel", "log_mel")
    assert CompactVisualEncoder.inputs == ("mouth96_box",)


def test_an_unknown_spectrum_is_refused():
    with pytest.raises(ValueError, match="one of log_mel, log_spectrum, got 'cqt'"):
        TwoStemEncoder(**TWO_STEMS, spectrum="cqt")


def test_an_eye_of_motion_does_not_notice_another_face_or_light():
    """A still picture under the lips, and brightness and contrast of all of it, change nothing."""
    eye = CompactVisualEncoder(width=4, out_channels=8, n_blocks=1, halved=True, motion=12)
    eye.dropout.p = 0.0  # still training: then the fresh network's numbers are of the size of one
    generator = torch.Generator().manual_seed(0)
    crops = torch.randn(1, 40, 96, 96, generator=generator)
    face = 2 * torch.randn(96, 96, generator=generator)
    mask = torch.ones(1, 40, dtype=torch.bool)
    with torch.inference_mode():
        expected, _ = eye((crops,), mask)
        brighter, _ = eye((3 * crops + 2,), mask)
        of_other_face, _ = eye((crops + face,), mask)
        backwards, _ = eye((crops.flip(1),), mask)
    torch.testing.assert_close(brighter, expected, rtol=0.01, atol=0.01)
    torch.testing.assert_close(of_other_face, expected, rtol=0.05, atol=0.05)
    assert (backwards - expected).abs().mean() > 0.2


def test_half_the_size_is_another_view_of_the_same_parameters():
    settings = dict(width=4, out_channels=8, n_blocks=1)
    eyes = [CompactVisualEncoder(**settings, halved=halved, motion=motion) for halved, motion in VIEWS]
    shapes = [{k: v.shape for k, v in eye.state_dict().items()} for eye in eyes]
    assert shapes[0] == shapes[1] == shapes[2] and [eye.view for eye in eyes] == VIEWS


VIEWS = [(False, 0), (True, 0), (True, 12)]
