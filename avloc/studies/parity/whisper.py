"""Whisper's encoder against its fixtures."""

from collections.abc import Iterator

import torch

from avloc.models.encoders.whisper import WhisperEncoder
from avloc.studies.parity import recipes
from avloc.studies.parity.comparison import Comparison, compare
from avloc.studies.parity.fixtures import Fixture

DEFAULT = "max abs <= 1e-4"


def run_whisper(fixture: Fixture) -> Iterator[Comparison]:
    """Compare embedding, residual stream and closing norm of the encoder."""
    dims = fixture.description["dims"]
    encoder = WhisperEncoder(
        width=dims["n_audio_state"],
        n_layers=dims["n_audio_layer"],
        n_heads=dims["n_audio_head"],
        n_mels=dims["n_mels"],
        final_norm=True,
    ).eval()
    encoder.load_published(fixture.state())
    for case in fixture.cases:
        inputs = case["inputs"]
        mel = torch.from_numpy(recipes.log_mel(inputs["seed"], inputs["B"], inputs["T"]))
        *blocks, final = encoder(mel)
        found = {f"block{i}": block for i, block in enumerate(blocks)}
        found |= {"embedded": encoder.embed(mel), "final": final}
        for output in case["outputs"]:
            yield compare(fixture, case, output, found[output].numpy(), default=DEFAULT)
