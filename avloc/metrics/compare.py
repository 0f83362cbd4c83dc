"""Two systems on the same references.

Conventions
-----------
Differences are first minus second. Their intervals come from one bootstrap of source recordings for both
systems (``bootstrap``), so what makes a recording hard for both cancels. A difference whose interval holds 0
is not told from none. The figures of recordings are those of ``per_recording``.
"""

from collections.abc import Mapping

import numpy as np

from avloc.metrics.bootstrap import bootstrap_intervals, sources_of
from avloc.metrics.figures import Measured
from avloc.metrics.per_recording import RATES, shared_rate_recall, signed_rank_test
from avloc.metrics.protocols import Protocol
from avloc.metrics.table import SegmentTable


def compare(
    first: SegmentTable,
    second: SegmentTable,
    references: SegmentTable,
    *,
    rules: Protocol,
    scores: Mapping[str, float] | None = None,
    other_scores: Mapping[str, float] | None = None,
    sources: Mapping[str, str] | None = None,
    n_replicates: int = 1000,
    seed: int = 0,
) -> dict:
    """Compare the predictions of two systems.

    Parameters
    ----------
    first, second, references : SegmentTable
        Of the same recordings (``SegmentTable.select``).
    rules : Protocol
        Under which both are scored.
    scores, other_scores : mapping of str to float, or None
        Score of each recording, of the first and of the second system; None: the highest proposal.
    sources : mapping of str to str, or None
        Source recording of each recording, drawn together.
    n_replicates : int [>= 1]
        Draws.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``differences`` and their ``intervals`` (95 %) by figure, None where undefined;
        ``recall_per_recording``: the signed-rank test of recall at a shared false-alarm rate.
    """
    one = Measured.of(first, references, rules, scores)
    other = Measured.of(second, references, rules, other_scores)

    def differences(weights: np.ndarray | None = None) -> dict[str, float]:
        ours, theirs = one.figures(weights), other.figures(weights)
        return {name: value - theirs[name] for name, value in ours.items()}

    return {
        "differences": {name: None if np.isnan(v) else v for name, v in differences().items()},
        "intervals": bootstrap_intervals(
            differences,
            sources_of(references.ids, sources),
            n_replicates=n_replicates,
            seed=seed,
        ),
        "recall_per_recording": {
            "false_alarm_rates": [RATES[0], RATES[-1]],
            **signed_rank_test(shared_rate_recall(first, references), shared_rate_recall(second, references)),
        },
    }
