"""``avloc weights``: the card, and the list of recordings against manifests."""

import json
from dataclasses import replace

import pytest

from avloc.models.weights.locate import find_weights
from avloc.models.weights.store import load_weights, read_header, save_weights


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """The default weights with a list of two recordings."""
    path = tmp_path_factory.mktemp("weights") / "listed.safetensors"
    config, card = read_header(find_weights("default"))
    network, _, _ = load_weights("default")
    save_weights(path, network, config=config, card=replace(card, recordings=("a", "b")))
    return path


@pytest.fixture
def manifest(tmp_path):
    def write(use: str):
        rows = [
            {
                "id": name,
                "file": name,
                "kind": "speech",
                "identity": name,
                "use": u,
                "licence_material": "CC0",
            }
            for name, u in (("a", "train"), ("b", use), ("c", "dev"))
        ]
        path = tmp_path / "manifest.json"
        path.write_text(json.dumps({"entries": rows}))
        return path

    return write


def test_the_card_is_printed_for_people_and_for_programs(run, listed):
    code, out, _ = run("weights", "card", listed, "--format", "text")
    assert code == 0 and out.startswith("# default") and "## Limits" in out
    assert "- 2 ids, listed by" in out.splitlines()[out.splitlines().index("## Recordings trained on") + 2]
    code, out, _ = run("weights", "card", listed)
    card = json.loads(out)
    assert code == 0 and card["recordings"] == ["a", "b"] and len(card["sha256"]) == 64


def test_the_default_card_needs_no_name(run):
    assert run("weights", "card").out == run("weights", "card", "default").out


def test_an_unknown_name_exits_with_2_and_says_what_is_there(run):
    code, out, err = run("weights", "card", "defualt")
    assert (code, out) == (2, "") and "'default'" in err and "Traceback" not in err


def test_info_counts_the_recordings(run, listed):
    out = run("info", "--weights", listed).out
    assert ["recordings", "2", "ids"] in [line.split() for line in out.splitlines()]
    assert json.loads(run("info", "--json", "--weights", listed).out)["weights"]["recordings"] == ["a", "b"]


def test_a_list_apart_from_what_is_held_out_exits_with_0(run, listed, manifest):
    code, out, _ = run("weights", "trained-on", listed, "--media", manifest("train"))
    assert code == 0 and json.loads(out)["n_found"] == 2


def test_a_listed_recording_of_use_test_exits_with_3_and_is_named(run, listed, manifest):
    code, out, _ = run("weights", "trained-on", listed, "--media", manifest("test"), "--format", "text")
    assert code == 3 and "recording b" in out.splitlines() and "identity b" in out.splitlines()


def test_a_card_without_a_list_is_said_to_have_none(run, listed, manifest, tmp_path):
    config, card = read_header(listed)
    network, _, _ = load_weights(listed)
    path = tmp_path / "old.safetensors"
    save_weights(path, network, config=config, card=replace(card, recordings=()))
    code, out, err = run("weights", "trained-on", path, "--media", manifest("train"))
    assert (code, out) == (2, "") and "lists no recordings" in err
