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
from dataclasses import dataclass, replace

import numpy as np

from avloc.errors import AnnotationError
from avloc.metrics.average_precision import average_precision
from avloc.metrics.average_recall import average_recall
from avloc.metrics.bootstrap import bootstrap_intervals
from avloc.metrics.matching import Matches, match
from avloc.metrics.protocols import Protocol, get_protocol
from avloc.metrics.recording import auc, average_precision_of_items, equal_error_rate
from avloc.metrics.table import SegmentTable
from avloc.structures import Prediction, Reference


def evaluate(
    predictions: SegmentTable | Iterable[Prediction],
    references: SegmentTable | Iterable[Reference],
    *,
    protocol: str = "corrected",
    bootstrap: int = 0,
    seed: int = 0,
    iou_thresholds: Sequence[float] | None = None,
    n_proposals: Sequence[int] | None = None,
    recording_scores: Mapping[str, float] | None = None,
    sources: Mapping[str, str] | None = None,
    skip_invalid: bool = False,
) -> dict:
    """Score predictions under one protocol.

    Parameters
    ----------
    predictions : SegmentTable or iterable of Prediction
        With everything that survives suppression (minimum score 0).
    references : SegmentTable or iterable of Reference
        Truth; recordings without a segment are genuine.
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
        references = list(references)
        sources = _sources(references) if sources is None else sources
        references = SegmentTable.from_references(references)
    if not isinstance(predictions, SegmentTable):
        predictions = SegmentTable.from_predictions(predictions)
    warnings = _check_ids(predictions, references, skip_invalid)
    proposals = predictions.select(references.ids)
    warnings += _warn_of_misses(predictions, proposals, references)
    if rules.order == "as_given" and (unsorted := proposals.unsorted()):
        warnings.append(
            f"{len(unsorted)} recordings have unsorted proposals, taken as given: {_some(unsorted)}"
        )
    measured = _Measured.of(proposals, references, rules, recording_scores)
    figures = measured.figures()
    warnings += [
        f"{name} is not defined: nothing to count" for name, value in figures.items() if math.isnan(value)
    ]
    known = len(set(predictions.ids) & set(references.ids))
    return {
        "protocol": rules.name,
        **{name: None if math.isnan(value) else value for name, value in figures.items()},
        "n": len(references.ids),
        "n_genuine": int((references.counts == 0).sum()),
        "n_references": len(references.starts),
        "n_proposals": len(proposals.starts),
        "coverage": known / len(references.ids) if references.ids else None,
        "intervals": _intervals(measured, references.ids, sources, bootstrap, seed),
        "warnings": warnings,
    }


def evaluate_by(
    predictions: SegmentTable | Iterable[Prediction],
    references: Iterable[Reference],
    *,
    attribute: str = "family",
    recording_scores: Mapping[str, float] | None = None,
    **settings: object,
) -> dict[str, dict]:
    """Score every value of an attribute of the forged recordings against all genuine recordings.

    Parameters
    ----------
    predictions, recording_scores
        As in ``evaluate``.
    references : iterable of Reference
        Forged ones are sliced by ``attributes[attribute]`` (``"unknown"`` where it is absent); every slice
        has all genuine ones as negatives.
    attribute : str
        Key of ``Reference.attributes``.
    settings
        Further arguments of ``evaluate``.

    Returns
    -------
    dict
        Results of ``evaluate`` by value, in order of the value.
    """
    references = list(references)
    if not isinstance(predictions, SegmentTable):
        predictions = SegmentTable.from_predictions(predictions)
    results = {}
    for value, chosen in slices(references, attribute).items():
        wanted = {reference.recording_id for reference in chosen}
        kept = predictions.select([recording for recording in predictions.ids if recording in wanted])
        results[value] = evaluate(kept, chosen, recording_scores=recording_scores, **settings)
    return results


def slices(references: Iterable[Reference], attribute: str) -> dict[str, list[Reference]]:
    """Group references by the attribute of the forged ones, each with all genuine ones, in file order."""
    references = list(references)
    values = {str(r.attributes.get(attribute, "unknown")) for r in references if r.segments}
    return {
        value: [
            r for r in references if not r.segments or str(r.attributes.get(attribute, "unknown")) == value
        ]
        for value in sorted(values)
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """All that the figures are sums over, so that a replicate costs no matching."""

    rules: Protocol
    precision: Matches
    recall: Matches
    scores: np.ndarray  # (R,)
    is_forged: np.ndarray  # (R,)

    @classmethod
    def of(
        cls,
        proposals: SegmentTable,
        references: SegmentTable,
        rules: Protocol,
        recording_scores: Mapping[str, float] | None,
    ) -> "_Measured":
        common = {
            "hit": rules.hit,
            "union": rules.union,
            "arithmetic": rules.arithmetic,
            "order": rules.order,
        }
        precision = match(
            proposals,
            references,
            iou_thresholds=rules.iou_thresholds,
            assignment=rules.assignment,
            **common,
        )
        recall = match(
            proposals,
            references,
            iou_thresholds=rules.recall_iou_thresholds,
            assignment=rules.recall_assignment,
            sorted_like=precision,
            **common,
        )
        scores = _recording_scores(proposals, recording_scores)
        return cls(rules, precision, recall, scores, is_forged=references.counts > 0)

    def figures(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """Figures with every recording counted ``weights`` times; NaN where undefined."""
        rules = self.rules
        precisions = average_precision(self.precision, curve_start=rules.curve_start, weights=weights)
        recalls = [
            average_recall(self.recall, n, budget=rules.budget, weights=weights) for n in rules.n_proposals
        ]
        found = {f"AP@{t:g}": float(v) for t, v in zip(rules.iou_thresholds, precisions, strict=True)}
        found |= {f"AR@{n}": value for n, value in zip(rules.n_proposals, recalls, strict=True)}
        found["mAP"], found["mAR"] = float(np.mean(precisions)), float(np.mean(recalls))
        if rules.challenge_score:
            found["challenge_score"] = 0.5 * found["mAP"] + 0.5 * found["mAR"]
        found["AUC"] = auc(self.scores, self.is_forged, weights)
        found["AP_recording"] = average_precision_of_items(self.scores, self.is_forged, weights)
        found["EER"] = equal_error_rate(self.scores, self.is_forged, weights)
        return found


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


def _recording_scores(proposals: SegmentTable, given: Mapping[str, float] | None) -> np.ndarray:
    """Score of every recording, shape (R,); -inf where there is none."""
    if given is not None:
        return np.array([given.get(recording, -np.inf) for recording in proposals.ids], dtype=np.float64)
    scores = np.full(len(proposals.ids), -np.inf)
    np.maximum.at(scores, proposals.recordings, proposals.scores)
    return scores


def _sources(references: Sequence[Reference]) -> dict[str, str]:
    return {r.recording_id: str(r.attributes.get("source", r.recording_id)) for r in references}


def _intervals(
    measured: _Measured, ids: Sequence[str], sources: Mapping[str, str] | None, n_replicates: int, seed: int
) -> dict | None:
    if not n_replicates:
        return None
    drawn = [recording if sources is None else sources.get(recording, recording) for recording in ids]
    return bootstrap_intervals(measured.figures, drawn, n_replicates=n_replicates, seed=seed)


def _check_ids(predictions: SegmentTable, references: SegmentTable, skip_invalid: bool) -> list[str]:
    unknown = sorted(set(predictions.ids) - set(references.ids))
    warnings = []
    if predictions.n_skipped + references.n_skipped:
        warnings.append(f"{predictions.n_skipped + references.n_skipped} invalid rows were dropped")
    if unknown and not skip_invalid:
        raise AnnotationError(
            f"predictions: {len(unknown)} recordings are not in the references: {_some(unknown)}; "
            "drop them or give the references that hold them"
        )
    if unknown:
        warnings.append(
            f"{len(unknown)} recordings that the references do not know were dropped: {_some(unknown)}"
        )
    return warnings


def _warn_of_misses(
    predictions: SegmentTable, proposals: SegmentTable, references: SegmentTable
) -> list[str]:
    entries = set(predictions.ids)
    absent = np.array([recording not in entries for recording in references.ids], dtype=bool)
    empty = ~absent & (proposals.counts == 0) & (references.counts > 0)
    warnings = []
    for which, what in ((absent, "have no entry in the predictions"), (empty, "have no proposal")):
        if which.any():
            names = [references.ids[i] for i in np.flatnonzero(which)]
            n_missed = int(references.counts[which].sum())
            warnings.append(
                f"{len(names)} of {len(references.ids)} reference recordings {what}; "
                f"their {n_missed} references count as missed: {_some(names)}"
            )
    return warnings


def _some(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")
