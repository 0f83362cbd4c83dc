"""``avloc explain``: a reason code in words."""

import difflib
import textwrap

import click

from avloc.report.reasons import EXPLANATIONS
from avloc.report.reasons import explain as explanation_of
from avloc.structures import Reason


@click.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Say what a reason or warning means and what to do about it; without CODE, all of them."""
    if code is None:
        click.echo("\n\n".join(_text(reason) for reason in EXPLANATIONS))
        return
    known = [str(reason) for reason in Reason]
    wanted = code.strip().lower().replace("-", "_")
    if wanted not in known:
        close = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
        advice = f"did you mean {' or '.join(close)}?" if close else "'avloc explain' lists all codes"
        raise click.UsageError(f"there is no reason {code!r}; {advice}")
    click.echo(_text(Reason(wanted)))


def _text(reason: Reason) -> str:
    explanation = explanation_of(reason)
    lines = textwrap.wrap(f"{explanation.meaning} {explanation.advice}", width=76)
    return "\n".join([str(reason), *(f"  {line}" for line in lines)])
