"""tools/show_demo.py: what was found beside the truth, misses included."""

import importlib.util
import json
from pathlib import Path

from avloc.report.schema import to_json
from avloc.structures import Detection, Modality, Prediction, Recording, Segment, Status, Verdict

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("show_demo", ROOT / "tools" / "show_demo.py")
show_demo = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(show_demo)


def prediction_of(*segments: Segment) -> Prediction:
    return Prediction(
        Recording("demo.mp4", "demo.mp4", None, None, None, None, None),
        Status.ANALYSED,
        Verdict.FORGED_SEGMENTS_FOUND if segments else Verdict.NONE_FOUND,
        detections=tuple(Detection(segment, 0.9, Modality.AUDIO) for segment in segments),
    )


def test_a_good_match_a_part_a_miss_and_a_false_alarm_are_told_apart():
    truth = [Segment(1.0, 2.0), Segment(4.0, 5.0), Segment(7.0, 8.0)]
    found = prediction_of(Segment(1.0, 1.9), Segment(4.8, 6.0), Segment(9.0, 9.5))
    good, part, miss, false = show_demo.compare(found, truth)
    assert "found as 1.00 to 1.90 s (overlap 0.90)" in good
    assert "found only in part, as 4.80 to 6.00 s" in part
    assert miss == "forged from 7.00 to 8.00 s: MISSED"
    assert false.startswith("FALSE ALARM from 9.00 to 9.50 s")


def test_a_recording_without_any_detection_shows_the_miss(tmp_path, capsys):
    (tmp_path / "result.json").write_text(to_json(prediction_of()))
    (tmp_path / "truth.json").write_text(json.dumps({"segments": [{"start_s": 1.0, "end_s": 2.0}]}))
    show_demo.main(str(tmp_path / "result.json"), str(tmp_path / "truth.json"))
    out = capsys.readouterr().out
    assert "none found" in out and "forged from 1.00 to 2.00 s: MISSED" in out
