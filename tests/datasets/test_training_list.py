"""A training list against manifests: what is held out is named, whatever else fits."""

import json

import pytest

from avloc.datasets.training_list import check_training_list

LISTED = ("a", "b", "generated")


def row(name: str, use: str, identity: str, kind: str = "speech", **fields) -> dict:
    return {
        "id": name,
        "file": f"{name}.wav",
        "kind": kind,
        "identity": identity,
        "use": use,
        "licence_material": "CC0",
    } | fields


CLEAN = [
    row("a", "train", "one"),
    row("b", "train", "several"),
    row("generated", "train", "two", "generated_speech", generator="g"),
    row("c", "dev", "three"),
    row("d", "test", "several"),
    row("e", "test", "one", "generated_speech", generator="h"),
]


@pytest.fixture
def check(tmp_path):
    def check(*more, listed=LISTED):
        path = tmp_path / "manifest.json"
        path.write_text(json.dumps({"entries": [*CLEAN, *more]}))
        return check_training_list(listed, [path])

    return check


def test_a_list_apart_from_dev_and_test_is_clean(check):
    found = check()
    assert found.is_clean and (found.n_listed, found.n_found, found.n_unknown) == (3, 3, 0)
    assert found.n_identities == 2 and found.to_dict()["is_clean"] is True
    assert check(listed=("a", "elsewhere")).n_unknown == 1


@pytest.mark.parametrize("use", ["dev", "test"])
def test_a_listed_recording_that_is_held_out_is_named(check, use):
    found = check(row("x", use, "unknown"), listed=("a", "x"))
    assert not found.is_clean and found.recordings == ("x",) and "recording x" in str(found)


@pytest.mark.parametrize(("identity", "kind"), [("one", "speech"), ("two", "genuine_talking_face")])
def test_a_speaker_of_the_list_in_a_held_out_recording_is_named(check, identity, kind):
    found = check(row("x", "test", identity, kind))
    assert not found.is_clean and found.identities == (identity,) and not found.recordings


def test_where_nothing_is_found_nothing_is_shown(check):
    found = check(listed=("elsewhere",))
    assert not found.is_clean and "nothing is shown" in str(found)
