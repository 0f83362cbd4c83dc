"""The card: what it must say, what it refuses, and that it survives JSON and reads well."""

import json

import pytest

from avloc.errors import CheckpointError
from avloc.models.weights.card import PATHS, Card, unmeasured_card


def _values(**changes: object) -> dict:
    values = {
        "name": "default",
        "network": "HierarchicalLocalizer",
        "version": "1.0",
        "thresholds": {"audio_wide": 0.4, "audio_telephone": 0.5, "audio_visual": 0.4, "video_only": 1},
        "threshold_sources": {
            "audio_wide": "audio_wide",
            "audio_telephone": "audio_telephone",
            "audio_visual": "audio_wide",
            "video_only": "unmeasured",
        },
        "data": [{"name": "speech of many", "licence": "CC-BY-4.0", "hours": 1.5}],
        "starting_weights": [{"name": "Whisper tiny", "licence": "MIT"}],
        "figures": {"development": {"AP@0.5": 0.41234567, "interval": [0.3, 0.5], "n": 12, "note": None}},
        "limits": ["English only"],
        "commands": ["avloc train default"],
    }
    return values | changes


def test_a_card_survives_json():
    card = Card.from_dict(_values())
    assert Card.from_dict(json.loads(json.dumps(card.to_dict()))) == card


def test_a_threshold_is_calibrated_only_by_its_own_paths_data():
    card = Card.from_dict(_values())
    assert [card.is_calibrated(path) for path in PATHS] == [True, True, False, False]


def test_the_text_says_everything_a_reader_asks_for():
    text = Card.from_dict(_values()).as_text()
    for part in (
        "# default 1.0",
        "- audio_wide: 0.400 (measured on its own data)",
        "- audio_visual: 0.400 (taken from audio_wide; results warn `uncalibrated`)",
        "- video_only: 1.000 (not measured; results warn `uncalibrated`)",
        "- speech of many (CC-BY-4.0), hours 1.5",
        "- Whisper tiny (MIT)",
        "  - AP@0.5: 0.4123",
        "  - interval: [0.3, 0.5]",
        "- English only",
        "- `avloc train default`",
    ):
        assert part in text.splitlines(), part


def test_fresh_weights_have_a_card_that_claims_nothing():
    card = unmeasured_card("probe")
    assert Card.from_dict(card.to_dict()) == card
    assert not any(card.is_calibrated(path) for path in PATHS)
    assert "- none measured" in card.as_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nmae": "x"}, r"unknown keys \['nmae'\]"),
        ({3: "x"}, r"unknown keys \['3'\]"),
        ({"name": ""}, "name must be a text that is not empty, got ''"),
        ({"version": 1}, "version must be a text"),
        ({"thresholds": None}, "thresholds must be a mapping, got None"),
        ({"thresholds": {"audio_wide": 0.5}}, "thresholds must have the keys"),
        ({"thresholds": dict.fromkeys(PATHS, 1.5)}, r"thresholds.audio_wide must be in \[0, 1\], got 1.5"),
        ({"thresholds": dict.fromkeys(PATHS, True)}, r"must be in \[0, 1\], got True"),
        ({"thresholds": dict.fromkeys(PATHS, float("nan"))}, r"must be in \[0, 1\], got nan"),
        ({"thresholds": dict.fromkeys(PATHS, "0.5")}, r"must be in \[0, 1\], got '0.5'"),
        ({"threshold_sources": dict.fromkeys(PATHS, "guess")}, "must be one of .* got 'guess'"),
        ({"threshold_sources": dict.fromkeys(PATHS, [])}, r"must be one of .* got \[\]"),
        ({"data": "speech"}, "data must be a list of mappings"),
        ({"data": ["speech"]}, r"data\[0\] must be a mapping"),
        ({"data": [{"name": "speech"}]}, r"data\[0\].licence must be a text"),
        (
            {"starting_weights": [{"name": "w", "licence": "MIT", "x": {1, 2}}]},
            r"starting_weights\[0\].x must be",
        ),
        ({"limits": "none"}, "limits must be a list of texts"),
        ({"commands": [3]}, r"commands\[0\] must be a text"),
        ({"figures": [1]}, "figures must be a mapping"),
        ({"figures": {"a": {"b": float("inf")}}}, "figures.a.b must be finite"),
        ({"figures": {"a": {3: 4}}}, "the keys of figures.a must be text"),
        ({"figures": {"a": object()}}, "figures.a must be text, a number"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes, message):
    with pytest.raises(CheckpointError, match=f"card: .*{message}"):
        Card.from_dict(_values() | changes)


@pytest.mark.parametrize("key", ["name", "network", "version", "thresholds", "threshold_sources"])
def test_a_missing_key_is_named(key):
    values = _values()
    del values[key]
    with pytest.raises(CheckpointError, match=rf"card: lacks the keys \['{key}'\]"):
        Card.from_dict(values)


def test_a_card_is_a_mapping():
    with pytest.raises(CheckpointError, match="card: must be a mapping, got list"):
        Card.from_dict([1])


def test_endless_nesting_is_refused():
    figures: dict = {}
    for _ in range(1000):
        figures = {"a": figures}
    with pytest.raises(CheckpointError, match="nested deeper than 12"):
        Card.from_dict(_values(figures=figures))


DOMAIN = {"centre": [0.0, 1.0], "scale": [1.0, 2.0], "limit": 2.5}


def test_a_card_may_hold_the_domain_of_the_training():
    made = Card.from_dict(_values() | {"domain": DOMAIN})
    assert Card.from_dict(json.loads(json.dumps(made.to_dict()))) == made and made.domain == DOMAIN
    assert Card.from_dict(_values()).domain is None


@pytest.mark.parametrize(
    "changes",
    [
        {"limit": 0},
        {"limit": True},
        {"limit": float("nan")},
        {"scale": [1.0, 0.0]},
        {"scale": [1.0]},
        {"centre": ["a", 1.0]},
        {"centre": 1.0},
        {"more": 1},
    ],
)
def test_a_domain_that_does_not_fit_is_refused(changes):
    with pytest.raises(CheckpointError, match="card: domain"):
        Card.from_dict(_values() | {"domain": DOMAIN | changes})
    with pytest.raises(CheckpointError, match="card: domain must have the keys"):
        Card.from_dict(_values() | {"domain": [1.0]})
