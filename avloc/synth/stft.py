"""Short-time Fourier transform and its inverse, in float32, for the vocoders."""

import numpy as np
from scipy.fft import irfft, rfft


class Stft:
    """Hann-windowed transform; frame ``t`` is centred on sample ``t * hop``.

    Parameters
    ----------
    n_fft, hop : int [samples]
        ``hop`` at most ``n_fft // 2``.
    n_samples : int
        Length of the signals.
    """

    def __init__(self, n_fft: int, hop: int, n_samples: int) -> None:
        self.n_fft, self.hop, self.n_samples = n_fft, hop, n_samples
        self.n_frames = -(-n_samples // hop) + 1
        self.window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
        self.n_padded = (self.n_frames - 1) * hop + n_fft
        weight = self._add(np.broadcast_to(self.window**2, (self.n_frames, n_fft)))
        self._weight = np.maximum(weight, weight.max() * 1e-3)

    def forward(self, samples: np.ndarray) -> np.ndarray:
        """(n_samples,) to (n_frames, n_fft // 2 + 1) complex64."""
        padded = np.zeros(self.n_padded, dtype=np.float32)
        padded[self.n_fft // 2 : self.n_fft // 2 + self.n_samples] = samples
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[:: self.hop]
        return rfft(frames * self.window, axis=1)

    def inverse(self, spectrum: np.ndarray) -> np.ndarray:
        """Least-squares inverse, (n_frames, n_fft // 2 + 1) to (n_samples,) float32."""
        frames = irfft(spectrum, self.n_fft, axis=1) * self.window
        samples = self._add(frames) / self._weight
        return samples[self.n_fft // 2 : self.n_fft // 2 + self.n_samples]

    def _add(self, frames: np.ndarray) -> np.ndarray:
        # A frame is cut into hops; hop k of all frames lands in consecutive hops of the sum.
        n_parts = -(-self.n_fft // self.hop)
        parts = np.zeros((len(frames), n_parts * self.hop), dtype=np.float32)
        parts[:, : self.n_fft] = frames
        parts = parts.reshape(len(frames), n_parts, self.hop)
        total = np.zeros((len(frames) + n_parts - 1, self.hop), dtype=np.float32)
        for k in range(n_parts):
            total[k : k + len(frames)] += parts[:, k]
        return total.reshape(-1)[: self.n_padded]
