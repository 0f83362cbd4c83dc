import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import accuracy
import alarms
import slices
import systems

from avloc.errors import AnnotationError
from avloc.structures import (
    Channel,
    Curve,
    Detection,
    Modality,
    Prediction,
    Reason,
    Recording,
    Segment,
    Status,
)

ITEMS = [
    {"path": "a.wav", "duration_s": 6.0, "segments": [[2.0, 3.0]], "family": "insert", "host": "one"}
    | {"implementation": "cross_fade", "language": "en"},
    {
        "path": "b.wav",
        "duration_s": 6.0,
        "segments": [[1.0, 1.5]],
        "family": "vocoder",
        "attributes": {"host": "two"},
    },
    {
        "path": "g.wav",
        "duration_s": 1800.0,
        "segments": [],
        "family": "genuine",
        "host": "one",
        "genuine_edits": ["music_bed"],
    },
    {"path": "h.wav", "duration_s": 1800.0, "segments": [], "family": "genuine", "audio_segments": []},
]
FOUND = {"a.wav": (0.9, 2.0, 3.0), "b.wav": (0.4, 1.0, 1.6), "g.wav": (0.6, 5.0, 5.5)}


def write_manifest(folder, items=ITEMS):
    (folder / "manifest.jsonl").write_text("\n".join(json.dumps(item) for item in items) + "\n\n")
    return systems.load_references(folder)


def localizer(path):
    name = Path(path).name
    recording = Recording(name, path, None, None, None, None, None)
    if name == "h.wav":
        return Prediction(recording, Status.ERROR, reasons=(Reason.DECODER_CRASH,))
    score, start, end = FOUND[name]
    values = tuple(score if start <= (i + 0.5) / 25 < end else 0.1 for i in range(150))
    return Prediction(
        recording,
        Status.ANALYSED,
        score=score,
        detections=(Detection(Segment(start, end), score, Modality.AUDIO),),
        curves=(Curve("score_audio", 0.0, 25, values), Curve("discrepancy", 0.0, 25, (1.0,) * 150)),
        channels=(Channel(0, "speech", "audio_wide", "distinct", threshold=0.5),),
    )


def test_references_carry_family_and_source(tmp_path):
    references = write_manifest(tmp_path)
    assert [r.attributes["source"] for r in references] == ["one", "two", "one", "h.wav"]
    assert references[0].segments == (Segment(2.0, 3.0),) and references[0].audio is None
    assert references[3].audio.segments == () and references[1].attributes["family"] == "vocoder"


@pytest.mark.parametrize(
    "line", ["{", '{"path": "a"}', '{"path": "a", "duration_s": 1, "segments": [[2, 1]]}']
)
def test_a_broken_manifest_names_file_and_line(tmp_path, line):
    (tmp_path / "manifest.jsonl").write_text(line)
    with pytest.raises(AnnotationError, match=r"manifest.jsonl line 1"):
        systems.load_references(tmp_path)


@pytest.fixture
def results(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)

    def read_streams(path):
        return generator.normal(size=6 * 16_000) * 0.1, np.zeros((0, 96, 96), np.uint8), np.zeros(0, bool)

    monkeypatch.setattr(systems, "read_streams", read_streams)
    references = write_manifest(tmp_path)
    return accuracy.measure(references, tmp_path, localizer, bootstrap=20, seed=0, max_per_hour=12.0)


def test_every_system_is_scored_on_all_items_and_every_family(results):
    assert list(results) == ["avloc", "random", "novelty"]
    for result in results.values():
        assert list(result["figures"]) == ["all", "insert", "vocoder"]
        assert result["figures"]["insert"]["n_genuine"] == 2
    own = results["avloc"]["figures"]
    assert own["all"]["AP@0.5"] == pytest.approx((1 + 2 / 3) / 2)
    assert own["insert"]["AP@0.75"] == own["insert"]["AUC"] == 1.0 and own["vocoder"]["AUC"] == 0.5
    assert own["insert"]["frame_AUC_inside"] > 0.9 and own["all"]["intervals"]["frame_AUC_inside"] is not None
    json.dumps(results, allow_nan=False)


def test_false_alarms_are_counted_at_the_threshold_of_the_recording(results):
    (alarms,) = results["avloc"]["false_alarms"]
    assert (alarms["count"], alarms["hours"], alarms["n_found"], alarms["threshold"]) == (1, 0.5, 1, 0.5)
    assert alarms["text"].startswith("< 6 /h")
    assert results["avloc"]["failures"] == {"h.wav": "decoder_crash"}
    for name in ("random", "novelty"):
        (alarms,) = results[name]["false_alarms"]
        assert alarms["n_found"] <= 1 and alarms["hours"] == 1.0


def test_motion_is_a_system_of_its_own_where_a_face_is_seen(tmp_path, monkeypatch):
    noise = np.random.default_rng(0)
    crops = noise.integers(0, 255, (150, 96, 96)).astype(np.uint8)

    def read_streams(path):
        seen = np.full(150, path.name == "a.wav")
        return noise.normal(size=6 * 16_000) * 0.1, crops, seen

    monkeypatch.setattr(systems, "read_streams", read_streams)
    answers = systems.run_signal(write_manifest(tmp_path), tmp_path)
    assert list(answers) == ["novelty", "motion"]
    assert answers["motion"].rows["a.wav"] and not answers["motion"].rows["b.wav"]


def test_a_system_that_finds_nothing_gets_a_threshold_above_all(tmp_path):
    answers = systems.Answers(rows={"a.wav": [(1.0, 4.0, 5.0)]})
    assert alarms.threshold_for(answers, write_manifest(tmp_path), 1) > 1.0


def test_the_table_shows_figures_with_intervals_and_alarms_with_bounds(results, capsys):
    accuracy.print_table(results)
    printed = capsys.readouterr().out
    assert "AP@0.5" in printed and "95 % bound" in printed and "1 items were not analysed" in printed


def test_what_the_manifest_tells_becomes_slices(results):
    found = results["avloc"]["slices"]
    assert set(found) == {"implementation", "length", "language"}  # nothing tells sex or corruption
    assert set(found["implementation"]) == {"insert: cross_fade"}
    assert found["implementation"]["insert: cross_fade"]["n_genuine"] == 2
    assert found["length"]["0.5 to 1 s"]["n"] == 3 and set(found["length"]) == {"0.5 to 1 s", "1 to 2 s"}
    assert (
        found["language"]["en"]["n_genuine"] == 0
    )  # that no genuine item is known to speak it is no negative
    assert "slices" not in results["random"]


def test_an_operating_point_is_never_named_below_what_the_hours_can_check(results):
    ships = results["avloc"]["operating_points"]["audio_wide"]
    assert ships["max_per_hour"] == 12.0 and ships["is_supported"] and ships["n_identities"] == 1
    assert [p["max_per_hour"] for p in results["avloc"]["further_points"]["audio_wide"]] == [30.0, 60.0]
    for hours, first in ((1.0, 12.0), (0.1, 30.0), (0.06, 50.0)):
        assert alarms.budgets(hours, 12.0)[0] == pytest.approx(first)
        assert min(alarms.budgets(hours, 12.0)) * hours >= 3 - 1e-9
    assert alarms.budgets(0.01, 12.0) == [12.0]


def test_false_alarms_are_told_by_kind_of_genuine_sound(tmp_path):
    references = write_manifest(tmp_path)
    answers = systems.Answers(rows={"g.wav": [(0.6, 5.0, 5.5), (0.2, 8.0, 9.0)]})
    genuine = [r for r in references if not r.segments]
    found = alarms.alarms_by_kind(answers, genuine, 0.5)
    assert {kind: row["count"] for kind, row in found.items()} == {"music_bed": 1, "plain": 0}
    assert found["music_bed"]["hours"] == 0.5 and found["plain"]["upper_95_per_hour"] > 5


def test_a_speaker_is_drawn_as_one_and_several_speakers_by_their_source():
    row = {"path": "x.wav", "sources": ["recording", "other"], "segments": []}
    assert slices.speaker(row | {"identity": "anna"}) == "identity anna"
    assert slices.speaker(row | {"identity": "several voices"}) == "recording"
    assert slices.speaker({"path": "x.wav"}) == "x.wav"


def test_levels_of_corruption_come_from_what_was_drawn():
    drawn = {"noise": "hum", "snr_db": 12.0, "band_hz": 5400.0, "coding_step": 0.3}
    told = slices.labels({"path": "x", "segments": [], "corruptions": drawn})
    assert (told["noise"], told["band"], told["coding"], told["reverberation"]) == (
        *("under 15 dB", "to 5 kHz", "yes", "none"),
    )
    assert told["kinds"] == ("noise", "coding", "band")
    assert "noise" not in slices.labels({"path": "x", "segments": []})
    line = slices.labels({"path": "x", "corruptions": {"telephone": "mu", "band_hz": 3400.0}})
    assert line["kinds"] == ("telephone",)
