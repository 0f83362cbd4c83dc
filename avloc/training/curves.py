"""Draw what a training told, losses and development figures by update, as a PNG."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

CURVES = "curves.png"
SIZE_INCHES, DPI = (12, 5), 100
FEW, MOST = 100, 1000  # points of a line: up to which they are marked, and drawn at all


def draw_curves(folder: Path, panels: Mapping[str, str]) -> Path | None:
    """Draw JSON lines of ``folder``, one panel a file and one line a figure, into ``curves.png``.

    Where a run was resumed and told of an update twice, the later line counts. Figures that were null are
    gaps.

    Parameters
    ----------
    folder : Path
        Holds the files; those that are missing have no panel.
    panels : mapping of str to str
        Title of each panel by the name of its file.

    Returns
    -------
    Path or None
        The picture; None where there is nothing to draw, and where that fails, which the log says: without
        matplotlib, which comes with mmengine, or on a full disk.
    """
    told = {title: _read(folder / name) for name, title in panels.items() if (folder / name).is_file()}
    if not any(told.values()):
        return None
    target = folder / CURVES
    try:
        _draw(told, target)
    except (ImportError, OSError) as error:  # a picture is no reason to end a training
        logger.warning("no %s is drawn: %s", CURVES, error)
        return None
    return target


def _draw(told: Mapping[str, Sequence[Mapping]], target: Path) -> None:
    # The object-oriented interface: no window system is looked for and no state is left behind.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, rows) in zip(
        figure.subplots(1, len(told), squeeze=False)[0], told.items(), strict=True
    ):
        for name, values in _series(rows).items():
            # A point too where there are few, or a figure that was told once would be invisible.
            marker = "." if len(values) <= FEW else ""
            axes.plot(*zip(*values, strict=True), label=name, marker=marker, linewidth=1)
        axes.set(title=title, xlabel="updates")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize="small")
    figure.savefig(target, dpi=DPI)


def _read(path: Path) -> list[dict]:
    """Read rows by update, the last of each; a line that a stopped run left half-written is passed over."""
    rows = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows[row["iteration"]] = row
    return [rows[iteration] for iteration in sorted(rows)]


def _series(rows: Sequence[Mapping]) -> dict[str, list[tuple[int, float]]]:
    # More points than the picture is wide show nothing more, and the last one is always there.
    rows = rows[:: -(len(rows) // MOST + 1)][::-1]
    names = dict.fromkeys(name for row in rows for name in row if name not in ("iteration", "rate"))
    nan = float("nan")
    return {
        name: [(row["iteration"], nan if row.get(name) is None else row[name]) for row in rows]
        for name in names
    }
