"""Figures of parts of the forged recordings, each against all genuine ones."""

from collections.abc import Iterable, Mapping

from avloc.metrics.evaluate import evaluate
from avloc.metrics.table import SegmentTable
from avloc.structures import Prediction, Reference


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
    values = {_value(r, attribute) for r in references if r.is_forged}
    return {
        value: [r for r in references if not r.is_forged or _value(r, attribute) == value]
        for value in sorted(values)
    }


def _value(reference: Reference, attribute: str) -> str:
    """Value of an attribute as text; "unknown" where it is absent or null."""
    value = reference.attributes.get(attribute)
    return "unknown" if value is None else str(value)
