"""Figures on published forgeries: who is compared with whom, and how a partial one is told."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from avloc.datasets.corpus import read_manifests

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def published():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("published", ROOT / "benchmarks" / "published.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(name: str, use: str, kind: str, **more) -> dict:
    return {
        **{
            "id": name,
            "file": f"{name}.flac",
            "kind": kind,
            "identity": name,
            "use": use,
            "weights_ok": False,
        },
        **{"licence_material": "own (CC0)", "duration_s": 4.0, **more},
    }


def test_nothing_that_was_trained_on_is_asked_about(published, tmp_path):
    rows = [
        row("real", "test", "speech"),
        row("dev", "dev", "speech"),
        row("trained", "train", "speech"),
        row("fake", "test", "generated_speech", generator="G"),
        row("fake-trained", "train", "generated_speech", generator="G"),
        row("face", "test", "genuine_talking_face"),
        row("part", "test", "partial_deepfake", generator="L", fake_segments=[[1.0, 2.0]]),
    ]
    (tmp_path / "manifest.json").write_text(json.dumps({"entries": rows}))
    entries = read_manifests([str(tmp_path / "manifest.json")])
    assert [e.id for e in published.chosen(entries, "sound")] == ["real", "dev", "fake"]
    assert [e.id for e in published.chosen(entries, "picture")] == ["face", "part"]
    assert published.spans_of([str(tmp_path / "manifest.json")]) == {"part": [[1.0, 2.0]]}


def told(name: str, generator: str | None, score: float, **more) -> dict:
    basic = {"id": name, "identity": name, "generator": generator, "score": score, "duration_s": 6.0}
    return basic | {"found": score > 0.5, "covered": score, "detections": [], **more}


def test_each_generator_is_ranked_against_all_genuine_recordings(published):
    rows = [told("a", None, 0.2), told("b", None, 0.4), told("c", "G", 0.6), told("d", "H", 0.3)]
    found = published.summarize(rows)
    assert found["genuine"] == {"n": 2, "n_identities": 2, "minutes": 0.2, "found": 0, "covered": 0.3}
    assert (found["all"]["AUC"], found["G"]["AUC"], found["H"]["AUC"]) == (0.75, 1.0, 0.5)
    assert found["all"]["interval_95"][0] <= 0.75 <= found["all"]["interval_95"][1]
    assert set(published.summarize(rows[:2])) == {"genuine"}
    assert published.summarize(rows[2:])["G"]["AUC"] is None


def test_a_segment_is_told_with_the_detection_that_fits_it_best(published):
    detections = [[0.9, 3.0, 4.0], [0.4, 1.0, 2.5]]
    (found,) = published.partial_rows([told("x", "L", 0.9, detections=detections)], {"x": [[1.0, 2.0]]})
    assert found == {"id": "x", "start_s": 1.0, "end_s": 2.0, "best_iou": 0.667, "rank": 2, "score": 0.4}
    (missed,) = published.partial_rows([told("x", "L", 0.9)], {"x": [[1.0, 2.0]]})
    assert (missed["best_iou"], missed["rank"], missed["score"]) == (0.0, None, None)
