"""How far the edges of what was found lie from the truth.

Conventions
-----------
Proposals serve references one to one by score, at IoU > 0.5 (``matching``, ``by_score``). Each pair gives two
errors, of the start and of the end, both absolute; the median and the 90th percentile are over both together.
References that nothing serves have no error, so the share that was found stands beside the figures.
"""

import numpy as np

from avloc.metrics.matching import NEVER, match
from avloc.metrics.table import SegmentTable

IOU = 0.5
P90 = 0.9


def serving_rows(
    proposals: SegmentTable, references: SegmentTable, *, iou_threshold: float = IOU
) -> np.ndarray:
    """Row of ``proposals`` that serves each reference one to one by score, shape (K,), int64; -1 for a miss.

    Parameters
    ----------
    proposals : SegmentTable
        By descending score inside each recording (``SegmentTable.by_score``).
    references : SegmentTable
        Of the same recordings.
    iou_threshold : float [(0, 1)]
        Overlap that must be exceeded.
    """
    found_at = match(proposals, references, iou_thresholds=[iou_threshold], order="as_given").found_at[0]
    is_found = found_at != NEVER
    return np.where(is_found, proposals.splits[references.recordings] + np.where(is_found, found_at, 0), -1)


def boundary_errors(proposals: SegmentTable, references: SegmentTable) -> dict[str, float]:
    """Median and 90th percentile of the errors of edges, in milliseconds, and the share that was found.

    Parameters
    ----------
    proposals, references : SegmentTable
        As for ``serving_rows``.

    Returns
    -------
    dict
        ``boundary_error_median_ms``, ``boundary_error_p90_ms``, ``found@0.5``; NaN where undefined.
    """
    rows = serving_rows(proposals, references)
    found = rows >= 0
    errors = np.abs(
        np.concatenate(
            [
                proposals.starts[rows[found]] - references.starts[found],
                proposals.ends[rows[found]] - references.ends[found],
            ]
        )
    )
    middle, high = np.quantile(errors, [0.5, P90]) * 1000 if len(errors) else (np.nan, np.nan)
    return {
        "boundary_error_median_ms": float(middle),
        "boundary_error_p90_ms": float(high),
        f"found@{IOU}": float(found.mean()) if len(found) else np.nan,
    }
