"""``avloc extract``: features of a whole data set for the training of heads, in shards, resumable."""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avloc.cli.main import configure_logging
from avloc.cli.options import Device, make_folder, read_encoders, read_limits, verbosity
from avloc.cli.predict import ShardOption, open_shard, recordings_told, tracks_folder
from avloc.cli.progress import Progress, Tally
from avloc.cli.side_by_side import in_order
from avloc.media.listing import Input
from avloc.report.files import unique_name
from avloc.report.shards import Shard, ShardFile
from avloc.structures import Reason

if TYPE_CHECKING:
    from avloc.features.cache import FeatureRow
    from avloc.models.weights.encoders import StreamEncoder
    from avloc.pipelines.encoding import Batcher
    from avloc.pipelines.extract import Done
    from avloc.pipelines.feature_reading import FeatureSettings, Reader

logger = logging.getLogger(__name__)


@click.command()
@click.argument("dataset")
@click.option(
    "--root", metavar="PATH", help="Folder of the data set; of a list or manifest, of its recordings."
)
@click.option("--split", metavar="NAME", help="Such as train; needed where there are several.")
@click.option(
    "--encoders", required=True, metavar="audio=NAME,visual=NAME", help="Weights that hold an encoder."
)
@click.option("--out", required=True, metavar="DIR", help="Folder of features; all splits may share it.")
@click.option("--shard", type=ShardOption(), default="1/1", show_default=True, help="Do this part of all.")
@click.option("--device", type=Device(), default="auto", show_default=True, help="Where encoders run.")
@click.option(
    "--dtype", type=click.Choice(("float16", "float32")), default="float16", show_default=True, help="Stored."
)
@click.option("--tracks", metavar="DIR", help="Landmarks ID.npz of each recording: no face is looked for.")
@click.option(
    "--max-frames", type=click.IntRange(min=1), help="Cut what is longer, in frames of 40 ms. Default: 1500."
)
@click.option("--batch-frames", type=click.IntRange(min=1), help="Encoded at once. Default: 2000.")
@click.option("--threads", type=click.IntRange(min=1), help="Recordings read at once. Default: all cores.")
@click.option(
    "--limit", "limits", multiple=True, metavar="NAME=VALUE", help="Change a cap on what is decoded."
)
@verbosity
def extract(
    dataset: str,
    root: str | None,
    split: str | None,
    encoders: str,
    out: str,
    shard: Shard,
    device: str,
    dtype: str,
    tracks: str | None,
    max_frames: int | None,
    batch_frames: int | None,
    threads: int | None,
    limits: tuple[str, ...],
    quiet: bool,
    verbose: int,
) -> None:
    """Store what encoders make of every recording of DATASET, named as for avloc predict.

    The same command again goes on where the first was stopped. Recordings that were extracted before, under
    whatever name or split, are found by their content.
    """
    from avloc.datasets.media_files import find_media
    from avloc.media.supervisor import Limits, available_cores
    from avloc.pipelines.encoding import BATCH_FRAMES, Batcher
    from avloc.pipelines.feature_reading import MAX_FRAMES, FeatureSettings

    configure_logging(verbose=verbose, quiet=quiet)
    media = find_media(dataset, root=root, split=split)
    names, landmarks = read_encoders(encoders), tracks_folder(tracks)
    if landmarks is not None and "visual" not in names:
        raise click.UsageError("--tracks says nothing without a visual encoder; leave it out")
    settings = FeatureSettings(dtype, max_frames or MAX_FRAMES, read_limits(limits) or Limits(), landmarks)
    loaded = load_encoders(names, settings)
    told = recordings_told(media, shard) | _encoders_told(loaded, settings)
    batcher = Batcher(loaded, device=device, dtype=dtype, batch_frames=batch_frames or BATCH_FRAMES)
    inputs = [Input(str(media.path_of(id)), id) for id in shard.of(media.ids)]
    progress = Progress(len(inputs), show=not quiet and not verbose)
    run = Run(make_folder("--out", out), shard, told, inputs, progress, is_quiet=quiet)
    tally = run(loaded, settings, batcher, n_at_once=threads or available_cores())
    click.get_current_context().exit(tally.exit_code(fail_on_detection=False))


def load_encoders(names: Mapping[str, str], settings: "FeatureSettings") -> dict[str, "StreamEncoder"]:
    """Load the encoders, and refuse those whose landmarks nobody can find here."""
    from avloc.models.weights.encoders import load_encoder
    from avloc.models.weights.importing import STREAMS
    from avloc.pipelines.landmarks import LANDMARK_CROP, check_finder

    if not names or set(names) - set(STREAMS):
        raise click.UsageError(f"--encoders names weights for {' and '.join(STREAMS)}, got {names or 'none'}")
    loaded = {stream: load_encoder(names[stream], stream) for stream in STREAMS if stream in names}
    for encoder in loaded.values():
        if LANDMARK_CROP in encoder.crops and settings.tracks is None:
            check_finder(encoder.name)
    return loaded


class Run:
    """One shard of an extraction: what is left of it, its rows, and what is said meanwhile.

    Parameters
    ----------
    out : Path
        The folder of features.
    shard : Shard
        Part of the data set.
    told : mapping
        All that must be the same for all shards.
    inputs : sequence of Input
        The recordings of the shard.
    progress : Progress
        Line on a terminal.
    is_quiet : bool
        Say nothing.
    """

    def __init__(
        self,
        out: Path,
        shard: Shard,
        told: dict[str, Any],
        inputs: Sequence[Input],
        progress: Progress,
        *,
        is_quiet: bool,
    ) -> None:
        self._out, self._shard, self._told, self._inputs = out, shard, told, inputs
        self._progress, self._is_quiet = progress, is_quiet
        self._tally, self._n_before = Tally(), 0

    def __call__(
        self,
        encoders: Mapping[str, "StreamEncoder"],
        settings: "FeatureSettings",
        batcher: "Batcher",
        *,
        n_at_once: int,
    ) -> Tally:
        """Do what is left; returns what became of all recordings of the shard."""
        from avloc.features.cache import RUNS, SCHEMA, FeatureCache, FeatureRow
        from avloc.pipelines.extract import Extractor
        from avloc.pipelines.feature_reading import Reader

        folder = self._out / RUNS / run_name(self._told)
        make_folder("--out", folder)
        ids = [item.id for item in self._inputs]
        reading = {"schema": SCHEMA, "read": FeatureRow.from_line, "may_repeat": True}
        with open_shard(folder, self._shard, ids, self._told, **reading) as file:
            cache = FeatureCache(self._out)
            reader = Reader(cache, encoders, settings)
            left = self._left(reader, {row.id: row for row in file.rows})
            write = partial(self._write, file)
            extractor = Extractor(cache, batcher, write=write, told=self._tell)
            reads = in_order(reader, left, n_threads=n_at_once)
            try:
                done = extractor.run(read for _, read in reads)
            except OSError as error:
                self._progress.clear()
                logger.error(
                    "%s: %s; the same command goes on", Reason.OUTPUT_FAILED, error.strerror or error
                )
                self._tally.has_failure = True
                return self._tally
            finally:
                reads.close()
        self._progress.clear()
        if not self._is_quiet:
            summary = f"{self._tally.summary()}; {_speed(done)}"
            click.echo(f"avloc: {summary}", err=True)
        return self._tally

    def _left(self, reader: "Reader", latest: Mapping[str, "FeatureRow"]) -> list[Input]:
        left = []
        for item in self._inputs:
            row = latest.get(item.id)
            if row is None or not reader.is_done(row, item):
                left.append(item)
            else:
                self._tally.add_row(row.status, None, row.reasons)
        self._n_before = len(self._inputs) - len(left)
        return left

    def _write(self, file: ShardFile, rows: Sequence["FeatureRow"]) -> None:
        """Append rows; they are on disk when this returns."""
        file.stream.write("".join(row.to_line() for row in rows))
        file.stream.flush()
        os.fsync(file.stream.fileno())
        for row in rows:
            self._tally.add_row(row.status, None, row.reasons)
            logger.info("%s: %s", row.id, ", ".join((row.status, *row.reasons, *row.warnings)))

    def _tell(self, done: "Done") -> None:
        self._progress.step(self._n_before + done.n_rows, _speed(done))
        logger.info("%d of %d recordings, %s", self._n_before + done.n_rows, len(self._inputs), _speed(done))


def run_name(told: Mapping[str, Any]) -> str:
    """Name the folder of the rows of a run: another one for everything that is told otherwise.

    Examples
    --------
    >>> run_name({"dataset": "lavdf", "split": "dev", "n_shards": 1})
    'lavdf-dev-03a2a90e08'
    """
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:10]
    return unique_name(f"{told['dataset']}-{told['split'] or 'all'}-{digest}", "", set())


def _encoders_told(encoders: Mapping[str, "StreamEncoder"], settings: "FeatureSettings") -> dict[str, Any]:
    told = {e.stream: {"name": e.name, "kind": e.kind, "sha256": e.sha256} for e in encoders.values()}
    return {"encoders": told, "settings": settings.to_dict()}


def _speed(done: "Done") -> str:
    return f"{done.frames_per_s:.0f} frames of 40 ms a second"
