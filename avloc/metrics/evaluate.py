"""Scoring of predictions against references under a named protocol.

Conventions
-----------
Every switch comes from the protocol (``protocols``). A reference recording without an entry, or with an empty
one, counts its references as missed, with a warning. A figure without anything to count is None, with a
warning. Figures are fractions. The recording score is the highest proposal, unless ``recording_scores`` are
given.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol as TypingProtocol
from typing import runtime_checkable

import numpy as np

from avloc.errors import AnnotationError
from avloc.metrics.bootstrap import bootstrap_intervals, sources_of
from avloc.metrics.figures import Measured
from avloc.metrics.protocols import Protocol, get_protocol
from avloc.metrics.table import SegmentTable
from avloc.structures import Prediction, Reference


@runtime_checkable
class HasReferences(TypingProtocol):
    """A data set, or whatever else knows its references."""

    def references(self) -> list[Reference]:
        """Give the truth of every recording."""


def evaluate(
    predictions: SegmentTable | Iterable[Prediction],
    references: SegmentTable | Iterable[Reference] | HasReferences,
    *,
    protocol: str = "corrected",
    bootstrap: int = 0,
    seed: int = 0,
    iou_thresholds: Sequence[float] | None = None,
    n_proposals: Sequence[int] | None = None,
    recording_scores: Mapping[str, float] | None = None,
    sources: Mapping[str, str] | None = None,
    skip_invalid: bool = False,
    overwrite: bool = False,
) -> dict:
    """Score predictions under one protocol.

    Parameters
    ----------
    predictions : SegmentTable or iterable of Prediction
        With everything that survives suppression (minimum score 0).
    references : SegmentTable, iterable of Reference or data set
        Truth; recordings without a segment are genuine. Of a data set, what its ``references()`` gives.
    protocol : str
        Name in ``protocols.PROTOCOLS``.
    bootstrap : int [>= 0]
        Replicates of the 95 % intervals; 0: none.
    seed : int
        Of the bootstrap.
    iou_thresholds, n_proposals : sequence or None
        Other thresholds of AP and N of AR than the protocol's, for ``corrected`` only: the others fix them.
    recording_scores : mapping of str to float, or None
        Score of each recording; an id that is absent ranks last.
    sources : mapping of str to str, or None
        Source recording of each recording, drawn together by the bootstrap. By default the reference's
        ``attributes["source"]`` where there is one, otherwise the recording itself.
    skip_invalid : bool
        Drop recordings that the references do not know instead of refusing them.
    overwrite : bool
        Take the memory of ``predictions``, a table that cannot be used again then, for its rows in the order
        of the references.

    Returns
    -------
    dict
        ``protocol``, ``AP@x``, ``AR@n``, ``mAP``, ``mAR``, ``AUC``, ``AP_recording``, ``EER`` (None where
        undefined), ``n`` recordings, ``n_genuine``, ``n_references``, ``n_proposals``, ``coverage``
        (reference recordings with an entry / reference recordings), ``intervals`` (None without bootstrap),
        ``warnings``.

    Raises
    ------
    AnnotationError
        If the predictions name a recording that the references do not know.
    ValueError
        For an unknown protocol, or settings that the protocol does not leave open.
    """
    rules = _rules(protocol, iou_thresholds, n_proposals)
    if not isinstance(references, SegmentTable):
        references = references.references() if isinstance(references, HasReferences) else list(references)
        sources = sources_of_references(references) if sources is None else sources
        references = SegmentTable.from_references(references)
    if not isinstance(predictions, SegmentTable):
        predictions = SegmentTable.from_predictions(predictions)
    known = len(set(predictions.ids) & set(references.ids))
    # A large table is not kept in two orders.
    predictions, warnings = checked(
        predictions, references, rules, skip_invalid=skip_invalid, overwrite=overwrite
    )
    measured = Measured.of(predictions, references, rules, recording_scores)
    figures = measured.figures()
    warnings += [
        f"{name} is not defined: nothing to count" for name, value in figures.items() if math.isnan(value)
    ]
    return {
        "protocol": rules.name,
        **{name: None if math.isnan(value) else value for name, value in figures.items()},
        "n": len(references.ids),
        "n_genuine": int((references.counts == 0).sum()),
        "n_references": len(references.starts),
        "n_proposals": len(predictions.starts),
        "coverage": known / len(references.ids) if references.ids else None,
        "intervals": _intervals(measured, references.ids, sources, bootstrap, seed),
        "warnings": warnings,
    }


def checked(
    predictions: SegmentTable,
    references: SegmentTable,
    rules: Protocol,
    *,
    skip_invalid: bool = False,
    overwrite: bool = False,
) -> tuple[SegmentTable, list[str]]:
    """Bring predictions into the order of the references, and say what is unusual about them.

    Parameters
    ----------
    predictions, references : SegmentTable
    rules : Protocol
        Under which they are scored.
    skip_invalid : bool
        Drop recordings that the references do not know instead of refusing them.
    overwrite : bool
        As of ``SegmentTable.select``.

    Returns
    -------
    SegmentTable
        With the ``ids`` of the references.
    list of str
        Warnings: what was dropped, recordings without an entry or a proposal, an order that matters.

    Raises
    ------
    AnnotationError
        If the predictions name a recording that the references do not know.
    """
    warnings = _check_ids(predictions, references, skip_invalid)
    entries = set(predictions.ids)
    proposals = predictions.select(references.ids, overwrite=overwrite)
    warnings += _warn_of_misses(entries, proposals, references)
    if rules.order == "as_given" and (unsorted := proposals.unsorted()):
        warnings.append(
            f"{len(unsorted)} recordings have unsorted proposals, taken as given: {some(unsorted)}; "
            "the protocol takes them in the order of the file, so a row that stands late counts late"
        )
    return proposals, warnings


def _rules(name: str, iou_thresholds: Sequence[float] | None, n_proposals: Sequence[int] | None) -> Protocol:
    rules = get_protocol(name)
    changed = {}
    if iou_thresholds is not None:
        changed["iou_thresholds"] = tuple(float(t) for t in iou_thresholds)
    if n_proposals is not None:
        changed["n_proposals"] = tuple(int(n) for n in n_proposals)
    if changed and name != "corrected":
        raise ValueError(f"protocol {name!r} fixes {sorted(changed)}; only 'corrected' leaves them open")
    return replace(rules, **changed)


def sources_of_references(references: Sequence[Reference]) -> dict[str, str]:
    """Source recording of each, from ``attributes["source"]``; itself where there is none."""
    return {r.recording_id: str(r.attributes.get("source", r.recording_id)) for r in references}


def _intervals(
    measured: Measured, ids: Sequence[str], sources: Mapping[str, str] | None, n_replicates: int, seed: int
) -> dict | None:
    if not n_replicates:
        return None
    drawn = sources_of(ids, sources)
    return bootstrap_intervals(measured.figures, drawn, n_replicates=n_replicates, seed=seed)


def _check_ids(predictions: SegmentTable, references: SegmentTable, skip_invalid: bool) -> list[str]:
    unknown = sorted(set(predictions.ids) - set(references.ids))
    warnings = []
    if predictions.n_skipped + references.n_skipped:
        warnings.append(f"{predictions.n_skipped + references.n_skipped} invalid rows were dropped")
    if unknown and not skip_invalid:
        raise AnnotationError(
            f"predictions: {len(unknown)} recordings are not in the references: {some(unknown)}; "
            "drop them or give the references that hold them"
        )
    if unknown:
        warnings.append(
            f"{len(unknown)} recordings that the references do not know were dropped: {some(unknown)}"
        )
    return warnings


def _warn_of_misses(entries: set[str], proposals: SegmentTable, references: SegmentTable) -> list[str]:
    absent = np.array([recording not in entries for recording in references.ids], dtype=bool)
    empty = ~absent & (proposals.counts == 0) & (references.counts > 0)
    warnings = []
    for which, what in ((absent, "have no entry in the predictions"), (empty, "have no proposal")):
        if which.any():
            names = [references.ids[i] for i in np.flatnonzero(which)]
            n_missed = int(references.counts[which].sum())
            warnings.append(
                f"{len(names)} of {len(references.ids)} reference recordings {what}; "
                f"their {n_missed} references count as missed: {some(names)}"
            )
    return warnings


def some(names: Sequence[str]) -> str:
    """Name the first three, quoted."""
    return ", ".join(repr(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")
