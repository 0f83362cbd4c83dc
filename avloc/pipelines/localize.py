"""Localizer: a recording in, a Prediction out, whatever the file holds."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from avloc import __version__, ops
from avloc.decoding.select import Selection
from avloc.errors import MediaError
from avloc.media.decode import Decoder
from avloc.media.probe import open_recording
from avloc.media.supervisor import Limits
from avloc.models.weights.card import Card
from avloc.models.weights.store import load_weights, read_header
from avloc.pipelines.analyse import WindowAnalyser
from avloc.pipelines.assemble import Assembler
from avloc.pipelines.read_ahead import read_ahead
from avloc.pipelines.results import ChannelFindings
from avloc.pipelines.settings import Settings, check_count, resolve_device
from avloc.pipelines.tracks import Tracks
from avloc.pipelines.windows import Merger
from avloc.structures import ERROR_REASONS, Prediction, Provenance, Reason, Recording, Status, Timing

logger = logging.getLogger(__name__)


class Localizer:
    """Finds forged segments in recordings; one object serves any number of them, one after the other.

    Parameters
    ----------
    network : nn.Module
        With ``inputs``, ``forward`` and ``proposals`` as of ``HierarchicalLocalizer``.
    card : Card
        Name, thresholds and limits of the weights.
    weights_sha256 : str
        Of the weights file.
    selection : Selection
        How segments are chosen among proposals.
    settings : Settings
        Threshold, lowest listed score, curves.
    device : str
        As of ``resolve_device``.
    threads : int, optional [>= 1]
        Intra-op threads of torch while a recording is analysed; as they are without it.
    limits : Limits, optional
        Caps on a recording.
    """

    def __init__(
        self,
        network: nn.Module,
        card: Card,
        *,
        weights_sha256: str,
        selection: Selection,
        settings: Settings,
        device: str = "cpu",
        threads: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        check_count("threads", threads)
        self.card, self.selection, self.settings = card, selection, settings
        self.device = torch.device(resolve_device(device))
        self._network = network.eval().to(self.device)
        self._threads, self._limits = threads, limits
        self.provenance = Provenance(
            model=card.name,
            model_sha256=weights_sha256,
            network=card.network,
            version=__version__,
            kernels=ops.kernels(),
            device=self.device.type,
        )

    def __call__(self, recording: Recording | str | os.PathLike, *, id: str | None = None) -> Prediction:
        """Localize forged segments in one recording.

        Parameters
        ----------
        recording : Recording, str or os.PathLike
            A file, or what ``open_recording`` gave.
        id : str, optional
            Name of the recording in outputs; the path as given without it.

        Returns
        -------
        Prediction
            Also for a file that cannot be used: ``status`` and ``reasons`` say why. A defect of avloc becomes
            ``internal_error``, with the traceback in the log.
        """
        started = time.perf_counter()
        opened = recording if isinstance(recording, Recording) else None
        try:
            if opened is None:
                opened = open_recording(recording, id=id, limits=self._limits)
            elif id is not None:
                opened = replace(opened, id=id)
            with torch.inference_mode(), _intra_op_threads(self._threads):
                prediction = self._localize(opened)
        except MediaError as error:
            prediction = self._failed(opened, recording, id, _reason(error), error.message)
        except Exception as error:  # the boundary of one recording: it becomes a row, the run goes on
            reason = Reason.OUT_OF_MEMORY if _is_out_of_memory(error) else Reason.INTERNAL_ERROR
            logger.exception("%r: %s", str(recording if opened is None else opened.path), reason.value)
            message = f"{type(error).__name__}: {error}"
            prediction = self._failed(opened, recording, id, reason, message)
        wall_s = time.perf_counter() - started
        duration_s = prediction.analysed.duration_s
        factor = wall_s / duration_s if duration_s else None
        return replace(prediction, timing=Timing(wall_s, factor))

    def _localize(self, recording: Recording) -> Prediction:
        analyser = WindowAnalyser(self._network, device=self.device)
        findings: dict[int | None, ChannelFindings] = {}
        decoder = Decoder(recording, limits=self._limits)
        with closing(read_ahead(decoder, stop=decoder.kill)) as blocks:
            tracks = Tracks(recording, blocks)
            for cut in tracks:
                for view in cut.views:
                    found = analyser(cut.window, view)
                    if found is None:
                        continue
                    channel = findings.setdefault(view.channel, self._no_findings())
                    seen = ~np.isnan(found.curves["score_visual"])
                    face = np.where(seen, cut.face, np.nan)
                    channel.merger.add(cut.window, found.proposals, found.curves | {"face": face})
                    channel.score = max(channel.score, found.score)
                    if found.lag_weights is not None:
                        channel.lag_weights.append(found.lag_weights)
                logger.debug("%r: window %d", recording.path, cut.window.index)
        assembler = Assembler(
            recording,
            tracks,
            findings,
            card=self.card,
            selection=self.selection,
            settings=self.settings,
            warnings=decoder.warnings,
            drift_ppm=decoder.drift_ppm,
        )
        return self._told(recording, assembler, decoder)

    def _told(self, recording: Recording, assembler: Assembler, decoder: Decoder) -> Prediction:
        stopped = assembler.stop_reason()
        noted = "; ".join((*recording.notes, *decoder.notes))  # which cap kept something out
        if stopped is None:
            found = assembler.outcome()
            return Prediction(
                recording, Status.ANALYSED, message=noted or None, provenance=self.provenance, **found
            )
        message = noted or f"nothing could be analysed in {assembler.end_s:.3f} s of media"
        return Prediction(
            recording,
            Status.NOT_ANALYSABLE,
            reasons=(stopped,),
            warnings=tuple(w for w in decoder.warnings if w != stopped),
            message=message,
            analysed=assembler.analysed(),
            provenance=self.provenance,
        )

    def _no_findings(self) -> ChannelFindings:
        selection = self.selection
        return ChannelFindings(Merger(window_top_k=selection.window_top_k, min_score=selection.min_score))

    def _failed(
        self,
        opened: Recording | None,
        given: Recording | str | os.PathLike,
        id: str | None,
        reason: Reason,
        message: str,
    ) -> Prediction:
        """Make the row of a recording that could not be analysed."""
        if opened is None:
            path = os.fsdecode(given)
            opened = Recording(path if id is None else id, path, None, _size(path), None, None, None)
        status = Status.ERROR if reason in ERROR_REASONS else Status.NOT_ANALYSABLE
        return Prediction(
            opened,
            status,
            reasons=(reason,),
            warnings=tuple(w for w in opened.warnings if w != reason),
            message=message,
            provenance=self.provenance,
        )


def load_localizer(
    weights: str | os.PathLike = "default",
    *,
    device: str = "cpu",
    threads: int | None = None,
    threshold: float | None = None,
    min_score: float | None = None,
    max_segments: int | None = None,
    all_proposals: int | None = None,
    curves: bool = False,
    limits: Limits | None = None,
) -> Localizer:
    """Load weights and make a ``Localizer`` of them.

    Parameters
    ----------
    weights : str or os.PathLike
        ``"default"``, a name in ``$AVLOC_HOME/weights``, or a path.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:N"``, or ``"auto"``: the first CUDA device if there is one.
    threads : int, optional [>= 1]
        Intra-op threads of torch.
    threshold : float, optional [0, 1]
        Score from which a detection makes the verdict; the card's, for each path, without it.
    min_score : float, optional [0, 1]
        Score from which detections are listed; the threshold without it.
    max_segments : int, optional [>= 1]
        Most segments a recording and channel; what the weights were tuned with (100) without it.
    all_proposals : int, optional [>= 1]
        Add this many proposals from before suppression.
    curves : bool
        Add the frame curves.
    limits : Limits, optional
        Caps on a recording.

    Raises
    ------
    CheckpointError, ConfigError
        If the weights cannot be used.
    ValueError
        If an argument is out of range, or there is no such device.
    """
    settings = Settings(threshold, min_score, curves, all_proposals)
    check_count("max_segments", max_segments)
    network, card, sha256 = load_weights(weights)
    config, _ = read_header(weights)
    selection = Selection.from_mapping(config.get("decoding", {}))
    if max_segments is not None:
        selection = replace(selection, max_segments=max_segments)
    return Localizer(
        network,
        card,
        weights_sha256=sha256,
        selection=selection,
        settings=settings,
        device=device,
        threads=threads,
        limits=limits,
    )


@contextmanager
def _intra_op_threads(threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if threads is not None:
            torch.set_num_threads(before)


def _reason(error: MediaError) -> Reason:
    # The code comes from the decoding child, whose words are not trusted.
    known = error.reason in set(Reason)
    return Reason(error.reason) if known else Reason.DECODER_CRASH


def _is_out_of_memory(error: Exception) -> bool:
    # The CPU allocator of torch raises a plain RuntimeError.
    told = isinstance(error, RuntimeError) and "not enough memory" in str(error)
    return told or isinstance(error, MemoryError | torch.OutOfMemoryError)


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return None
