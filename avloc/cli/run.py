"""Every recording of a run: analysed, written, counted, whatever happens to it."""

import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from avloc.cli.main import Terminated, silence_stdout
from avloc.cli.progress import Progress, Tally
from avloc.cli.side_by_side import in_order
from avloc.cli.standard_input import opened_path
from avloc.errors import MediaError
from avloc.media.listing import Input
from avloc.report.frames import FrameWriter
from avloc.report.writers import ReportWriter
from avloc.structures import ERROR_REASONS, Prediction, Reason, Recording, Status

if TYPE_CHECKING:
    from avloc.structures.landmarks import LandmarkTrack

logger = logging.getLogger(__name__)

Localize = Callable[..., Prediction]


def run(
    load: Callable[[], Localize],
    inputs: Sequence[Input],
    report: ReportWriter,
    progress: Progress,
    *,
    limits: Any,
    frames: FrameWriter | None = None,
    n_at_once: int = 1,
    tracks_of: Callable[[Input], "LandmarkTrack | None"] = lambda item: None,
    tally: Tally | None = None,
) -> Tally:
    """Analyse recordings, some at once, write them in order; an interrupt keeps what was written.

    ``tracks_of`` gives the landmarks of a recording, if there are any; ``tally`` holds those that were
    written before.
    """
    tally = tally or Tally()
    n_before = tally.counts.total()
    localizer = load()
    analyse = partial(_analyse, localizer, limits=limits, tracks_of=tracks_of)
    analysed = in_order(analyse, inputs, n_threads=n_at_once)
    try:
        for number in range(1, len(inputs) + 1):
            progress.step(n_before + number, inputs[number - 1].id)
            item, prediction = next(analysed)
            progress.clear()
            told, took = prediction.verdict or prediction.status, prediction.timing
            logger.info("%s: %s, %.1f s", item.id, told, took.wall_s if took else 0.0)
            if not _write(report, frames, prediction, tally):
                break
    except (KeyboardInterrupt, Terminated):
        progress.clear()
        n_written = n_before + report.n_written
        logger.warning("interrupted: %d of %d recordings are written", n_written, n_before + len(inputs))
        if report.n_written:
            _finish(report, tally)
        raise
    finally:
        analysed.close()
    _finish(report, tally)
    return tally


def _analyse(
    localizer: Localize, item: Input, *, limits: Any, tracks_of: Callable[[Input], "LandmarkTrack | None"]
) -> Prediction:
    """Analyse one recording; what nobody foresaw becomes its row, and the run goes on."""
    try:
        with opened_path(item.path, limits) as opened:
            prediction = localizer(opened, id=item.id, tracks=tracks_of(item))
        return replace(prediction, recording=replace(prediction.recording, path=item.path, extra=item.extra))
    except MediaError as error:  # of stdin or of landmarks; of a file it is a row already
        return _failed(localizer, item, Reason(error.reason), error.message)
    except MemoryError:
        return _failed(localizer, item, Reason.OUT_OF_MEMORY, "there was not enough memory")
    except Exception as error:  # the boundary of one recording: it becomes a row
        traceback.print_exc()
        return _failed(localizer, item, Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")


def _failed(localizer: Localize | None, item: Input, reason: Reason, message: str) -> Prediction:
    return Prediction(
        recording=Recording(item.id, item.path, None, None, None, None, None, extra=item.extra),
        status=Status.ERROR if reason in ERROR_REASONS else Status.NOT_ANALYSABLE,
        reasons=(reason,),
        message=message,
        provenance=getattr(localizer, "provenance", None),
    )


def _write(report: ReportWriter, frames: FrameWriter | None, prediction: Prediction, tally: Tally) -> bool:
    """Write one row; False when nothing more can be written to this place."""
    try:
        try:
            report.write(prediction)
        except OSError:  # the place, not the value
            raise
        except Exception as error:  # a value that no document may hold
            traceback.print_exc()
            recording, message = prediction.recording, f"{type(error).__name__}: {error}"
            item = Input(recording.path, recording.id, recording.extra)
            prediction = _failed(None, item, Reason.INTERNAL_ERROR, message)
            report.write(prediction)
    except OSError as error:
        _tell_output_failed(error, tally)
        return report.is_folder
    tally.add(prediction)
    if frames is not None:
        try:
            frames.write(prediction)
        except OSError as error:
            _tell_output_failed(error, tally)
    return True


def _finish(report: ReportWriter, tally: Tally) -> None:
    try:
        report.finish()
    except OSError as error:
        _tell_output_failed(error, tally)


def _tell_output_failed(error: OSError, tally: Tally) -> None:
    """Report on stderr what the result itself cannot hold any more."""
    if isinstance(error, BrokenPipeError):
        silence_stdout()
    tally.counts[Reason.OUTPUT_FAILED] += 1
    tally.has_failure = True
    logger.error("%s: %s", Reason.OUTPUT_FAILED, error.strerror or error)
