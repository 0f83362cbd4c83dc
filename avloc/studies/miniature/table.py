"""The table of a study: figures of every network under every protocol, with intervals by identity."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avloc.metrics.bootstrap import bootstrap_intervals
from avloc.metrics.evaluate import checked
from avloc.metrics.figures import Measured
from avloc.metrics.protocols import get_protocol
from avloc.metrics.table import SegmentTable
from avloc.structures import Reference

PROTOCOLS = ("lavdf", "corrected")
COLUMNS = ("AP@0.5", "AP@0.75", "AP@0.95", "AR@100", "AR@50", "AR@20", "AR@10", "AUC")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one training says of the test split: rows (score, start, end) and a score, by recording."""

    proposals: Mapping[str, Sequence[Sequence[float]]]
    scores: Mapping[str, float]


def figures_of(
    answers: Sequence[Answer],
    references: Sequence[Reference],
    *,
    protocol: str,
    identities: Mapping[str, str],
    bootstrap: int = 0,
    seed: int = 0,
) -> dict:
    """Give the figures of ``COLUMNS``, averaged over trainings of one network.

    Parameters
    ----------
    answers : sequence of Answer
        One a training, such as one a seed.
    references : sequence of Reference
        Truth of the test split.
    protocol : str
        As of ``metrics.evaluate``.
    identities : mapping of str to str
        Who is in each recording: whole identities are drawn, the same ones for all trainings.
    bootstrap : int [>= 0]
        Draws of the intervals; 0: none.
    seed : int
        Of the draws.

    Returns
    -------
    dict
        ``figures`` by column, ``intervals`` [low, high] by column or None, ``n`` recordings,
        ``n_identities``, ``n_trainings``.
    """
    rules, truth = get_protocol(protocol), SegmentTable.from_references(references)
    measured = []
    for answer in answers:
        proposals, _ = checked(SegmentTable.from_rows(answer.proposals), truth, rules)
        measured.append(Measured.of(proposals, truth, rules, answer.scores))
    mean = _mean_of(measured)
    who = [identities[reference.recording_id] for reference in references]
    intervals = bootstrap_intervals(mean, who, n_replicates=bootstrap, seed=seed) if bootstrap else None
    return {
        "protocol": protocol,
        "figures": {name: None if np.isnan(value) else value for name, value in mean(None).items()},
        "intervals": intervals,
        "n": len(references),
        "n_identities": len(set(who)),
        "n_trainings": len(answers),
    }


def _mean_of(measured: Sequence[Measured]) -> Callable[[np.ndarray | None], dict[str, float]]:
    def mean(weights: np.ndarray | None) -> dict[str, float]:
        found = [one.figures(weights) for one in measured]
        return {name: float(np.mean([figures[name] for figures in found])) for name in COLUMNS}

    return mean


def show(rows: Mapping[str, Sequence[Mapping]], *, title: str) -> str:
    """Write the table as Markdown.

    Parameters
    ----------
    rows : mapping of str to sequence of dict
        Of each network what ``figures_of`` gave under each protocol.
    title : str
        What stands above it.
    """
    lines = [title, "", "| network | protocol | " + " | ".join(COLUMNS) + " | n | identities | trainings |"]
    lines.append("|---|---|" + "---|" * (len(COLUMNS) + 3))
    for name, found in rows.items():
        for row in found:
            cells = [_cell(row, column) for column in COLUMNS]
            cells += [str(row[key]) for key in ("n", "n_identities", "n_trainings")]
            lines.append(f"| {name} | `{row['protocol']}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: Mapping, column: str) -> str:
    value, interval = row["figures"][column], (row["intervals"] or {}).get(column)
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")
