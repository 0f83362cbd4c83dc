"""From the ``inputs`` that an encoder declares to tensors: the only dispatch to transforms."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from avloc.features.audio import (
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    cut_pieces,
    log_mel,
    log_spectrum,
    whisper_mel,
)
from avloc.features.filter_banks import stacked_filter_banks
from avloc.features.quality import measure_bandwidth

LIPS_PX = 88  # side of what the public lip readers see of a mouth
WAVEFORM_EPSILON = 1e-8  # keeps silence finite; one of the two public forms has 0
CROP_MEAN = 0.421  # of gray values in [0, 1]; as Auto-AVSR standardises its mouth crops
CROP_STD = 0.165

FULL_BAND = {"log_mel": log_mel, "log_spectrum": log_spectrum}

Crops = Mapping[str, Tensor]


def prepare(
    inputs: tuple[str, ...],
    *,
    waveform: Tensor | None = None,
    audio_mask: Tensor | None = None,
    crops: Mapping[str, Tensor] | None = None,
) -> tuple[Tensor, ...]:
    """Compute what an encoder reads, in the order in which it names it.

    Parameters
    ----------
    inputs : tuple of str
        Of ``"whisper_mel"``, ``"log_mel"``, ``"log_spectrum"``, ``"waveform"``, ``"fbank104"``,
        ``"mouth96_box"``, ``"mouth88_landmarks"`` and ``"face112"``.
    waveform : float32 (B, 640 * T) [-1, 1], optional
        At 16 kHz.
    audio_mask : bool (B, T), optional
        Frames that hold sound; all without it.
    crops : mapping of str to uint8 (B, T, H, W), optional
        Gray crops of the face by name: ``mouth96_box`` (96, 96), ``mouth88_landmarks`` (96, 96), whose middle
        is read, ``face112`` (112, 112).

    Returns
    -------
    tuple of Tensor
        ``"whisper_mel"``: float32 (B, P, 80, 640), clamped for each piece on its own. ``"log_mel"``: float32
        (B, 2, 80, 4 T), and ``"log_spectrum"``: float32 (B, 2, 256, 4 T), the bandwidth measured for each
        row. ``"waveform"``: float32 (B, 640 T) of zero mean and unit variance over the frames that hold
        sound, zero elsewhere. ``"fbank104"``: float32 (B, T, 104). ``"mouth96_box"``: float32 (B, T, 96, 96),
        ``"mouth88_landmarks"``: float32 (B, T, 88, 88), and ``"face112"``: float32 (B, T, 112, 112), gray
        values standardised.

    Raises
    ------
    ValueError
        If a name is unknown or what it is made from is missing.
    """
    unknown = [name for name in inputs if name not in _TRANSFORMS]
    if unknown:
        raise ValueError(f"unknown input {unknown[0]!r}, expected one of {sorted(_TRANSFORMS)}")
    return tuple(_TRANSFORMS[name](waveform, audio_mask, crops or {}) for name in inputs)


def _prepare_whisper_mel(waveform: Tensor | None, audio_mask: Tensor | None, crops: Crops) -> Tensor:
    pieces = cut_pieces(_required(waveform, "whisper_mel", "waveform=..."))  # (B, P, 102400)
    return whisper_mel(pieces.flatten(0, 1)).unflatten(0, pieces.shape[:2])


def _prepare_full_band(
    waveform: Tensor | None, audio_mask: Tensor | None, crops: Crops, *, name: str
) -> Tensor:
    waveform = _required(waveform, name, "waveform=...")
    bandwidth_hz = _bandwidths_hz(waveform, audio_mask)
    return FULL_BAND[name](waveform, bandwidth_hz=bandwidth_hz, mask=audio_mask)


def _prepare_crop(
    waveform: Tensor | None, audio_mask: Tensor | None, crops: Crops, *, name: str, size_px: int
) -> Tensor:
    crop = _required(crops.get(name), name, f"crops={{{name!r}: ...}}")
    if crop.dtype != torch.uint8 or crop.shape[-2:] != (size_px, size_px):
        expected = f"expected {name} uint8 (B, T, {size_px}, {size_px})"
        raise ValueError(f"{expected}, got {crop.dtype} {tuple(crop.shape)}")
    return standardise_gray(crop)


def _prepare_lips(waveform: Tensor | None, audio_mask: Tensor | None, crops: Crops) -> Tensor:
    crop = _required(crops.get("mouth88_landmarks"), "mouth88_landmarks", "crops={'mouth88_landmarks': ...}")
    if crop.dtype != torch.uint8 or min(crop.shape[-2:]) < LIPS_PX:
        expected = f"expected mouth88_landmarks uint8 (B, T, >= {LIPS_PX}, >= {LIPS_PX})"
        raise ValueError(f"{expected}, got {crop.dtype} {tuple(crop.shape)}")
    return standardise_gray(cut_centre(crop, LIPS_PX))


def standardise_gray(values: Tensor) -> Tensor:
    """Bring gray values of 0 to 255 to about zero mean and unit variance, float32."""
    return values.float().mul_(1.0 / (255.0 * CROP_STD)).sub_(CROP_MEAN / CROP_STD)


def cut_centre(pictures: Tensor, size_px: int) -> Tensor:
    """Cut the middle out of (…, H, W); an odd margin is halved to the even of the two sides."""
    top, left = (round((side - size_px) / 2) for side in pictures.shape[-2:])
    return pictures[..., top : top + size_px, left : left + size_px]


def standardise_waveform(
    waveform: Tensor, mask: Tensor | None = None, *, epsilon: float = WAVEFORM_EPSILON
) -> Tensor:
    """Bring each row to zero mean and unit variance.

    Parameters
    ----------
    waveform : float32 (B, N)
    mask : bool (B, N // 640), optional
        Frames that hold sound; the others do not count and become zero.
    epsilon : float [>= 0]
        Added to the variance: 1e-8 in auto_avsr, 0 in the older form, which makes silence not a number.
    """
    if mask is None or bool(mask.all()):
        return functional.layer_norm(waveform, waveform.shape[1:], eps=epsilon)
    real = mask.repeat_interleave(SAMPLES_PER_FRAME, dim=1).to(waveform.dtype)
    n_real = real.sum(1, keepdim=True).clamp_min(1.0)
    centred = (waveform - (waveform * real).sum(1, keepdim=True) / n_real) * real
    return centred * ((centred**2).sum(1, keepdim=True) / n_real + epsilon).rsqrt()


def _prepare_waveform(waveform: Tensor | None, audio_mask: Tensor | None, crops: Crops) -> Tensor:
    return standardise_waveform(_required(waveform, "waveform", "waveform=..."), audio_mask)


def _prepare_filter_banks(waveform: Tensor | None, audio_mask: Tensor | None, crops: Crops) -> Tensor:
    return stacked_filter_banks(_required(waveform, "fbank104", "waveform=..."))


def _required(tensor: Tensor | None, name: str, argument: str) -> Tensor:
    if tensor is None:
        raise ValueError(f"input {name!r} needs {argument}, got None")
    return tensor


def _bandwidths_hz(waveform: Tensor, audio_mask: Tensor | None) -> Tensor:
    """Bandwidth of each row where it holds sound: (B,)."""
    found = []
    for row in range(waveform.shape[0]):
        samples = waveform[row]
        if audio_mask is not None and not bool(audio_mask[row].all()):
            samples = samples[audio_mask[row].repeat_interleave(SAMPLES_PER_FRAME)]
        found.append(measure_bandwidth(samples.detach().cpu().numpy(), SAMPLE_RATE))
    return torch.tensor(found, dtype=torch.float32, device=waveform.device)


_TRANSFORMS: dict[str, Callable[[Tensor | None, Tensor | None, Crops], Tensor]] = {
    "whisper_mel": _prepare_whisper_mel,
    **{name: partial(_prepare_full_band, name=name) for name in FULL_BAND},
    "waveform": _prepare_waveform,
    "fbank104": _prepare_filter_banks,
    "mouth88_landmarks": _prepare_lips,
    "mouth96_box": partial(_prepare_crop, name="mouth96_box", size_px=96),
    "face112": partial(_prepare_crop, name="face112", size_px=112),
}
