"""``avloc info``."""

import json

import pytest

import avloc
from avloc.cli import info
from avloc.errors import CheckpointError


@pytest.fixture
def card(monkeypatch):
    """Put a small summary in the place of real weights."""
    summary = {"name": "default", "thresholds": {"audio_wide": 0.5}, "limits": ["one face"], "sha256": "ab"}
    monkeypatch.setattr(info, "_weights", lambda name: summary)
    return summary


def test_json_tells_versions_kernels_devices_and_the_card(run, card):
    code, out, _ = run("info", "--json")
    facts = json.loads(out)
    assert code == 0 and facts["avloc"] == avloc.__version__
    assert facts["kernels"] in ("cpu", "cuda", "reference") and facts["devices"][0] == "cpu"
    assert facts["packages"]["torch"] and facts["weights"] == card


def test_text_tells_the_same(run, card):
    out = run("info").out
    assert f"avloc          {avloc.__version__}\n" in out
    assert "    audio_wide     0.5\n" in out and "    one face\n" in out


def test_weights_that_do_not_load_are_shown_as_such(run, monkeypatch):
    store = pytest.importorskip("avloc.models.weights.store")

    def load_weights(name):
        raise CheckpointError(f"{name!r}: no such weights")

    monkeypatch.setattr(store, "load_weights", load_weights)
    code, out, _ = run("info", "--json", "--weights", "nope")
    assert code == 0
    assert json.loads(out)["weights"] == {"name": "nope", "error": "'nope': no such weights"}
