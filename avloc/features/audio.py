"""Waveform to spectra on the grids that the encoders read, and the constants of those grids.

All spectra have frames every 10 ms whose centres lie at multiples of 160 samples: ``whisper_mel`` is what
Whisper's encoder was trained on, ``log_mel`` and ``log_spectrum`` keep the full band and say which bands are
real.
"""

from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

SAMPLE_RATE = 16000
RATE = Fraction(25)  # frames a second of the grid that all encoders share
SAMPLES_PER_FRAME = 640
WINDOW_FRAMES = 640  # what the network sees at once: 25.6 s
WINDOW_HOP = 360
PIECE_FRAMES = 160  # what the recogniser's stem sees at once: 6.4 s; WINDOW_HOP is a multiple of PIECE_HOP
PIECE_HOP = 120
PIECE_SAMPLES = PIECE_FRAMES * SAMPLES_PER_FRAME

HOP_LENGTH = 160
MEL_PER_FRAME = SAMPLES_PER_FRAME // HOP_LENGTH
N_MELS = 80
WINDOW_SAMPLES = 400  # Hann window of all spectra
FULL_BAND_N_FFT = 512
N_BANDS = FULL_BAND_N_FFT // 2
POWER_FLOOR = 1e-10  # just below what rounding to 16 bits leaves in a mel band
LEVEL_SCALE = 4.0  # natural-log units; brings speech to a standard deviation near 1


@lru_cache(maxsize=8)
def mel_bank(n_fft: int, n_mels: int = N_MELS, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Mel filters on Slaney's scale, each of unit area (Slaney, Auditory Toolbox, 1998).

    Parameters
    ----------
    n_fft : int [samples, even]
        Length of the Fourier transform.
    n_mels : int [>= 1]
        Bands between 0 Hz and ``sample_rate / 2``.
    sample_rate : int [Hz]

    Returns
    -------
    float32 (n_mels, n_fft // 2 + 1)
        Weights for a power spectrum; what ``librosa.filters.mel`` gives with its defaults. Read-only.
    """
    edges = mel_edges_hz(n_mels, sample_rate)
    bins = np.linspace(0.0, sample_rate / 2, n_fft // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    bank = (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
    bank.flags.writeable = False
    return bank


def mel_edges_hz(n_mels: int = N_MELS, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Corners of the mel triangles: band ``m`` rises from edge m to m + 1 and falls to m + 2.

    Slaney's scale is linear below 1 kHz (200/3 Hz a mel) and logarithmic above (27 mels to 6.4 kHz).

    Returns
    -------
    float64 (n_mels + 2,) [Hz]
    """
    linear_hz, corner_hz, log_step = 200.0 / 3.0, 1000.0, np.log(6.4) / 27.0
    corner = corner_hz / linear_hz
    top = corner + np.log(sample_rate / 2 / corner_hz) / log_step
    mels = np.linspace(0.0, top, n_mels + 2)
    above = corner_hz * np.exp(log_step * (np.maximum(mels, corner) - corner))
    return np.where(mels < corner, mels * linear_hz, above)


def whisper_mel(waveform: Tensor, *, n_mels: int = N_MELS) -> Tensor:
    """Log-mel input of Whisper's encoder (openai-whisper 20250625, ``log_mel_spectrogram``).

    Parameters
    ----------
    waveform : float32 (B, N) [-1, 1, N >= 400]
        At 16 kHz. The clamp looks at the whole row: the maximum of the log spectrum less 8.
    n_mels : int
        80, or 128 for the large networks.

    Returns
    -------
    float32 (B, n_mels, N // 160)

    Raises
    ------
    ValueError
        If the waveform has another rank or fewer than 400 samples.
    """
    power = _power_spectrum(waveform, WINDOW_SAMPLES)
    mel = _filters(WINDOW_SAMPLES, n_mels, power.device) @ power  # (B, M, frames)
    mel = mel.clamp_(min=POWER_FLOOR).log10_()
    floor = mel.amax(dim=(1, 2), keepdim=True) - 8.0
    return torch.maximum(mel, floor).add_(4.0).mul_(0.25)


def log_mel(waveform: Tensor, *, bandwidth_hz: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """Log-mel spectrum of full bandwidth, with the bands that the recording lacks marked and silenced.

    Parameters
    ----------
    waveform : float32 (B, N) [-1, 1, N >= 512]
        At 16 kHz.
    bandwidth_hz : float (B,) [Hz], optional
        A band that reaches above it is masked; all bands are real without it.
    mask : bool (B, N // 640), optional
        Frames of the 25 Hz grid that hold sound; the others become zero and do not count in the mean.

    Returns
    -------
    float32 (B, 2, 80, N // 160)
        Row 0: natural log of the power in a band, less its mean over real frames and real bands, divided by
        4, zero where masked. Row 1: 1.0 where the band is real, else 0.0.

    Raises
    ------
    ValueError
        If a rank or a length does not fit.
    """
    power = _power_spectrum(waveform, FULL_BAND_N_FFT)
    mel = _filters(FULL_BAND_N_FFT, N_MELS, power.device) @ power
    return _level(mel, mel_edges_hz()[2:], bandwidth_hz, mask)


def log_spectrum(
    waveform: Tensor, *, bandwidth_hz: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """Log spectrum in 256 bands of 31.25 Hz: unlike mel bands, they tell harmonics apart in the whole band.

    Parameters and errors as of ``log_mel``.

    Returns
    -------
    float32 (B, 2, 256, N // 160)
        As of ``log_mel``; band k is centred at 31.25 (k + 1) Hz.
    """
    power = _power_spectrum(waveform, FULL_BAND_N_FFT)[:, 1:]  # 0 Hz is the offset of the recorder
    centres = np.arange(1, N_BANDS + 1) * SAMPLE_RATE / FULL_BAND_N_FFT
    return _level(power, centres, bandwidth_hz, mask)


def _level(power: Tensor, upper_hz: np.ndarray, bandwidth_hz: Tensor | None, mask: Tensor | None) -> Tensor:
    """Log power (B, M, frames) of bands up to ``upper_hz`` (M,), made independent of gain, and their mask."""
    level = power.clamp(min=POWER_FLOOR).log_()
    n_rows, n_bands, n_steps = level.shape
    bands = _real_bands(bandwidth_hz, n_rows, upper_hz, level.device)[:, :, None].to(level.dtype)  # (B, M, 1)
    frames = _real_frames(mask, n_rows, n_steps, level.device)[:, None, :].to(level.dtype)  # (B, 1, frames)
    n_real = bands.sum(dim=(1, 2)) * frames.sum(dim=(1, 2))
    total = (bands * (level @ frames.transpose(1, 2))).sum(dim=(1, 2))
    mean = total / n_real.clamp(min=1.0)
    level = (level - mean[:, None, None]).mul_(1.0 / LEVEL_SCALE).mul_(bands).mul_(frames)
    return torch.stack([level, bands.expand_as(level)], dim=1)


def cut_pieces(waveform: Tensor) -> Tensor:
    """Overlapping pieces of 6.4 s every 4.8 s, as the recogniser's stem reads them.

    Parameters
    ----------
    waveform : float32 (B, 640 * T)
        T of the form ``160 + 120 * n``.

    Returns
    -------
    float32 (B, P, 102400)
        P = (T - 160) / 120 + 1; a view.

    Raises
    ------
    ValueError
        If T has another form: pad the waveform first.
    """
    n_frames, rest = divmod(waveform.shape[-1], SAMPLES_PER_FRAME)
    if rest or n_frames < PIECE_FRAMES or (n_frames - PIECE_FRAMES) % PIECE_HOP:
        raise ValueError(
            f"expected 640 * (160 + 120 * n) samples, got {waveform.shape[-1]}; pad the waveform with zeros"
        )
    return waveform.unfold(-1, PIECE_SAMPLES, PIECE_HOP * SAMPLES_PER_FRAME)


def _power_spectrum(waveform: Tensor, n_fft: int) -> Tensor:
    """Power of Hann-windowed frames centred on multiples of 160: (B, n_fft // 2 + 1, N // 160)."""
    if waveform.ndim != 2 or waveform.shape[1] < n_fft:
        raise ValueError(f"expected a waveform (B, N) with N >= {n_fft}, got {tuple(waveform.shape)}")
    # One frame fewer than a centred transform gives: the last one is dropped, as Whisper does.
    n_frames = waveform.shape[1] // HOP_LENGTH
    padded = functional.pad(waveform.float(), (n_fft // 2, n_fft // 2), mode="reflect")
    frames = padded.unfold(1, n_fft, HOP_LENGTH)[:, :n_frames] * _window(n_fft, waveform.device)
    spectrum = torch.fft.rfft(frames)  # (B, frames, bins)
    # Two products over views: a sum over the pairs of (real, imaginary) takes six times as long.
    return torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag).transpose(1, 2)


@lru_cache(maxsize=16)
def _window(n_fft: int, device: torch.device) -> Tensor:
    """Periodic Hann window of 400 samples in the middle of ``n_fft``."""
    with torch.inference_mode(False):  # a cached tensor must serve with and without gradients
        window = torch.hann_window(WINDOW_SAMPLES, periodic=True)
        left = (n_fft - WINDOW_SAMPLES) // 2
        return functional.pad(window, (left, n_fft - WINDOW_SAMPLES - left)).to(device)


@lru_cache(maxsize=16)
def _filters(n_fft: int, n_mels: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(mel_bank(n_fft, n_mels), device=device)


def _real_bands(
    bandwidth_hz: Tensor | None, n_rows: int, upper_hz: np.ndarray, device: torch.device
) -> Tensor:
    """Bands that lie below the bandwidth: bool (B, M)."""
    if bandwidth_hz is None:
        return torch.ones(n_rows, len(upper_hz), dtype=torch.bool, device=device)
    if bandwidth_hz.shape != (n_rows,):
        raise ValueError(f"expected bandwidth_hz ({n_rows},), got {tuple(bandwidth_hz.shape)}")
    upper = torch.tensor(upper_hz, device=device)
    return upper[None] <= bandwidth_hz.to(upper)[:, None] + 1e-3  # the highest edge is Nyquist up to rounding


def _real_frames(mask: Tensor | None, n_rows: int, n_mel_frames: int, device: torch.device) -> Tensor:
    """Frames at 100 Hz that hold sound: bool (B, frames)."""
    if mask is None:
        return torch.ones(n_rows, n_mel_frames, dtype=torch.bool, device=device)
    n_frames = n_mel_frames // MEL_PER_FRAME
    if mask.shape != (n_rows, n_frames):
        raise ValueError(f"expected mask ({n_rows}, {n_frames}) on the 25 Hz grid, got {tuple(mask.shape)}")
    frames = mask.to(device).repeat_interleave(MEL_PER_FRAME, dim=1)
    return functional.pad(frames, (0, n_mel_frames - frames.shape[1]))
