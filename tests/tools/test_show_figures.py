"""The one table of figures: nothing that the hours cannot show, nothing that no manifest told."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("show_figures", ROOT / "tools" / "show_figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def figures(value: float) -> dict:
    return {
        **{"n": 9, "n_references": 4, "n_identities": 3, "AP@0.5": value, "AP@0.75": None},
        **{"frame_AUC_inside": 0.8, "frame_AUC_boundary": 0.7, "AUC": 0.75},
        "intervals": {"AP@0.5": [value - 0.1, value + 0.1]},
    }


def alarms(count: int, hours: float) -> dict:
    return {
        "count": count,
        "hours": hours,
        "per_hour": count / hours if count >= 3 else None,
        "smallest_quotable_per_hour": 3 / hours,
        "upper_95_per_hour": 7.75 / hours,
        "n_identities": 2,
    }


def point(max_per_hour: float, *, supported: bool = True) -> dict:
    return {
        **{"threshold": 0.625, "recall": 0.5, "n_references": 4, "n_identities": 2},
        **{"max_per_hour": max_per_hour, "is_supported": supported, "false_alarms": alarms(3, 0.25)},
        "false_alarms_by_kind": {"music_bed": alarms(1, 0.05)},
    }


@pytest.fixture
def accuracy():
    return {
        **{"n_items": 9, "n_genuine": 5, "genuine_hours": 0.25, "n_identities": 3},
        "made_by": {"condition": "wide", "use": "dev", "implementations": "held_back"},
        "bootstrap": {"n_replicates": 200, "unit": "speaker"},
        **{"weights": "default", "parameters_sha256": "0123456789abcdef"},
        "systems": {
            "avloc": {
                "figures": {"all": figures(0.4), "pitch_shift": figures(0.3)},
                "slices": {
                    "implementation": {"pitch_shift: psola": figures(0.31)},
                    "length": {"under 0.5 s": figures(0.2)},
                },
                "operating_points": {"audio_wide": point(12.0), "audio_visual": point(12.0, supported=False)},
                "further_points": {"audio_wide": [point(30.0)]},
            }
        },
    }


def show(tool, tmp_path, capsys, result: dict, *options: str) -> list[list[str]]:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result))
    tool.main([str(path), *options])
    return capsys.readouterr().out.splitlines()


def row_of(lines: list[str], *words: str) -> str:
    (line,) = [line for line in lines if all(word in line for word in words)]
    return line


def test_every_slice_has_its_row_and_what_is_not_known_is_said(tool, tmp_path, capsys, accuracy):
    lines = show(tool, tmp_path, capsys, accuracy)
    assert "0.400 [0.30, 0.50]" in row_of(lines, "all  ")
    assert row_of(lines, "pitch_shift: psola").startswith("implementation")
    assert "0.200 [0.10, 0.30]" in row_of(lines, "under 0.5 s")
    for label in ("sex", "language", "noise"):
        assert tool.UNKNOWN in row_of(lines, f"{label}  ")
    assert "95 % intervals over 200 draws, unit: speaker" in lines
    assert "made with: condition wide, use dev, implementations held_back" in lines
    assert any(line.startswith("weights default 0123456789ab") for line in lines)


def test_alarms_stand_with_bound_hours_and_speakers(tool, tmp_path, capsys, accuracy):
    lines = show(tool, tmp_path, capsys, accuracy)
    ships = row_of(lines, "at most 12").split()
    assert ships[-8:] == ["3", "0.250", "2", "12", "31", "0.500", "of", "4"]
    assert "< 60" in row_of(lines, "music_bed")  # one alarm in 0.05 h is no figure
    assert row_of(lines, "at most 30")


def test_what_the_hours_do_not_support_is_no_operating_point(tool, tmp_path, capsys, accuracy):
    lines = show(tool, tmp_path, capsys, accuracy)
    assert row_of(lines, "audio_visual") == (
        "audio_visual: 0.250 h of genuine media support no operating point"
    )
    points = accuracy["systems"]["avloc"]["operating_points"]
    points["audio_wide"] = point(12.0, supported=False)
    lines = show(tool, tmp_path, capsys, accuracy)
    assert not any("threshold" in line for line in lines)


def test_markdown_has_a_heading_and_a_table(tool, tmp_path, capsys, accuracy):
    lines = show(tool, tmp_path, capsys, accuracy, "--format", "markdown")
    assert lines[0] == "## result: segments and recordings"
    header = next(line for line in lines if line.startswith("| slice |"))
    assert lines[lines.index(header) + 1].count("---") == header.count("|") - 1


def test_synchrony_and_what_was_left_out_are_told(tool, tmp_path, capsys):
    auc = {"value": 0.8, "interval_95": [0.7, 0.9], "n_stretches": 50, "n_identities": 4}
    offsets = {"n": 10, "n_told": 6, "n_right": 5, "n_beyond": 8, "n_beyond_told": 1}
    synchrony = {"shift_auc_1s": auc, "known_offsets": offsets, "n_identities": 4, "n_clips": 9}
    lines = show(tool, tmp_path, capsys, synchrony | {"parameters_sha256": "ab" * 32})
    assert "0.800 [0.70, 0.90]" in row_of(lines, "shift_auc_1s") and "5 of 6" in row_of(lines, "right within")
    group = {
        "families": ["pitch_shift"],
        "n_drawn_without": 0,
        "figures": {
            "training": {"with": {"pitch_shift": figures(0.6)}, "without": {"pitch_shift": figures(0.2)}}
        },
    }
    result = {"groups": {"pitch_shift": group}, "began_from": {"init": "old"}, "never_seen": False}
    lines = show(tool, tmp_path, capsys, result | {"bootstrap": {"n_replicates": 0}})
    assert "0.600" in row_of(lines, " with ") and "0.200" in row_of(lines, " without ", "training")
    assert "pitch_shift: without it 0 items of pitch_shift were drawn" in lines
    assert "the rounds began from old, which may know what was left out" in lines


def test_the_committed_results_can_be_shown(tool, capsys):
    results = sorted(str(path) for path in (ROOT / "benchmarks" / "results").glob("*.json"))
    tool.main(results)
    printed = capsys.readouterr().out
    assert "accuracy_wide: segments and recordings" in printed and "sync: synchrony" in printed


@pytest.mark.parametrize(
    ("text", "why"), [("{", "expected a result"), ("{}", "none of these"), (None, "name")]
)
def test_what_is_no_result_is_said(tool, tmp_path, text, why):
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit, match=why):
        tool.main([str(path)])


def test_ears_are_told_with_their_seeds_and_cost(tool):
    seeds = [figures(0.4) | {"AP@0.75": 0.2}, figures(0.5) | {"AP@0.75": 0.3}]
    mean = {"AP@0.5": 0.45, "AP@0.75": 0.25, "frame_AUC_inside": 0.8, "frame_AUC_boundary": 0.7, "AUC": 0.75}
    arm = {"seeds": [0, 1], "cost": 0.0071, "wide": {"mean": mean, "by_seed": seeds}}
    one = {"seeds": [0], "cost": 0.001, "wide": {"mean": mean, "by_seed": seeds[:1]}}
    result = {"iterations": 40, "items": {"wide": "--n 9"}, "arms": {"tiny": arm, "spectra": one}}
    (table,) = tool.tables_of("ears", result)
    assert table.rows[0][:5] == ("wide", "tiny", "2", "0.0071", "0.450 (0.400 to 0.500)")
    assert table.rows[1][4] == "0.400 [0.30, 0.50]"


def test_published_forgeries_are_told_by_generator_and_segment(tool):
    told = {"n": 3, "n_identities": 2, "found": 1, "AUC": 0.7, "interval_95": [0.5, 0.9]}
    partial = {"id": "x", "start_s": 1.0, "end_s": 1.5, "best_iou": 0.61, "rank": 2, "score": 0.4}
    sound = {"figures": {"genuine": {"n": 5, "n_identities": 4, "found": 0}, "G": told}, "partial": []}
    picture = {"figures": {}, "partial": [partial, partial | {"rank": None, "best_iou": 0.0}]}
    result = {"sound": sound, "picture": picture, "weights": "default", "parameters_sha256": "0" * 64}
    (table,) = tool.tables_of("published", result)
    assert table.rows[0] == ("sound", "genuine", "5", "4", "0 of 5", "")
    assert table.rows[1][-1] == "0.700 [0.50, 0.90]"
    assert [row[4] for row in table.rows[2:]] == ["overlap 0.61, rank 2", "overlap 0.00, rank -"]
