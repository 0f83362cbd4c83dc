"""Speech activity: silero-vad's network at 16 kHz, run block-wise, and its probabilities made into spans.

The weights come from the wheel of silero-vad 6.2 (MIT). The network is rebuilt here because the package steps
through a recording hop by hop: only its recurrent cell needs that, everything before it is batched over hops.
The package itself is not imported: doing so sets torch's thread count for the whole process.
"""

import warnings
from array import array
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avloc.errors import CheckpointError
from avloc.features.audio import SAMPLE_RATE
from avloc.structures import Segment, Timeline

HOP_SAMPLES = 512
CONTEXT_SAMPLES = 64
STFT_SAMPLES = 256
STFT_HOP_SAMPLES = 128
WIDTH = 128
BATCH_HOPS = 512  # 16 s at once bounds the memory of a long push

ONSET, OFFSET = 0.5, 0.35
MIN_SPEECH_S, MIN_SILENCE_S, PAD_S = 0.25, 0.1, 0.03


class SpeechDetector:
    """Probability of speech along one channel, streamed.

    Notes
    -----
    Push blocks of any length, then call ``finish``. What is kept grows by 125 bytes a second of sound.

    Examples
    --------
    >>> detector = SpeechDetector()
    >>> detector.push(np.zeros(16000, dtype=np.float32))
    >>> detector.finish()
    >>> len(detector.probabilities), detector.spans()
    (32, Timeline(segments=()))
    """

    def __init__(self) -> None:
        self._network = _load_network()
        self._probabilities = array("f")
        # The context of the first hop is silence.
        self._buffer = np.zeros(CONTEXT_SAMPLES, dtype=np.float32)
        self._state: tuple[Tensor, Tensor] | None = None
        self._n_samples = 0
        self._is_finished = False

    def push(self, samples: np.ndarray) -> None:
        """Take the next samples.

        Parameters
        ----------
        samples : float32 (n,) [-1, 1]
            At 16 kHz; n may be 0.

        Raises
        ------
        ValueError
            If the samples are not one-dimensional and finite, or after ``finish``.
        """
        if samples.ndim != 1 or not np.isfinite(samples).all():
            raise ValueError(f"expected finite samples (n,) of one channel, got shape {samples.shape}")
        if self._is_finished:
            raise ValueError("expected no samples after finish(), make a new SpeechDetector")
        self._n_samples += len(samples)
        self._buffer = np.concatenate([self._buffer, samples.astype(np.float32, copy=False)])
        self._run()

    def finish(self) -> None:
        """Fill the last hop with silence; nothing may be pushed any more."""
        rest = (len(self._buffer) - CONTEXT_SAMPLES) % HOP_SAMPLES
        if rest and not self._is_finished:
            self._buffer = np.pad(self._buffer, (0, HOP_SAMPLES - rest))
            self._run()
        self._is_finished = True

    @property
    def probabilities(self) -> np.ndarray:
        """Speech probability of every whole hop of 0.032 s so far, float32 (n,)."""
        return np.array(self._probabilities, dtype=np.float32)

    def spans(
        self,
        *,
        onset: float = ONSET,
        offset: float = OFFSET,
        min_speech_s: float = MIN_SPEECH_S,
        min_silence_s: float = MIN_SILENCE_S,
        pad_s: float = PAD_S,
    ) -> Timeline:
        """Cut what was heard so far into spans of speech; see ``probabilities_to_spans``."""
        return probabilities_to_spans(
            self.probabilities,
            self._n_samples / SAMPLE_RATE,
            onset=onset,
            offset=offset,
            min_speech_s=min_speech_s,
            min_silence_s=min_silence_s,
            pad_s=pad_s,
        )

    def _run(self) -> None:
        n_hops = (len(self._buffer) - CONTEXT_SAMPLES) // HOP_SAMPLES
        for start in range(0, n_hops, BATCH_HOPS):
            stop = min(n_hops, start + BATCH_HOPS)
            samples = self._buffer[start * HOP_SAMPLES : stop * HOP_SAMPLES + CONTEXT_SAMPLES]
            with torch.inference_mode():
                found, self._state = self._network(torch.from_numpy(samples), self._state)
            self._probabilities.extend(found.tolist())
        self._buffer = self._buffer[n_hops * HOP_SAMPLES :].copy()


def probabilities_to_spans(
    probabilities: np.ndarray,
    duration_s: float,
    *,
    onset: float = ONSET,
    offset: float = OFFSET,
    min_speech_s: float = MIN_SPEECH_S,
    min_silence_s: float = MIN_SILENCE_S,
    pad_s: float = PAD_S,
) -> Timeline:
    """Spans of speech by hysteresis.

    Parameters
    ----------
    probabilities : float (n,) [0, 1]
        One a hop of 512 samples at 16 kHz.
    duration_s : float
        Where the recording ends; no span reaches beyond.
    onset, offset : float [0, 1]
        Speech begins at ``onset`` and lasts while the probability is at least ``offset``.
    min_speech_s, min_silence_s : float
        Silence shorter than this is bridged first, then speech shorter than this is dropped.
    pad_s : float
        Added at both ends; spans that then touch become one.

    Returns
    -------
    Timeline
        Disjoint.
    """
    n = len(probabilities)
    decided = (probabilities >= onset) | (probabilities < offset)
    last = np.maximum.accumulate(np.where(decided, np.arange(1, n + 1), 0))  # 1 + last hop that decided
    speech = np.concatenate([[False], probabilities >= onset])[last]
    steps = np.diff(np.concatenate([[0], speech.astype(np.int8), [0]]))
    hop_s = HOP_SAMPLES / SAMPLE_RATE
    starts, ends = np.flatnonzero(steps == 1) * hop_s, np.flatnonzero(steps == -1) * hop_s
    breaks = starts[1:] - ends[:-1] >= min_silence_s
    first = np.concatenate([[True], breaks])[: len(starts)]
    final = np.concatenate([breaks, [True]])[: len(starts)]
    pairs = []
    for start, end in zip(starts[first], np.minimum(ends[final], duration_s), strict=True):
        if end - start >= min_speech_s:
            pairs.append((max(0.0, float(start) - pad_s), min(duration_s, float(end) + pad_s)))
    return Timeline(tuple(Segment(start, end) for start, end in pairs)).support()


class _SileroNetwork(nn.Module):
    """Spectral magnitudes, four convolutions within a hop, one recurrent cell over hops."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(STFT_SAMPLES), persistent=False)
        self.conv1 = nn.Conv1d(STFT_SAMPLES // 2 + 1, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH // 2, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(WIDTH // 2, WIDTH // 2, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(WIDTH // 2, WIDTH, 3, padding=1)
        self.lstm = nn.LSTM(WIDTH, WIDTH)
        self.final_conv = nn.Conv1d(WIDTH, 1, 1)

    def forward(
        self, samples: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Probabilities (hops,) of samples (64 + 512 * hops,) and the state after them."""
        hops = samples.unfold(0, CONTEXT_SAMPLES + HOP_SAMPLES, HOP_SAMPLES)  # (hops, 576)
        hops = functional.pad(hops, (0, CONTEXT_SAMPLES), mode="reflect")
        frames = hops.unfold(1, STFT_SAMPLES, STFT_HOP_SAMPLES)  # (hops, 4, 256)
        x = torch.fft.rfft(frames * self.window).abs()  # (hops, 4, 129)
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = _convolve(x, convolution).relu_()  # (hops, 4, 2, 1 and 1, C)
        hidden, state = self.lstm(x[:, 0], state)  # (hops, 128)
        logits = self.final_conv(hidden.relu().T)  # (1, hops)
        return logits.sigmoid()[0], state


def _convolve(x: Tensor, convolution: nn.Conv1d) -> Tensor:
    """Convolve (B, T, C) over T as one matrix product, which is faster where a row has so few frames."""
    (kernel,), (stride,), (padding,) = convolution.kernel_size, convolution.stride, convolution.padding
    frames = functional.pad(x, (0, 0, padding, padding)).unfold(1, kernel, stride).transpose(2, 3)
    weight = convolution.weight.transpose(1, 2).flatten(1)  # (C', kernel * C)
    return functional.linear(frames.flatten(2).contiguous(), weight, convolution.bias)


@lru_cache(maxsize=1)
def _load_network() -> _SileroNetwork:
    spec = find_spec("silero_vad")
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    path = folder / "data" / "silero_vad.jit"
    if not path.is_file():
        raise CheckpointError(f"expected {path.name!r} in the package silero_vad; install silero-vad>=6.2.3")
    # The .safetensors file beside it holds other weights than those that the package itself runs.
    with warnings.catch_warnings():  # torch.jit.load is deprecated, but the supported torch versions have it
        warnings.simplefilter("ignore", DeprecationWarning)
        stored = torch.jit.load(path, map_location="cpu").state_dict()
    network = _SileroNetwork()
    spectrum = torch.fft.rfft(torch.diag(network.window))  # (256, 129), of one sample each
    basis = torch.cat([spectrum.real, spectrum.imag], dim=1).T
    if not torch.allclose(basis, stored["_model.stft.forward_basis_buffer"][:, 0], atol=1e-5):
        raise CheckpointError(f"expected spectra of Hann windows in {path}; install silero-vad 6.2")
    network.load_state_dict({ours: stored[f"_model.{theirs}"] for ours, theirs in _STORED_NAMES.items()})
    return network.eval().requires_grad_(False)


_STORED_NAMES = {
    **{
        f"conv{i + 1}.{kind}": f"encoder.{i}.reparam_conv.{kind}"
        for i in range(4)
        for kind in ("weight", "bias")
    },
    **{
        f"lstm.{kind}_{side}_l0": f"decoder.rnn.{kind}_{side}"
        for kind in ("weight", "bias")
        for side in ("ih", "hh")
    },
    "final_conv.weight": "decoder.decoder.2.weight",
    "final_conv.bias": "decoder.decoder.2.bias",
}
