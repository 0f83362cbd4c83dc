"""Print one table of all figures that benchmarks/ and tools/ measured of a network.

Those are results of accuracy.py, sync.py, published.py, leave_one_out.py and compare_ears.py.

python tools/show_figures.py benchmarks/results/*.json [--format text|markdown]

Results of other benchmarks are passed over. A figure stands with its 95 % interval; each result tells the
unit that its intervals were drawn over. False alarms are a rate with its Poisson 95 % upper bound, and the
hours and speakers behind it; no operating point below 3 / hours is named. What no manifest told, such as the
sex of the speakers, is said to be unknown.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("AP@0.5", "AP@0.75", "frame_AUC_inside", "frame_AUC_boundary", "AUC")
ASKED = ("implementation", "length", "language", "sex", "noise", "reverberation", "band", "coding")
UNKNOWN = "not in the manifest"


@dataclass(frozen=True, slots=True)
class Table:
    """A heading with notes, and rows below names of columns."""

    title: str
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables_of(name: str, result: Mapping) -> Iterator[Table]:
    """Give the tables of one result; none for a result of another benchmark."""
    if "systems" in result:
        yield accuracy_table(name, result)
        yield alarms_table(name, result)
    elif "known_offsets" in result:
        yield sync_table(name, result)
    elif "groups" in result and "began_from" in result:
        yield left_out_table(name, result)
    elif "arms" in result and "items" in result:
        yield ears_table(name, result)
    elif "sound" in result and "picture" in result:
        yield published_table(name, result)


def accuracy_table(name: str, result: Mapping) -> Table:
    """Figures of avloc on all items, by family and by every label that the manifest told."""
    system = result["systems"]["avloc"]
    sliced = system.get("slices", {})
    rows = [
        _accuracy_row("all" if group == "all" else "family", group, system["figures"][group])
        for group in system["figures"]
    ]
    for label in ASKED:
        if label in sliced:
            rows += [_accuracy_row(label, value, figures) for value, figures in sliced[label].items()]
        else:
            rows.append((label, UNKNOWN, *("" for _ in range(3 + len(COLUMNS)))))
    made = result.get("made_by") or {}
    told = [f"{key} {value}" for key, value in made.items() if value is not None]
    notes = (
        f"{result['n_items']} items, {result['n_genuine']} genuine, {result['genuine_hours']:.3f} h genuine, "
        f"{result.get('n_identities', 'unknown number of')} speakers",
        f"made with: {', '.join(told) or 'not told'}",
        *_intervals_note(result),
        *_weights_note(result),
    )
    columns = ("slice", "value", "n", "forged segments", "speakers", *COLUMNS)
    return Table(f"{name}: segments and recordings", notes, columns, tuple(rows))


def _accuracy_row(label: str, value: str, figures: Mapping) -> tuple[str, ...]:
    counts = (figures["n"], figures["n_references"], figures.get("n_identities", "?"))
    return (label, value, *(str(n) for n in counts), *(_cell(figures, column) for column in COLUMNS))


def alarms_table(name: str, result: Mapping) -> Table:
    """Operating points of each path, and false alarms by kind of genuine sound at the one that ships."""
    system, rows = result["systems"]["avloc"], []
    unsupported = []
    for path, ships in system["operating_points"].items():
        if not ships["is_supported"]:
            hours = ships["false_alarms"]["hours"]
            unsupported.append(f"{path}: {hours:.3f} h of genuine media support no operating point")
            continue
        points = [ships, *system.get("further_points", {}).get(path, ())]
        rows += [_point_row(path, point) for point in points]
        kinds = ships.get("false_alarms_by_kind", {})
        rows += [
            (
                path,
                f"at {ships['threshold']:.4f}: {kind}",
                *_alarm_cells(alarms, alarms.get("n_identities")),
                "",
            )
            for kind, alarms in kinds.items()
        ]
    columns = (
        "path",
        "point or kind of genuine sound",
        "alarms",
        "hours",
        "speakers",
        "per hour",
        "95 % bound per hour",
        "segments found",
    )
    return Table(f"{name}: false alarms on genuine media", tuple(unsupported), columns, tuple(rows))


def _point_row(path: str, point: Mapping) -> tuple[str, ...]:
    recall = "-" if point["recall"] is None else f"{point['recall']:.3f} of {point['n_references']}"
    start = f"threshold {point['threshold']:.4f}, at most {point['max_per_hour']:.3g}"
    return (path, start, *_alarm_cells(point["false_alarms"], point.get("n_identities")), recall)


def _alarm_cells(alarms: Mapping, n_identities: int | None) -> tuple[str, ...]:
    rate, lowest, bound = (
        alarms[key] for key in ("per_hour", "smallest_quotable_per_hour", "upper_95_per_hour")
    )
    shown = (
        f"< {lowest:.3g}" if rate is None and lowest is not None else "-" if rate is None else f"{rate:.3g}"
    )
    return (
        str(alarms["count"]),
        f"{alarms['hours']:.3f}",
        "?" if n_identities is None else str(n_identities),
        shown,
        "-" if bound is None else f"{bound:.3g}",
    )


def sync_table(name: str, result: Mapping) -> Table:
    """Synchrony: shift AUC, and offsets that are told and right."""
    rows = [
        (
            key,
            f"{value['value']:.3f} {_interval(value['interval_95'])}",
            f"{value['n_stretches']} stretches",
            str(value["n_identities"]),
        )
        for key, value in result.items()
        if key.startswith("shift_auc")
    ]
    offsets, people = result["known_offsets"], str(result["n_identities"])
    rows += [
        ("offsets told", f"{offsets['n_told']} of {offsets['n']}", f"{result['n_clips']} clips", people),
        ("right within 0.08 s", f"{offsets['n_right']} of {offsets['n_told']}", "", people),
        (
            "told beyond the lags compared, all wrong",
            f"{offsets['n_beyond_told']} of {offsets['n_beyond']}",
            "",
            people,
        ),
    ]
    return Table(
        f"{name}: synchrony", _weights_note(result), ("figure", "value", "of", "speakers"), tuple(rows)
    )


def left_out_table(name: str, result: Mapping) -> Table:
    """Each family that was left out, beside the same family trained on."""
    rows, notes = [], []
    for group, told in result["groups"].items():
        notes.append(
            f"{group}: without it {told['n_drawn_without']} items of {', '.join(told['families'])} were drawn"
        )
        for which, rounds in told["figures"].items():
            for family in rounds["with"]:
                rows += [
                    (
                        group,
                        family,
                        which,
                        trained,
                        str(figures[family]["n"]),
                        str(figures[family]["n_identities"]),
                        *(_cell(figures[family], column) for column in COLUMNS),
                    )
                    for trained, figures in rounds.items()
                ]
    if not result["never_seen"]:
        notes.append(
            f"the rounds began from {result['began_from']['init']}, which may know what was left out"
        )
    columns = ("left out", "items", "implementation", "trained", "n", "speakers", *COLUMNS)
    return Table(
        f"{name}: families left out of the training", (*notes, *_intervals_note(result)), columns, tuple(rows)
    )


def ears_table(name: str, result: Mapping) -> Table:
    """Every ear on each set of items: the mean over seeds, and the lowest and highest of them."""
    rows = []
    for items in result["items"]:
        for arm, told in result["arms"].items():
            mean, seeds = told[items]["mean"], told[items]["by_seed"]
            cells = []
            for column in COLUMNS:
                reached = [one[column] for one in seeds]
                spread = f" ({min(reached):.3f} to {max(reached):.3f})" if len(reached) > 1 else ""
                cells.append(f"{mean[column]:.3f}{spread}" if spread else _cell(seeds[0], column))
            rows.append((items, arm, str(len(seeds)), f"{told['cost']:.4f}", *cells))
    notes = (
        f"{result['iterations']} updates each; one seed: 95 % interval; several: lowest and highest seed",
    )
    columns = ("items", "ear", "seeds", "time of the ear over that of the sound", *COLUMNS)
    return Table(f"{name}: ears", notes, columns, tuple(rows))


def published_table(name: str, result: Mapping) -> Table:
    """List published forgeries by generator, and each segment of those that are forged in part."""
    rows = []
    for stream in ("sound", "picture"):
        for group, told in result[stream]["figures"].items():
            ranked = "" if told.get("AUC") is None else f"{told['AUC']:.3f} {_interval(told['interval_95'])}"
            counts = (str(told["n"]), str(told["n_identities"]), f"{told['found']} of {told['n']}")
            rows.append((stream, group, *counts, ranked))
        rows += [
            (stream, f"{told['id']}, {told['start_s']:g} to {told['end_s']:g} s", "1", "1")
            + (f"overlap {told['best_iou']:.2f}, rank {told['rank'] or '-'}", "")
            for told in result[stream]["partial"]
        ]
    columns = ("stream", "generator or segment", "n", "identities", "found", "AUC of recordings")
    return Table(f"{name}: published forgeries", _weights_note(result), columns, tuple(rows))


def _intervals_note(result: Mapping) -> tuple[str, ...]:
    drawn = result["bootstrap"]
    if not drawn["n_replicates"]:
        return ("no intervals: the result was made without --bootstrap",)
    return (f"95 % intervals over {drawn['n_replicates']} draws, unit: {drawn['unit']}",)


def _weights_note(result: Mapping) -> tuple[str, ...]:
    return (f"weights {result.get('weights', '')} {result['parameters_sha256'][:12]}".replace("  ", " "),)


def _cell(figures: Mapping, name: str) -> str:
    value = figures.get(name)
    interval = (figures.get("intervals") or {}).get(name)
    return "-" if value is None else f"{value:.3f} {_interval(interval)}".rstrip()


def _interval(bounds: Sequence[float] | None) -> str:
    return "" if bounds is None else f"[{bounds[0]:.2f}, {bounds[1]:.2f}]"


def as_text(table: Table) -> str:
    """Write columns as wide as their cells; without rows the notes alone."""
    lines = [table.columns, *table.rows] if table.rows else []
    widths = [max((len(line[k]) for line in lines), default=0) for k in range(len(table.columns))]
    body = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([table.title, *table.notes, *body])


def as_markdown(table: Table) -> str:
    """Write a Markdown table with its notes above; without rows the notes alone."""
    lines = [table.columns, tuple("---" for _ in table.columns), *table.rows] if table.rows else []
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([f"## {table.title}", "", *(f"- {note}" for note in table.notes), "", *body])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--format", choices=["text", "markdown"], default="text")
    options = parser.parse_args(arguments)
    write, found = as_markdown if options.format == "markdown" else as_text, []
    for path in options.results:
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            found += tables_of(path.stem, result) if isinstance(result, dict) else []
        except OSError as error:
            sys.exit(f"show_figures: {path}: {error.strerror}; name results that are there")
        except (ValueError, KeyError, TypeError) as error:
            sys.exit(f"show_figures: {path}: expected a result of a benchmark, got {error!r}")
    if not found:
        sys.exit("show_figures: none of these is a result of a network's figures")
    print("\n\n".join(write(table) for table in found))


if __name__ == "__main__":
    main()
