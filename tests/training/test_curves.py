"""Curves of a training are drawn from what it told."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from avloc.training.curves import draw_curves

PANELS = {"losses.jsonl": "losses", "development.jsonl": "figures"}


def tell(path: Path, *rows: dict, tail: str = "") -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)


@pytest.fixture
def drawn(monkeypatch):
    """Give what was plotted, by label."""
    from matplotlib.axes import Axes

    kept = {}
    plot = Axes.plot

    def spy(axes, x, y, **options):
        kept[options["label"]] = (list(x), list(y))
        return plot(axes, x, y, **options)

    monkeypatch.setattr(Axes, "plot", spy)
    return kept


def test_each_file_has_a_panel_and_each_figure_a_line(tmp_path, drawn):
    tell(tmp_path / "losses.jsonl", *({"iteration": i, "rate": 0.1, "loss": 1 / i} for i in (1, 2, 4)))
    tell(tmp_path / "development.jsonl", {"iteration": 4, "AP@0.5": 0.5, "AUC": None})
    wide = cv2.imread(str(draw_curves(tmp_path, PANELS)))
    assert drawn["loss"] == ([1, 2, 4], [1.0, 0.5, 0.25]) and drawn["AP@0.5"] == ([4], [0.5])
    assert drawn["AUC"][1][0] != drawn["AUC"][1][0] and "rate" not in drawn
    (tmp_path / "development.jsonl").unlink()
    one = cv2.imread(str(draw_curves(tmp_path, PANELS)))
    assert wide.shape == one.shape == (500, 1200, 3) and (wide != one).any()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "losses.jsonl"]


def test_of_an_update_that_a_resumed_run_repeats_the_later_line_counts(tmp_path, drawn):
    rows = [{"iteration": i, "loss": 9.0} for i in (1, 2, 3)] + [{"iteration": 2, "loss": 1.0}]
    tell(tmp_path / "losses.jsonl", *rows, tail='{"iteration": 4, "lo')
    draw_curves(tmp_path, PANELS)
    assert drawn["loss"] == ([1, 2, 3], [9.0, 1.0, 9.0])


@pytest.mark.filterwarnings("error")
def test_a_row_without_figures_has_an_empty_panel(tmp_path, drawn):
    tell(tmp_path / "development.jsonl", {"iteration": 2})
    assert draw_curves(tmp_path, PANELS) is not None and drawn == {}


def test_without_anything_told_nothing_is_drawn(tmp_path):
    assert draw_curves(tmp_path, PANELS) is None
    tell(tmp_path / "losses.jsonl")
    assert draw_curves(tmp_path, PANELS) is None and not (tmp_path / "curves.png").exists()


def test_a_long_run_is_thinned_and_ends_with_its_last_update(tmp_path, drawn):
    tell(tmp_path / "losses.jsonl", *({"iteration": i, "loss": 1.0} for i in range(1, 5001)))
    draw_curves(tmp_path, PANELS)
    updates = drawn["loss"][0]
    assert 500 < len(updates) <= 1000 and updates[-1] == 5000 and len(set(np.diff(updates))) == 1


@pytest.mark.parametrize("why", ["no matplotlib", "no room"])
def test_where_nothing_can_be_drawn_training_goes_on(tmp_path, monkeypatch, caplog, why):
    tell(tmp_path / "losses.jsonl", {"iteration": 1, "loss": 1.0})
    if why == "no matplotlib":
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    else:
        (tmp_path / "curves.png").mkdir()
    with caplog.at_level("WARNING"):
        assert draw_curves(tmp_path, PANELS) is None
    assert "no curves.png is drawn" in caplog.text
