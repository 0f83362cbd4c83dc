"""``avloc evaluate``: predictions scored against references under a named protocol."""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from avloc.cli.main import configure_logging
from avloc.cli.options import verbosity
from avloc.metrics.protocols import PROTOCOLS


@click.command()
@click.argument("predictions")
@click.option("--references", required=True, metavar="PATH", help="Annotation file or folder of a data set.")
@click.option("--protocol", type=click.Choice(list(PROTOCOLS)), default="corrected", show_default=True)
@click.option("--split", metavar="NAME", help="Of the references; by default all that the file holds.")
@click.option(
    "--dataset", metavar="NAME", help="What the references are, where that cannot be told from them."
)
@click.option(
    "--fps", type=click.FloatRange(min=0, min_open=True), help="Predicted times are frames at this rate."
)
@click.option("--scores", metavar="FILE", help="file;score lines in place of the highest proposal.")
@click.option("--sort", is_flag=True, help="Sort the proposals of each recording by score.")
@click.option(
    "--skip-invalid", is_flag=True, help="Drop what cannot be scored, counted, instead of refusing it."
)
@click.option(
    "--bootstrap", type=click.IntRange(min=0), default=0, metavar="N", help="Draws of 95 % intervals."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap.")
@click.option("--details", "with_details", is_flag=True, help="Boundaries, false alarms, evidence, slices.")
@click.option("--threshold", type=float, default=0.5, show_default=True, help="Of the details.")
@click.option("--errors", metavar="FILE", help="CSV file that gets one row a recording.")
@click.option("--compare", metavar="FILE", help="Predictions of another system on the same references.")
@click.option("--compare-scores", metavar="FILE", help="file;score lines of that system.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object in place of the table.")
@verbosity
def evaluate(
    predictions: str,
    references: str,
    scores: str | None,
    with_details: bool,
    errors: str | None,
    compare: str | None,
    compare_scores: str | None,
    as_json: bool,
    quiet: bool,
    verbose: int,
    **settings: Any,
) -> None:
    """Score PREDICTIONS, a file or a folder, under a published protocol.

    PREDICTIONS holds {file: [[score, start, end], ...]} in seconds, ActivityNet's results, or result
    documents of avloc, localized with --min-score 0; or it is the folder of avloc predict.
    """
    from avloc.studies.loading import Settings
    from avloc.studies.scoring import score_files

    configure_logging(verbose=verbose, quiet=quiet)
    if compare_scores is not None and compare is None:
        raise click.UsageError("--compare-scores says scores of the system of --compare; give that too")
    try:
        with _without_collector():
            answer = score_files(
                predictions,
                references,
                settings=Settings(**settings),
                scores=scores,
                other=compare,
                other_scores=compare_scores,
                with_details=with_details,
                errors=errors,
            )
    except OSError as error:
        raise click.UsageError(f"{error.filename or errors}: {error.strerror or error}") from error
    if not quiet:
        for warning in answer["warnings"]:
            click.echo(f"avloc: {warning}", err=True)
    click.echo(json.dumps(answer, allow_nan=False) if as_json else as_text(answer))


@contextmanager
def _without_collector() -> Iterator[None]:
    """Collect no garbage: a million references stay to the end, and each round would look at all of them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def as_text(answer: dict) -> str:
    """Table for a reader: protocol, split, number of recordings and coverage, then the figures."""
    coverage = "-" if answer["coverage"] is None else f"{answer['coverage']:.4f}"
    lines = [
        f"protocol {answer['protocol']}, split {answer['split'] or 'all'}, n {answer['n']}, "
        f"coverage {coverage}",
        *_figures(answer["metrics"], answer["intervals"]),
    ]
    if "details" in answer:
        lines += ["", *_details(answer["details"])]
    for attribute, values in answer.get("slices", {}).items():
        for value, found in values.items():
            lines += ["", f"{attribute} {value}: {found['n_references']} references, n {found['n']}"]
            lines += _figures(found["metrics"], None)
    if "comparison" in answer:
        lines += ["", *_comparison(answer["comparison"])]
    return "\n".join(lines)


def _figures(figures: dict, intervals: dict | None) -> list[str]:
    lines = []
    for name, value in figures.items():
        interval = (intervals or {}).get(name)
        shown = f"  [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else ""
        lines.append(f"  {name:<34}{_number(value)}{shown}")
    return lines


def _details(found: dict) -> list[str]:
    low, high = found["shared_false_alarm_rates"]
    lines = [f"at a threshold of {found['threshold']:g}; shared false-alarm rates from {low:g} to {high:g}"]
    told = ("threshold", "shared_false_alarm_rates", "false_alarms", "risk_coverage")
    lines += _figures({name: value for name, value in found.items() if name not in told}, None)
    if (curve := found["risk_coverage"]) is not None:
        shown = zip(curve["coverage"], curve["risk"], strict=True)
        lines += [f"  {f'risk at coverage {coverage:g}':<34}{_number(risk)}" for coverage, risk in shown]
        lines.append(f"  {'area under risk and coverage':<34}{_number(curve['area'])}")
    alarms = found["false_alarms"]
    lines.append(
        f"  {'false alarms':<34}{alarms['text'] if alarms else '- (no durations of genuine recordings)'}"
    )
    return lines


def _comparison(found: dict) -> list[str]:
    lines = [
        "difference to the other system, with 95 % intervals",
        *_figures(found["differences"], found["intervals"]),
    ]
    test = found["recall_per_recording"]
    low, high = test["false_alarm_rates"]
    p = "-" if test["p"] is None else f"{test['p']:.3g}"
    recalls = " against ".join(_number(test[name]).strip() for name in ("mean", "mean_other"))
    lines += [
        f"recall of each forged recording at shared false-alarm rates from {low:g} to {high:g}: {recalls}",
        f"better in {test['better']}, worse in {test['worse']}, equal in {test['equal']} "
        f"(signed-rank test: p = {p})",
    ]
    return lines


def _number(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:>10.4f}"
