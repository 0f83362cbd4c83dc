"""The card of the default weights is written from results, never by hand."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


PATHS = ("audio_wide", "audio_telephone", "audio_visual", "video_only")
CARD = {
    "name": "default",
    "network": "HierarchicalLocalizer",
    "version": "1",
    "thresholds": dict.fromkeys(PATHS, 0.5),
    "threshold_sources": dict.fromkeys(PATHS, "unmeasured"),
}


def row(name: str, use: str, weights_ok: bool) -> dict:
    return {
        "id": name,
        "file": f"{name}.flac",
        "kind": "speech",
        "identity": name,
        "use": use,
        "weights_ok": weights_ok,
        "licence_material": "LibriSpeech (CC BY 4.0)",
        "duration_s": 60.0,
    }


@pytest.fixture(scope="module")
def write_card():
    spec = importlib.util.spec_from_file_location("write_card", ROOT / "tools" / "write_card.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def result(path: str, threshold: float, *, supported: bool = True) -> dict:
    figures = {"n": 10, "AP@0.5": 0.5, "AP@0.75": None, "intervals": {"AP@0.5": [0.4, 0.6]}}
    return {
        "protocol": "corrected",
        "n_items": 10,
        "genuine_hours": 0.25,
        "systems": {
            "avloc": {
                "operating_points": {
                    path: {
                        "threshold": threshold,
                        "is_supported": supported,
                        "false_alarms": {"hours": 0.25, "text": "12 /h"},
                        "false_alarms_by_kind": {"music_bed": {"text": "< 30 /h"}},
                    }
                },
                "further_points": {
                    path: [{"threshold": 0.4, "max_per_hour": 30.0, "false_alarms": {"text": "24 /h"}}]
                },
                "figures": {"all": figures, "mouth_blend": {"n": 3, "AP@0.5": 0.009}},
            },
            "random": {"figures": {"all": {"AP@0.5": 0.01}}},
        },
    }


def test_a_path_without_a_result_takes_the_nearest_and_says_so(write_card):
    chosen, sources = write_card.thresholds({"audio_wide": result("audio_wide", 0.7)})
    assert chosen == {"audio_wide": 0.7, "audio_telephone": 0.7, "audio_visual": 0.7, "video_only": 0.7}
    assert sources["audio_wide"] == "audio_wide" and sources["video_only"] == "audio_wide"


def test_a_threshold_chosen_on_too_little_is_not_taken_and_the_card_says_so(write_card):
    results = {
        "audio_wide": result("audio_wide", 0.7),
        "audio_visual": result("audio_visual", 0.6, supported=False),
    }
    chosen, sources = write_card.thresholds(results)
    assert chosen["audio_visual"] == 0.7 and sources["audio_visual"] == "audio_wide"
    limits = write_card.measured_limits(results)
    assert "audio_visual: 0.250 h of genuine media are too few to choose a threshold on." in limits
    assert "audio_wide: as good as not found, AP@0.5 in brackets: mouth_blend (0.009)." in limits


def test_without_any_result_nothing_is_claimed(write_card):
    chosen, sources = write_card.thresholds({})
    assert set(chosen.values()) == {0.5} and set(sources.values()) == {"unmeasured"}


def test_figures_stand_with_their_intervals_and_beside_the_baselines(write_card):
    quoted = write_card.figures({"audio_wide": result("audio_wide", 0.7)})["audio_wide"]
    assert quoted["families"]["all"]["AP@0.5"] == {"value": 0.5, "interval_95": [0.4, 0.6]}
    assert quoted["families"]["all"]["AP@0.75"] is None
    assert quoted["baselines"]["random"]["AP@0.5"] == {"value": 0.01, "interval_95": None}
    assert quoted["operating_point"]["threshold"] == 0.7


def test_further_operating_points_and_kinds_of_sound_stand_beside_the_one_that_ships(write_card):
    quoted = write_card.figures({"audio_wide": result("audio_wide", 0.7)})["audio_wide"]
    (further,) = quoted["further_operating_points"].items()
    assert further[0] == "30 false alarms an hour" and further[1]["threshold"] == 0.4
    assert quoted["operating_point"]["false_alarms_by_kind"] == {"music_bed": "< 30 /h"}


def test_a_result_that_belongs_to_no_path_is_told_and_sets_no_threshold(write_card):
    results = {"audio_wide": result("audio_wide", 0.7), "held_back": result("audio_wide", 0.9)}
    assert set(write_card.thresholds(results)[0].values()) == {0.7}
    assert write_card.figures(results)["held_back"]["families"]["all"]["AP@0.5"]["value"] == 0.5


def test_a_family_without_material_is_told(write_card, tmp_path):
    settings = {"sound": {"a": 1.0, "b": 1.0, "c": 0.0}, "picture": {"d": 1.0}, "picture_share": 0.0}
    weights = tmp_path / "weights.safetensors"
    assert write_card.never_drawn(weights, settings) == ()
    (tmp_path / "families.json").write_text(json.dumps({"iterations": 9, "families": {"a": 3, "genuine": 2}}))
    assert write_card.never_drawn(weights, settings) == ("Not trained on in the last round: b.",)
    settings["picture_share"] = 0.3
    assert write_card.never_drawn(weights, settings) == ("Not trained on in the last round: b, d.",)


def test_limits_are_those_of_the_network(write_card):
    from avloc.config import load_config
    from avloc.models.hierarchical import build_network

    hears, both = (build_network(load_config(name)["model"]) for name in ("fast", "default"))
    assert write_card.BLIND in write_card.limits(hears, {})
    assert write_card.ONE_FACE in write_card.limits(both, {}) and write_card.BLIND not in write_card.limits(
        both, {}
    )
    (told,), (more,) = write_card.starting_weights(hears), write_card.starting_weights(both)
    assert told["name"] == "Whisper tiny, encoder up to block 2 (OpenAI)" and "block 3" in more["name"]


def test_the_list_of_recordings_is_what_training_draws_from_and_what_it_began_from(
    write_card, tmp_path, monkeypatch
):
    rows = [
        row("a", "train", True),
        row("c", "train", False),
        row("d", "dev", True),
        row("d-voice", "train", True) | {"kind": "generated_speech", "generator": "g", "identity": "d"},
    ]
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"entries": rows}))
    assert write_card.training_list([str(path)], None) == (("a",), ())
    monkeypatch.setattr(write_card, "find_weights", lambda name: name)
    for earlier, limits in ((("z",), ()), ((), (write_card.UNLISTED,))):
        card = write_card.Card(**CARD, recordings=earlier)
        monkeypatch.setattr(write_card, "read_header", lambda path, card=card: ({}, card))
        assert write_card.training_list([str(path)], "before") == (tuple(sorted(("a", *earlier))), limits)


def test_only_what_may_train_shipped_weights_is_listed_with_its_licence(write_card, tmp_path):
    rows = [row("a", "train", True), row("b", "train", True), row("c", "train", False), row("d", "dev", True)]
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"entries": rows}))
    assert write_card.training_data([str(path)]) == (
        {"name": "LibriSpeech", "licence": "CC BY 4.0", "files": 2, "minutes": 2.0},
    )


def test_the_domain_is_that_of_the_genuine_sound_of_the_training(write_card, shared_corpus):
    from avloc.models.weights.store import load_weights

    network, _, _ = load_weights("default")
    domain = write_card.measure_domain(network, [str(shared_corpus / "manifest.json")], n_entries=6)
    assert domain.centre.shape == domain.scale.shape == (network.audio_encoder.out_channels,)
    assert 0.5 < domain.limit < 3.0 and np.isfinite(domain.centre).all()
