"""Copy synthesis by Griffin and Lim's phase reconstruction from a mel spectrogram."""

from functools import lru_cache

import numpy as np

from avloc.features.audio import SAMPLE_RATE
from avloc.synth.stft import Stft


def draw_griffin_lim(rng: np.random.Generator) -> dict:
    """Random parameters: transform, mel bands, iterations, momentum, initial phase."""
    n_fft = int(rng.choice([512, 640, 800, 1024]))
    return {
        "n_fft": n_fft,
        "hop": n_fft // int(rng.choice([4, 4, 5])),
        "n_mels": int(rng.choice([40, 64, 80, 80, 100, 128])),
        "n_iterations": int(np.exp(rng.uniform(np.log(8), np.log(60)))),
        "momentum": float(rng.choice([0.0, 0.99])),
    }


def griffin_lim(
    rng: np.random.Generator,
    samples: np.ndarray,
    *,
    n_fft: int,
    hop: int,
    n_mels: int,
    n_iterations: int,
    momentum: float,
) -> np.ndarray:
    """Speak ``samples`` (n,) again from its mel magnitudes, with phases found by iteration.

    References
    ----------
    .. [1] Griffin and Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP 1984.
    .. [2] Perraudin, Balazs and Sondergaard, "A fast Griffin-Lim algorithm", WASPAA 2013 (``momentum``).
    """
    transform = Stft(n_fft, hop, len(samples))
    bank, inverse = _mel_bank(n_fft, n_mels)
    magnitude = np.abs(transform.forward(samples))
    magnitude = np.maximum((magnitude @ bank) @ inverse, 0).astype(np.float32)  # (T, F)
    phase = np.exp(2j * np.pi * rng.random(magnitude.shape, dtype=np.float32)).astype(np.complex64)
    previous = np.zeros_like(phase)
    for _ in range(n_iterations):
        rebuilt = transform.forward(transform.inverse(magnitude * phase))
        target = rebuilt + momentum * (rebuilt - previous) if momentum else rebuilt
        previous = rebuilt
        phase = target / (np.abs(target) + 1e-9)
    return transform.inverse(magnitude * phase)


@lru_cache(maxsize=64)
def _mel_bank(n_fft: int, n_mels: int) -> tuple[np.ndarray, np.ndarray]:
    """Triangular bank (F, M) of unit sums on the scale 2595 log10(1 + f/700), and the way back (M, F)."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, n_mels + 2) / 2595) - 1)
    frequency = np.arange(n_fft // 2 + 1) * SAMPLE_RATE / n_fft
    rising = (frequency[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequency[:, None]) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(np.minimum(rising, falling), 0)  # (F, M)
    # Low bands narrower than a bin would be empty: they take the nearest bin.
    empty = triangles.sum(axis=0) == 0
    triangles[np.abs(frequency[:, None] - edges[1:-1]).argmin(axis=0)[empty], np.flatnonzero(empty)] = 1
    bank = triangles / triangles.sum(axis=0)
    return bank.astype(np.float32), np.linalg.pinv(bank).astype(np.float32)
