"""``avloc synth``: make partially forged recordings with exact truth, and audit them for shortcuts."""

import logging
import sys
from pathlib import Path

import click

from avloc.cli.audit import report_audit
from avloc.cli.main import configure_logging
from avloc.cli.options import make_folder

logger = logging.getLogger(__name__)

CONDITIONS = ("clean", "wide", "telephone")


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--media",
    multiple=True,
    metavar="MANIFEST",
    help="manifest.json of genuine media; may be given several times.",
)
@click.option(
    "--use",
    type=click.Choice(["train", "dev", "test", "held_out"]),
    default="dev",
    help="Whose recordings are used.",
)
@click.option("--families", metavar="A,B,...", help="Kinds of forgery, taken in turn; default all.")
@click.option(
    "--implementations",
    type=click.Choice(["training", "held_back"]),
    default="training",
    help="Of the families: what training draws too, or what it never draws.",
)
@click.option("--n", "n_items", type=click.IntRange(min=1), default=200, help="How many recordings.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="The same seed gives the same bytes.")
@click.option(
    "--genuine-share", type=click.FloatRange(0, 1), default=0.38, help="How many of them stay genuine."
)
@click.option(
    "--edit-share",
    type=click.FloatRange(0, 1),
    default=0.3,
    help="How many of both carry genuine edits: cuts, music, another coder and the like.",
)
@click.option("--duration", "duration_s", type=click.FloatRange(min=1.5), default=25.6, help="Longest, in s.")
@click.option(
    "--condition",
    type=click.Choice(CONDITIONS),
    help="What is done to the whole sound of every recording; default clean.",
)
@click.option("--telephone", is_flag=True, help="Short for --condition telephone.")
@click.option("--video", is_flag=True, help="Talking faces, written as MP4.")
@click.option("--any-licence", is_flag=True, help="Also recordings that may not train shipped weights.")
@click.option("--wav", is_flag=True, help="WAV instead of FLAC.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder for decoded media; default OUT-cache.")
@click.option(
    "--audit",
    is_flag=True,
    help="Let probes that see no forgery try to tell the classes apart; without --media on what OUT holds.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    help="Of the audit. Default: text on a terminal, else json.",
)
def synth(
    out: Path,
    media: tuple[str, ...],
    use: str,
    families: str | None,
    implementations: str,
    n_items: int,
    seed: int,
    genuine_share: float,
    edit_share: float,
    duration_s: float,
    condition: str | None,
    telephone: bool,
    video: bool,
    any_licence: bool,
    wav: bool,
    cache: Path | None,
    audit: bool,
    format_: str | None,
) -> None:
    """Write partially forged and genuine recordings with a manifest to the new folder OUT.

    With --audit the exit code is 3 if a probe tells forged from genuine recordings.
    """
    configure_logging(verbose=1)
    context = click.get_current_context()
    _check_belonging(format_=format_, audit=audit, wav=wav, video=video)
    as_json = format_ == "json" or (format_ is None and not sys.stdout.isatty())
    if not media:
        _check_audit_alone(context, out, audit=audit)
        context.exit(report_audit(out, as_json=as_json))
    condition = _one_condition(condition, telephone=telephone)
    _check_enough_to_audit(n_items, genuine_share, audit=audit)
    from avloc.datasets.speech_pool import SpeechPool
    from avloc.datasets.talking_faces import TalkingFaces
    from avloc.synth.recordings import Recipe, write_recordings

    named = _read_families(families, video=video)
    cache = _make_folders(out, cache)
    pool = SpeechPool.build(media, use=use, cache=cache, weights_only=not any_licence)
    faces = TalkingFaces.build(media, use=use, cache=cache, weights_only=not any_licence) if video else None
    recipe = Recipe(
        use=use,
        families=_applicable(named, pool, faces, use=use, implementations=implementations),
        n_items=n_items,
        seed=seed,
        genuine_share=genuine_share,
        edit_share=edit_share,
        duration_s=duration_s,
        implementations=implementations,
    )
    manifest = write_recordings(
        out,
        recipe,
        pool,
        faces=faces,
        degrade=_degradation(condition, pool),
        extension=".wav" if wav else ".flac",
        notes={"command": ["avloc", *sys.argv[1:]], "condition": condition},
    )
    if audit:
        context.exit(report_audit(out, as_json=as_json))
    click.echo(manifest)


def _check_belonging(*, format_: str | None, audit: bool, wav: bool, video: bool) -> None:
    """Refuse options that mean nothing beside, or without, another."""
    if format_ and not audit:
        raise click.UsageError("--format is for what --audit prints; add --audit or leave --format out")
    if wav and video:
        raise click.UsageError("--wav is for sound alone, and --video writes MP4; leave one out")


def _check_audit_alone(context: click.Context, out: Path, *, audit: bool) -> None:
    """Without media nothing is made: OUT must hold a set, and no option may say how to make one."""
    if not audit:
        raise click.UsageError("--media names what recordings are made from; give it at least once")
    ours = {"out", "audit", "format_"}
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in ours
        and context.get_parameter_source(parameter.name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(
            f"--audit without --media looks at what OUT holds and makes nothing; leave {', '.join(given)} out"
        )
    if not (out / "manifest.jsonl").is_file():
        raise click.UsageError(
            f"OUT {str(out)!r} holds no manifest.jsonl to audit; give --media to make a set first"
        )


def _check_enough_to_audit(n_items: int, genuine_share: float, *, audit: bool) -> None:
    """Refuse a set that will be too small before it is made."""
    from avloc.synth.audit import LEAST_OF_A_CLASS

    n_genuine = round(n_items * genuine_share)
    if audit and min(n_genuine, n_items - n_genuine) < LEAST_OF_A_CLASS:
        raise click.UsageError(
            f"an audit needs {LEAST_OF_A_CLASS} forged and {LEAST_OF_A_CLASS} genuine recordings, and about "
            f"{n_items - n_genuine} and {n_genuine} would be made; change --n or --genuine-share"
        )


def _read_families(families: str | None, *, video: bool) -> tuple[str, ...] | None:
    """Split ``--families``; None where it is not given."""
    from avloc.synth.compose import FAMILIES
    from avloc.synth.compose_picture import PICTURE_FAMILIES

    if families is None:
        return None
    chosen, known = tuple(families.split(",")), set(PICTURE_FAMILIES if video else FAMILIES)
    if not set(chosen) <= known:
        raise click.UsageError(f"--families knows {sorted(known)}, got {sorted(set(chosen) - known)}")
    return chosen


def _applicable(
    named: tuple[str, ...] | None,
    pool: object,
    faces: object | None,
    *,
    use: str,
    implementations: str,
) -> tuple[str, ...]:
    """Give the named families, all of which must find their material, or all of the mixture that do."""
    from avloc.synth.compose import MIXTURE, lacking
    from avloc.synth.compose_picture import PICTURE_MIXTURE
    from avloc.synth.recordings import HELD_BACK, implementations_of

    needs = {name: f"{what} with use {use!r}" for name, what in lacking(pool, faces).items()}
    default = MIXTURE if faces is None else PICTURE_MIXTURE
    if implementations == HELD_BACK:
        second = implementations_of(HELD_BACK, picture=faces is not None)
        only_one = {*default, *(named or ())} - set(second)
        needs |= dict.fromkeys(sorted(only_one), "a second implementation and has none")
    for name in named or ():
        if name in needs:
            raise click.UsageError(f"{name} needs {needs[name]}; leave it out of --families")
    left_out = sorted(set(default) & set(needs)) if named is None else []
    for name in left_out:
        logger.warning("left out: %s needs %s", name, needs[name])
    return named or tuple(sorted(set(default) - set(left_out)))


def _one_condition(condition: str | None, *, telephone: bool) -> str:
    if telephone and condition not in (None, "telephone"):
        raise click.UsageError(
            f"--telephone is short for --condition telephone, got --condition {condition} too; leave one out"
        )
    return "telephone" if telephone else condition or "clean"


def _make_folders(out: Path, cache: Path | None) -> Path:
    """Make both folders before any work, OUT an empty one; give the one of the cache."""
    make_folder("OUT", out)
    if any(out.iterdir()):
        raise click.UsageError(f"{str(out)!r} is not empty; give a new folder")
    cache = cache or out.with_name(out.name + "-cache")
    make_folder("--cache", cache)
    return cache


def _degradation(condition: str, pool: object) -> object:
    """Choose what ``condition`` names, with babble from the pool of the same use; None for clean."""
    from functools import partial

    from avloc.corruptions.audio import telephone_and_tell, wide

    return {"clean": None, "wide": partial(wide, pool=pool), "telephone": telephone_and_tell}[condition]
