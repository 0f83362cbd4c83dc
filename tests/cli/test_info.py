"""``avloc info``."""

import hashlib
import json

import pytest

import avloc
from avloc.cli import info
from avloc.models.weights.locate import find_weights
from avloc.models.weights.store import read_header

PATHS = ("audio_wide", "audio_telephone", "audio_visual", "video_only")
CARD = {
    "name": "tiny",
    "network": "HierarchicalLocalizer",
    "version": "1",
    "thresholds": dict.fromkeys(PATHS, 0.5),
    "threshold_sources": dict.fromkeys(PATHS, "unmeasured"),
    "data": [],
    "starting_weights": [],
    "figures": {},
    "limits": ["one face"],
    "commands": [],
}


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
    told = [line.split() for line in out.splitlines()]
    assert ["avloc", avloc.__version__] in told and ["audio_wide", "0.5"] in told
    assert "    one face\n" in out


def test_text_tells_a_figure_with_its_interval_and_data_in_one_line_each(run, card):
    card["data"] = [{"name": "speech", "minutes": 4.5}]
    card["figures"] = {"AP@0.5": {"value": 0.4, "interval_95": [0.3, 0.5]}, "n": {"value": 7}}
    told = [line.split() for line in run("info").out.splitlines()]
    assert ["name", "speech,", "minutes", "4.5"] in told and ["n", "7"] in told
    assert ["AP@0.5", "0.4", "(interval_95", "0.3", "to", "0.5)"] in told


def test_default_weights_that_are_not_installed_are_a_fact_to_show(run, monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    monkeypatch.setenv("AVLOC_HOME", str(tmp_path))
    code, out, _ = run("info", "--json")
    assert code == 0 and "the default weights are not in" in json.loads(out)["weights"]["error"]
    code, out, err = run("info", "--weights", "default")
    assert (code, out) == (2, "") and "the default weights are not in" in err


@pytest.mark.parametrize("name", ["nope", "nope/nothing.safetensors"])
def test_weights_that_were_named_and_are_not_there_exit_with_2(run, name):
    code, out, err = run("info", "--json", "--weights", name)
    assert (code, out) == (2, "") and name in err and "Traceback" not in err


def test_weights_that_were_named_and_do_not_load_exit_with_2(run, tmp_path):
    header = {"__metadata__": {"card": json.dumps(CARD), "config": json.dumps({"model": {"type": "x"}})}}
    text = json.dumps(header).encode()
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    code, out, err = run("info", "--json", "--weights", path)
    assert (code, out) == (2, "") and "tiny.safetensors" in err and "Traceback" not in err


def test_a_weights_file_is_summed_up_by_its_card(run):
    path = find_weights("default")
    summary = json.loads(run("info", "--json", "--weights", path).out)["weights"]
    _, card = read_header(path)
    assert summary["thresholds"] == card.to_dict()["thresholds"] and summary["name"] == card.name
    assert summary["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert json.loads(run("info", "--json").out)["weights"] == summary
