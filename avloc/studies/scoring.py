"""Files of predictions scored against the annotation of a data set."""

from dataclasses import replace
from pathlib import Path

from avloc.metrics.compare import compare
from avloc.metrics.details import details
from avloc.metrics.evaluate import checked, evaluate, sources_of_references
from avloc.metrics.protocols import get_protocol
from avloc.metrics.slices import evaluate_by
from avloc.metrics.table import SegmentTable
from avloc.report.files import write_whole
from avloc.studies.error_table import error_table
from avloc.studies.loading import Settings, Truth, load_predictions, load_scores, load_truth, start_reading
from avloc.studies.predictions import split_of

OWN = ("protocol", "n", "n_genuine", "n_references", "n_proposals", "coverage", "intervals", "warnings")
SLICED_BY = ("modality", "generator")
COMPARED_DRAWS = 1000


def score_files(
    predictions: str | Path,
    references: str | Path,
    *,
    settings: Settings,
    scores: str | Path | None = None,
    other: str | Path | None = None,
    other_scores: str | Path | None = None,
    with_details: bool = False,
    errors: str | Path | None = None,
) -> dict:
    """Score a file of predictions.

    Parameters
    ----------
    predictions, references : str or Path
        What ``read_all`` and ``build_dataset`` read. Without a split in ``settings``, that of the folder of a
        run is taken.
    settings : Settings
    scores : str or Path, or None
        ``file;score`` lines in place of the highest proposal.
    other : str or Path, or None
        Predictions of another system, compared with the first.
    other_scores : str or Path, or None
        ``file;score`` lines of the other system in place of its highest proposal.
    with_details : bool
        Add ``details`` and ``slices``.
    errors : str or Path, or None
        CSV file that gets one row a recording.

    Returns
    -------
    dict
        ``protocol``, ``split``, ``n``, ``coverage``, ``metrics`` (fractions, None where undefined),
        ``intervals`` (None without bootstrap), ``warnings``; where asked for, ``details``, ``slices`` and
        ``comparison``.

    Raises
    ------
    AnnotationError
        With file and key.
    ValueError
        For an unknown protocol.
    """
    get_protocol(settings.protocol)  # refused before anything is read
    settings = replace(settings, split=settings.split or split_of(predictions))
    warnings: list[str] = []
    reading = start_reading(predictions, settings)
    truth = load_truth(references, settings)
    recording_scores = load_scores(scores, truth, settings, warnings)
    held = [load_predictions(predictions, reading, truth, settings, warnings)]
    del reading  # or it would hold the rows, too
    goes_on = with_details or errors is not None or other is not None
    found = evaluate(
        held[0] if goes_on else held.pop(),  # a large table that nobody needs again is let go
        truth.references,
        protocol=settings.protocol,
        bootstrap=settings.bootstrap,
        seed=settings.seed,
        recording_scores=recording_scores,
        skip_invalid=settings.skip_invalid,
        overwrite=not goes_on,
    )
    answer = _answer(found, truth, warnings)
    if not goes_on:
        return answer
    table = SegmentTable.from_references(truth.references)
    proposals = held.pop().select(table.ids)
    if with_details:
        answer["details"] = details(
            proposals,
            table,
            truth.durations_s,
            threshold=settings.threshold,
            recording_scores=recording_scores,
        )
        answer["slices"] = _slices(proposals, truth, settings, recording_scores)
    if errors is not None:
        write_whole(Path(errors), error_table(proposals, table, truth.references, scores=recording_scores))
    if other is not None:
        answer["comparison"], warnings = _comparison(
            proposals, table, truth, settings, recording_scores, other, other_scores
        )
        answer["warnings"] += warnings
        if (scores is None) != (other_scores is None):
            told = predictions if scores is None else other
            answer["warnings"].append(
                f"{str(told)!r}: recordings are scored by their highest proposal, those of the system that "
                "it is compared with by a file of scores; give scores of both to compare like with like"
            )
    return answer


def _comparison(
    proposals: SegmentTable,
    references: SegmentTable,
    truth: Truth,
    settings: Settings,
    scores: dict[str, float] | None,
    other: str | Path,
    other_scores: str | Path | None,
) -> tuple[dict, list[str]]:
    """Compare with the predictions of a second file, and give its warnings, each with its name."""
    rules, warnings = get_protocol(settings.protocol), []
    of_other = load_scores(other_scores, truth, settings, warnings)
    told = []  # load_scores names its file itself
    second = load_predictions(other, start_reading(other, settings), truth, settings, told)
    second, unusual = checked(second, references, rules, skip_invalid=settings.skip_invalid)
    found = compare(
        proposals,
        second,
        references,
        rules=rules,
        scores=scores,
        other_scores=of_other,
        sources=sources_of_references(truth.references),
        n_replicates=settings.bootstrap or COMPARED_DRAWS,
        seed=settings.seed,
    )
    return found, warnings + [f"{str(other)!r}: {warning}" for warning in told + unusual]


def _answer(found: dict, truth: Truth, warnings: list[str]) -> dict:
    return {
        "protocol": found["protocol"],
        "split": truth.split,
        "n": found["n"],
        "coverage": found["coverage"],
        "metrics": {name: value for name, value in found.items() if name not in OWN},
        "intervals": found["intervals"],
        "warnings": warnings + found["warnings"],
    }


def _slices(
    proposals: SegmentTable, truth: Truth, settings: Settings, scores: dict[str, float] | None
) -> dict[str, dict[str, dict]]:
    """Figures of each modality and generator, where told, against all genuine recordings."""
    found = {}
    for attribute in SLICED_BY:
        if not any(r.is_forged and r.attributes.get(attribute) for r in truth.references):
            continue
        by_value = evaluate_by(
            proposals,
            truth.references,
            attribute=attribute,
            recording_scores=scores,
            protocol=settings.protocol,
        )
        found[attribute] = {
            value: {
                "n": result["n"],
                "n_references": result["n_references"],
                "metrics": {name: figure for name, figure in result.items() if name not in OWN},
            }
            for value, result in by_value.items()
        }
    return found
