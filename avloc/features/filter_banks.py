"""Stacked log filter-banks: what AV-HuBERT reads of sound (python_speech_features 0.6, ``logfbank``).

Frames of 25 ms every 10 ms without a window, 26 triangles on the mel scale of HTK, four steps in one row of
40 ms.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avloc.features.audio import HOP_LENGTH, SAMPLE_RATE

N_FILTERS = 26
FRAME_SAMPLES = 400
N_FFT = 512
PRE_EMPHASIS = 0.97
STEPS_PER_ROW = 4
ROW_CHANNELS = N_FILTERS * STEPS_PER_ROW
SMALLEST = float(np.finfo(np.float64).eps)  # stands for no energy at all: a row of digital silence
NORM_EPSILON = 1e-5


def log_filter_banks(waveform: Tensor) -> Tensor:
    """Give the natural log of the energy in each filter.

    Parameters
    ----------
    waveform : Tensor [shape=(B, N), 16 kHz]
        Of any scale; AV-HuBERT's training gave whole numbers of 16 bits, AuViRe gives [-1, 1]. The scale
        moves speech, and not the floor.

    Returns
    -------
    Tensor [shape=(B, 1 + ceil((N - 400) / 160), 26), float32]
        A sound of up to 400 samples gives one step; the end is filled up with zeros.
    """
    x = waveform.double()  # the floor is far below what float32 leaves of a power
    x = torch.cat((x[:, :1], x[:, 1:] - PRE_EMPHASIS * x[:, :-1]), dim=1)
    n_steps = 1 + max(0, -(-(x.shape[1] - FRAME_SAMPLES) // HOP_LENGTH))
    length = (n_steps - 1) * HOP_LENGTH + FRAME_SAMPLES
    frames = functional.pad(x, (0, length - x.shape[1])).unfold(1, FRAME_SAMPLES, HOP_LENGTH)
    power = torch.fft.rfft(frames, N_FFT).abs().square() / N_FFT  # (B, steps, 257)
    energy = power @ _filters(x.device).T
    return torch.where(energy == 0, SMALLEST, energy).log().float()


def stacked_filter_banks(waveform: Tensor) -> Tensor:
    """Give AV-HuBERT's input: four steps in a row, each row normalised by itself.

    Parameters
    ----------
    waveform : Tensor [shape=(B, N), 16 kHz]
        As of ``log_filter_banks``; 640 T samples give T rows.

    Returns
    -------
    Tensor [shape=(B, ceil(steps / 4), 104), float32, 25 Hz]
        Rows of zeros are appended to the steps first; the epsilon of the norm is 1e-5.
    """
    steps = log_filter_banks(waveform)
    steps = functional.pad(steps, (0, 0, 0, -steps.shape[1] % STEPS_PER_ROW))
    rows = steps.reshape(steps.shape[0], -1, ROW_CHANNELS)
    return functional.layer_norm(rows, (ROW_CHANNELS,), eps=NORM_EPSILON)


@lru_cache(maxsize=4)
def _filters(device: torch.device) -> Tensor:
    """Triangles between whole bins, evenly spaced in mel: float64 (26, 257)."""
    top = 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    edges_hz = 700.0 * (10.0 ** (np.linspace(0.0, top, N_FILTERS + 2) / 2595.0) - 1.0)
    edges = np.floor((N_FFT + 1) * edges_hz / SAMPLE_RATE)
    bins = np.arange(N_FFT // 2 + 1)
    left, middle, right = (edges[i : i + N_FILTERS, None] for i in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):  # of an edge of no width, which holds no bin
        rising = np.where((bins >= left) & (bins < middle), (bins - left) / (middle - left), 0.0)
        falling = np.where((bins >= middle) & (bins < right), (right - bins) / (right - middle), 0.0)
    with torch.inference_mode(False):  # a cached tensor must serve with and without gradients
        return torch.from_numpy(rising + falling).to(device)
