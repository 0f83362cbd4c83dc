"""``avloc predict``: a whole data set, in shards, that goes on where it was stopped."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avloc import __version__
from avloc.cli.localize import how_many_at_once, load_localizer
from avloc.cli.main import configure_logging
from avloc.cli.options import Device, make_folder, read_limits, verbosity
from avloc.cli.progress import Progress, Tally
from avloc.cli.run import Localize, run
from avloc.media.listing import Input
from avloc.report.shards import SCHEMA, Shard, ShardFile, agree
from avloc.report.writers import ReportWriter

if TYPE_CHECKING:
    from avloc.datasets.media_files import MediaFiles


class ShardOption(click.ParamType):
    """``i/n``: the part ``i``, from 1 on, of ``n``."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Shard:
        """Read the shard."""
        try:
            return value if isinstance(value, Shard) else Shard.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("dataset")
@click.option(
    "--root", metavar="PATH", help="Folder of the data set; of a list or manifest, of its recordings."
)
@click.option("--split", metavar="NAME", help="Such as test; needed where there are several.")
@click.option("--out", required=True, metavar="DIR", help="Folder of the run; several machines may share it.")
@click.option("--shard", type=ShardOption(), default="1/1", show_default=True, help="Do this part of all.")
@click.option("--weights", default="default", show_default=True, metavar="NAME|PATH", help="Which network.")
@click.option("--tracks", metavar="DIR", help="Landmarks ID.npz of each recording: no face is looked for.")
@click.option("--device", type=Device(), default="auto", show_default=True, help="Where the network runs.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="Recordings at once. Default: all cores; on a GPU one."
)
@click.option("--max-segments", type=click.IntRange(min=1), help="Most of a recording. Default: 100.")
@click.option("--curves", is_flag=True, help="Add the scores of every frame to the rows.")
@click.option(
    "--limit", "limits", multiple=True, metavar="NAME=VALUE", help="Change a cap on what is decoded."
)
@verbosity
def predict(
    dataset: str,
    root: str | None,
    split: str | None,
    out: str,
    shard: Shard,
    weights: str,
    tracks: str | None,
    device: str,
    threads: int | None,
    max_segments: int | None,
    curves: bool,
    limits: tuple[str, ...],
    quiet: bool,
    verbose: int,
) -> None:
    """Analyse every recording of DATASET: a name such as lavdf, a manifest, or a list of names.

    The same command again goes on where the first was stopped. avloc evaluate and avloc submit read what it
    leaves.
    """
    from avloc.datasets.media_files import find_media
    from avloc.media.landmarks import landmarks_of, track_file

    configure_logging(verbose=verbose, quiet=quiet)
    caps, landmarks = read_limits(limits), tracks_folder(tracks)
    media = find_media(dataset, root=root, split=split)
    ids = shard.of(media.ids)
    folder = make_folder("--out", out)
    options = {"max_segments": max_segments, "curves": curves, "min_score": 0.0}  # all that can score
    options |= {} if landmarks is None else {"has_tracks": True}
    # A core each: the numbers do not depend on how many are analysed at once.
    localizer = load_localizer(weights, device=device, threads=1, limits=caps, **options)
    run_of_all = _told(media, shard, localizer, options, caps)
    with (
        open_shard(folder, shard, ids, run_of_all) as file,
        ReportWriter(file.stream, format="jsonl") as report,
    ):
        tally = Tally()
        for row in file.rows:
            tally.add_row(row.status, row.verdict, row.reasons)
        done = {row.id for row in file.rows}
        inputs = [Input(str(media.path_of(id)), id) for id in ids if id not in done]
        run(
            lambda: localizer,
            inputs,
            report,
            Progress(len(ids), show=not quiet and not verbose),
            limits=caps,
            n_at_once=how_many_at_once(inputs, threads, device) if device == "cpu" else threads or 1,
            tally=tally,
            tracks_of=lambda item: landmarks and landmarks_of(item.path, track_file(landmarks, item.id)),
        )
    if not quiet:
        click.echo(f"avloc: {tally.summary()}", err=True)
    click.get_current_context().exit(tally.exit_code(fail_on_detection=False))


def tracks_folder(name: str | None) -> Path | None:
    """Give the folder of landmarks that ``--tracks`` names; one that is not there is wrong usage."""
    if name is None:
        return None
    if not Path(name).is_dir():
        raise click.UsageError(
            f"--tracks {name!r}: expected a folder with ID.npz for every recording; name it, or leave it out"
        )
    return Path(name)


def open_shard(
    folder: Path,
    shard: Shard,
    ids: Sequence[str],
    run_of_all: dict[str, Any],
    *,
    schema: str = SCHEMA,
    **reading: Any,
) -> ShardFile:
    """Open the file of a shard, in a folder of the same run, before anything is analysed.

    ``reading`` is passed on to ``ShardFile``.
    """
    try:
        agree(folder, run_of_all, schema=schema)
        return ShardFile(folder / shard.name, ids, **reading)
    except OSError as error:
        raise click.UsageError(
            f"--out {str(folder)!r} cannot be written: {error.strerror or error}; name another folder"
        ) from error


def recordings_told(media: "MediaFiles", shard: Shard) -> dict[str, Any]:
    """Say which recordings a run is of; where they lie may differ between machines."""
    return {
        "dataset": media.dataset,
        "split": media.split,
        "n_recordings": len(media.ids),
        "recordings_sha256": media.sha256,
        "n_shards": shard.n,
    }


def _told(
    media: "MediaFiles", shard: Shard, localizer: Localize, options: dict[str, Any], caps: Any
) -> dict[str, Any]:
    """All that must be the same for all shards."""
    from avloc.media.supervisor import Limits

    return recordings_told(media, shard) | {
        "weights": {"name": localizer.provenance.model, "sha256": localizer.provenance.model_sha256},
        "version": __version__,
        "options": options,
        "limits": (caps or Limits()).to_dict(),
    }
