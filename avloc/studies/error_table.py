"""One row a recording: what was found of it and what was not, for those who look for the reason."""

from collections.abc import Mapping, Sequence

import numpy as np

from avloc.metrics.boundaries import serving_rows
from avloc.metrics.figures import highest_scores
from avloc.metrics.per_recording import shared_rate_recall
from avloc.metrics.table import SegmentTable
from avloc.report.tables import csv_line
from avloc.structures import Reference

COLUMNS = (
    "recording",
    "split",
    "modality",
    "generator",
    "duration_s",
    "is_forged",
    "n_references",
    "n_proposals",
    "score",
    "n_found",
    "n_missed",
    "mean_start_error_s",
    "mean_end_error_s",
    "recall_at_shared_false_alarm_rate",
)


def error_table(
    proposals: SegmentTable,
    references: SegmentTable,
    recordings: Sequence[Reference],
    *,
    scores: Mapping[str, float] | None = None,
) -> str:
    """Write the table of errors as CSV.

    Parameters
    ----------
    proposals, references : SegmentTable
        With the same ``ids`` in the same order, that of ``recordings``.
    recordings : sequence of Reference
        What the annotation says of each.
    scores : mapping of str to float, or None
        Score of each recording; None: the highest proposal.

    Returns
    -------
    str
        ``COLUMNS``, then one line a recording. Found is a reference that a proposal serves, one to one by
        score, at IoU > 0.5; errors of its edges are absolute, in seconds. What does not apply is an empty
        cell.
    """
    proposals = proposals.by_score()
    rows = serving_rows(proposals, references)
    found = rows >= 0
    n = len(recordings)
    n_found = np.bincount(references.recordings[found], minlength=n)
    errors = {}
    for edge in ("starts", "ends"):
        distance = np.abs(getattr(proposals, edge)[rows[found]] - getattr(references, edge)[found])
        sums = np.bincount(references.recordings[found], weights=distance, minlength=n)
        errors[edge] = np.divide(sums, n_found, out=np.full(n, np.nan), where=n_found > 0)
    numbers = {
        "score": highest_scores(proposals, scores),
        "start": errors["starts"],
        "end": errors["ends"],
        "recall": shared_rate_recall(proposals, references),
    }
    columns = {name: _cells(values) for name, values in numbers.items()}
    lines = [csv_line(COLUMNS)]
    for r, reference in enumerate(recordings):
        attributes = reference.attributes
        n_references = int(references.counts[r])
        lines.append(
            csv_line(
                (
                    reference.recording_id,
                    *(attributes.get(name) for name in ("split", "modality", "generator")),
                    reference.duration,
                    int(n_references > 0),
                    n_references,
                    int(proposals.counts[r]),
                    columns["score"][r],
                    int(n_found[r]),
                    n_references - int(n_found[r]),
                    *(columns[name][r] for name in ("start", "end", "recall")),
                )
            )
        )
    return "".join(lines)


def _cells(values: np.ndarray) -> list[float | None]:
    """Numbers with six decimals; None for what is not finite."""
    return [round(value, 6) if np.isfinite(value) else None for value in values.tolist()]
