"""load_encoder(): the encoder of one stream from any weights that hold one."""

import hashlib
from dataclasses import dataclass

from torch import nn

from avloc.errors import CheckpointError
from avloc.models.encoders.av_hubert import AvHubertEncoder
from avloc.models.encoders.whisper import WhisperEncoder
from avloc.models.encoders.whisper_pieces import WhisperPieces
from avloc.models.weights.card import Card
from avloc.models.weights.importing import ONLY_STREAM, STREAMS
from avloc.models.weights.store import load_weights

N_MELS = 80  # of Whisper's input
PICTURES = ("mouth96_box", "mouth88_landmarks", "face112")  # inputs that are made of crops


@dataclass(frozen=True, slots=True)
class StreamEncoder:
    """The encoder of a stream: ``network`` with ``inputs`` and ``forward`` as of any encoder.

    ``name`` is that of its weights, ``kind`` its class, ``sha256`` a hash of the weights file and of which
    part of it reads the stream.
    """

    stream: str
    network: nn.Module
    name: str
    kind: str
    sha256: str

    @property
    def crops(self) -> tuple[str, ...]:
        """Crops of the face that it reads."""
        return tuple(name for name in self.network.inputs if name in PICTURES)


def load_encoder(name: str, stream: str) -> StreamEncoder:
    """Load weights and take the encoder of a stream out of them.

    Parameters
    ----------
    name : str
        Name or path of an imported encoder, or of a network of avloc, whose own encoder is taken.
    stream : {"audio", "visual"}
        What it should read.

    Raises
    ------
    CheckpointError
        If there are no such weights, or they do not read the stream.
    ValueError
        If the stream is none.
    """
    if stream not in STREAMS:
        raise ValueError(f"stream must be one of {STREAMS}, got {stream!r}")
    network, card, sha256 = load_weights(name)
    encoder = encoder_of(network, card, stream)
    kind = type(encoder).__name__
    return StreamEncoder(stream, encoder, card.name, kind, stream_sha256(sha256, stream, kind))


def encoder_of(network: nn.Module, card: Card, stream: str) -> nn.Module:
    """Take the encoder of a stream out of what ``load_weights`` gave; CheckpointError if there is none."""
    if isinstance(network, WhisperEncoder):
        network = _of_whisper(network, card)
    if isinstance(network, AvHubertEncoder):
        encoder = network.of_stream(stream)
    elif hasattr(network, f"{stream}_encoder"):
        encoder = getattr(network, f"{stream}_encoder")
    elif hasattr(network, "inputs") and ONLY_STREAM.get(card.network, stream) == stream:
        encoder = network
    else:
        encoder = None
    inputs = () if encoder is None else encoder.inputs
    is_picture = any(kind in PICTURES for kind in inputs)
    if not inputs or is_picture != (stream == "visual"):
        raise CheckpointError(
            f"{card.name!r} ({card.network}) holds no encoder of the {stream} stream; name another"
        )
    return encoder


def stream_sha256(file_sha256: str, stream: str, kind: str) -> str:
    """Hash which part of a weights file reads a stream, of the hash of the file and the class of the part."""
    return hashlib.sha256(f"{file_sha256} {stream} {kind}".encode()).hexdigest()


def _of_whisper(network: WhisperEncoder, card: Card) -> WhisperPieces:
    if (n_mels := network.conv1.in_channels) != N_MELS:
        raise CheckpointError(f"{card.name!r} reads {n_mels} mel bands, and avloc makes {N_MELS}")
    return WhisperPieces(network)
