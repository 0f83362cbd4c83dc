"""Named protocols: every switch on which published evaluators differ, fixed under one name.

A protocol is an entry of ``PROTOCOLS`` and nothing else: the switches are implemented in ``matching``,
``average_precision`` and ``average_recall``, whose docstrings define them.
"""

from dataclasses import dataclass, replace

from avloc.metrics.average_precision import CURVE_STARTS
from avloc.metrics.average_recall import BUDGETS
from avloc.metrics.matching import ARITHMETIC, ASSIGNMENTS, HITS, ORDERS, UNIONS

COCO_IOU = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
"""0.5, 0.55, ..., 0.95."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How predictions are scored.

    Parameters
    ----------
    name : str
        As printed in every table.
    iou_thresholds : tuple of float
        Of average precision.
    n_proposals : tuple of int
        N of average recall.
    recall_iou_thresholds : tuple of float
        Over which average recall is averaged.
    hit, union, arithmetic, order : str
        See ``matching.match``.
    assignment, recall_assignment : str
        Matching for average precision and for average recall.
    curve_start : str
        See ``average_precision.average_precision``.
    budget : str
        Proposals of a recording that count for average recall: ``"own"`` (N of each) or ``"shared"``; see
        ``average_recall``.
    challenge_score : bool
        Whether ½ mAP + ½ mAR is reported.

    Raises
    ------
    ValueError
        If a switch has a value that is not implemented.
    """

    name: str
    iou_thresholds: tuple[float, ...]
    n_proposals: tuple[int, ...]
    recall_iou_thresholds: tuple[float, ...]
    hit: str
    union: str
    arithmetic: str
    order: str
    assignment: str
    recall_assignment: str
    curve_start: str
    budget: str
    challenge_score: bool

    def __post_init__(self) -> None:
        allowed = {
            "hit": HITS,
            "union": UNIONS,
            "arithmetic": ARITHMETIC,
            "order": ORDERS,
            "assignment": ("by_score", "by_reference"),
            "recall_assignment": ASSIGNMENTS,
            "curve_start": CURVE_STARTS,
            "budget": BUDGETS,
        }
        for switch, values in allowed.items():
            if getattr(self, switch) not in values:
                raise ValueError(
                    f"protocol {self.name!r}: {switch} must be one of {values}, got {getattr(self, switch)!r}"
                )


CORRECTED = Protocol(
    name="corrected",
    iou_thresholds=(0.5, 0.75, 0.9, 0.95),
    n_proposals=(100, 50, 30, 20, 10, 5),
    recall_iou_thresholds=COCO_IOU,
    hit="greater",
    union="exact",
    arithmetic="float64",
    order="sorted",
    assignment="by_score",
    recall_assignment="by_score",
    curve_start="zero_recall",
    budget="own",
    challenge_score=False,
)
AV1M = replace(
    CORRECTED,
    name="av1m",
    n_proposals=(50, 30, 20, 10, 5),
    union="hull",
    arithmetic="float32",
    order="as_given",
    assignment="by_reference",
    recall_assignment="any",
    curve_start="after_first",
    challenge_score=True,
)

PROTOCOLS = {
    "corrected": CORRECTED,
    "av1m": AV1M,
    "lavdf": replace(
        AV1M,
        name="lavdf",
        iou_thresholds=(0.5, 0.75, 0.95),
        n_proposals=(100, 50, 20, 10),
        challenge_score=False,
    ),
    "anet": replace(
        CORRECTED,
        name="anet",
        iou_thresholds=COCO_IOU,
        n_proposals=(100, 50, 20, 10),
        hit="greater_equal",
        union="lengths",
        recall_assignment="any",
        budget="shared",
    ),
}
"""``av1m``: the scorer of AV-Deepfake1M and its challenge; ``lavdf``: that of LAV-DF; ``anet``: that of
ActivityNet, as ActionFormer, UMMAFormer and OpenTAD carry it along; ``corrected``: none of their quirks."""


def get_protocol(name: str) -> Protocol:
    """Look up a protocol by name.

    Raises
    ------
    ValueError
        If there is none of that name, listing those there are.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {sorted(PROTOCOLS)}, got {name!r}")
    return PROTOCOLS[name]
