"""The configurations of public networks have the published sizes and settings."""

from dataclasses import asdict

import pytest

from avloc.config import load_config
from avloc.decoding.published import PublishedQuirks
from avloc.metrics.protocols import PROTOCOLS
from avloc.models.building import build_model
from avloc.models.weights.importing import DECODING

# Parameters as counted in the published checkpoints.
PARAMETERS = {
    "dimodif_lavdf": 6_978_051,
    "dimodif_av1m": 6_978_051,
    "auvire_lavdf": 12_101_516,
    "auvire_av1m": 8_934_790,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_has_the_published_size(name):
    network = build_model(load_config(name)["model"])
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name]
    assert network.max_length == (600 if name.startswith("dimodif") else 512)


@pytest.mark.parametrize("name", PARAMETERS)
def test_it_is_trained_as_published(name):
    train = load_config(name)["train"]
    published = dict(learning_rate=1e-3, weight_decay=0.0, betas=[0.9, 0.999], clip_norm=None)
    published |= dict(epochs=100, batch_size=64, patience=7, rate_factor=0.1, stop_after=10, averaging=False)
    published |= dict(alpha=0.98, seed=1234567891 if name == "auvire_lavdf" else 0)
    assert published.items() <= train.items()
    assert train["protocol"] == name.split("_")[1] and train["protocol"] in PROTOCOLS
    assert train["validation_split"] == ("dev" if name.endswith("lavdf") else "val")


@pytest.mark.parametrize("name", PARAMETERS)
def test_it_is_decoded_as_imported_weights_are(name):
    assert load_config(name)["decoding"] == DECODING | {"published": asdict(PublishedQuirks())}
