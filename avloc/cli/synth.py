"""``avloc synth``: make partially forged recordings with exact truth."""

import sys
from pathlib import Path

import click

from avloc.cli.main import configure_logging
from avloc.cli.options import make_folder

CONDITIONS = ("clean", "wide", "telephone")


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--media",
    multiple=True,
    required=True,
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
@click.option("--n", "n_items", type=click.IntRange(min=1), default=200, help="How many recordings.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="The same seed gives the same bytes.")
@click.option(
    "--genuine-share", type=click.FloatRange(0, 1), default=0.38, help="How many of them stay genuine."
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
def synth(
    out: Path,
    media: tuple[str, ...],
    use: str,
    families: str | None,
    n_items: int,
    seed: int,
    genuine_share: float,
    duration_s: float,
    condition: str | None,
    telephone: bool,
    video: bool,
    any_licence: bool,
    wav: bool,
    cache: Path | None,
) -> None:
    """Write partially forged and genuine recordings with a manifest to the new folder OUT."""
    configure_logging(verbose=1)
    condition = _one_condition(condition, telephone=telephone)
    if wav and video:
        raise click.UsageError("--wav is for sound alone, and --video writes MP4; leave one out")
    from avloc.datasets.speech_pool import SpeechPool
    from avloc.datasets.talking_faces import TalkingFaces
    from avloc.synth.compose import MIXTURE
    from avloc.synth.compose_picture import MOUTH_BLEND, PICTURE_MIXTURE, SOUND_FAMILIES
    from avloc.synth.families import AUDIO_FAMILIES
    from avloc.synth.recordings import Recipe, write_recordings

    known = {*SOUND_FAMILIES, MOUTH_BLEND} if video else set(AUDIO_FAMILIES)
    default = PICTURE_MIXTURE if video else MIXTURE
    chosen = tuple(families.split(",")) if families else tuple(sorted(default))
    if not set(chosen) <= known:
        raise click.UsageError(f"--families knows {sorted(known)}, got {sorted(set(chosen) - known)}")
    cache = _make_folders(out, cache)
    pool = SpeechPool.build(media, use=use, cache=cache, weights_only=not any_licence)
    faces = TalkingFaces.build(media, use=use, cache=cache, weights_only=not any_licence) if video else None
    if "neural_pair" in chosen and not pool.pairs:
        raise click.UsageError(
            f"neural_pair needs generated twins with use {use!r}; leave it out of --families"
        )
    recipe = Recipe(
        use=use,
        families=chosen,
        n_items=n_items,
        seed=seed,
        genuine_share=genuine_share,
        duration_s=duration_s,
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
    click.echo(manifest)


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

    from avloc.corruptions.audio import telephone, wide

    return {"clean": None, "wide": partial(wide, pool=pool), "telephone": telephone}[condition]
