"""Localizer: a recording in, a Prediction out, whatever the file holds."""

import logging
import os
import time
from contextlib import closing
from dataclasses import replace

import torch
from torch import nn

from avloc import __version__, ops
from avloc.decoding.select import Selection
from avloc.errors import MediaError, MissingStreamError
from avloc.media.decode import MOUTH, Decoder
from avloc.media.landmarks import read_landmarks
from avloc.media.probe import open_recording
from avloc.media.supervisor import Limits
from avloc.models.weights.card import Card
from avloc.pipelines.analyse import WindowAnalyser
from avloc.pipelines.assemble import Assembler
from avloc.pipelines.failures import message_of, reason_of, status_of
from avloc.pipelines.landmarks import LANDMARK_CROP, check_finder, find_landmarks
from avloc.pipelines.measures import GRID
from avloc.pipelines.pairing import Pairer
from avloc.pipelines.read_ahead import read_ahead
from avloc.pipelines.results import ChannelFindings, Key
from avloc.pipelines.settings import Settings, check_count, resolve_device
from avloc.pipelines.threads import intra_op_threads
from avloc.pipelines.tracks import Tracks
from avloc.pipelines.windows import Merger, WindowPlan
from avloc.structures import Prediction, Provenance, Recording, Status, Timing
from avloc.structures.landmarks import LandmarkTrack

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
            kernels=ops.kernels(self.device.type),
            device=self.device.type,
        )

    def __call__(
        self,
        recording: Recording | str | os.PathLike,
        *,
        id: str | None = None,
        tracks: LandmarkTrack | str | os.PathLike | None = None,
    ) -> Prediction:
        """Localize forged segments in one recording.

        Parameters
        ----------
        recording : Recording, str or os.PathLike
            A file, or what ``open_recording`` gave.
        id : str, optional
            Name of the recording in outputs; the path as given without it.
        tracks : LandmarkTrack, str or os.PathLike, optional
            Landmarks of the faces of this recording, or their ``.npz`` file; no face is looked for then. A
            recording without pictures, or with fewer of them, is not analysable with it.

        Returns
        -------
        Prediction
            Also for a file that cannot be used: ``status`` and ``reasons`` say why. A defect of avloc becomes
            ``internal_error``, with the traceback in the log.

        Raises
        ------
        AnnotationError
            If the file of ``tracks`` cannot be used.
        CheckpointError
            As ``check_landmarks``, where no ``tracks`` are given.
        """
        landmarks = tracks if isinstance(tracks, LandmarkTrack | None) else read_landmarks(tracks)
        if landmarks is None:
            self.check_landmarks()
        started = time.perf_counter()
        opened = recording if isinstance(recording, Recording) else None
        try:
            if opened is None:
                opened = open_recording(
                    recording, id=id, limits=self._limits, input_format=self.settings.input_format
                )
            elif id is not None:
                opened = replace(opened, id=id)
            with torch.inference_mode(), intra_op_threads(self._threads):
                prediction = self._localize(opened, landmarks)
        except MediaError as error:
            prediction = self._failed(opened, recording, id, error)
        except Exception as error:  # the boundary of one recording: it becomes a row, the run goes on
            where = str(recording if opened is None else opened.path)
            logger.exception("%r: %s", where, reason_of(error).value)
            prediction = self._failed(opened, recording, id, error)
        wall_s = time.perf_counter() - started
        length_s = self._length_s(prediction.analysed.duration_s or 0.0)
        factor = wall_s / length_s if length_s > 0 else None
        return replace(prediction, timing=Timing(wall_s, factor))

    def check_landmarks(self) -> None:
        """Refuse with a CheckpointError weights that need landmarks where nothing here can find them."""
        if self._needs_landmarks:
            check_finder(self.card.name)

    @property
    def _needs_landmarks(self) -> bool:
        return LANDMARK_CROP in self._network.inputs.get("visual", ())

    def _localize(self, recording: Recording, landmarks: LandmarkTrack | None) -> Prediction:
        self._check_asked(recording)
        given = () if landmarks is None else ("faces are where the given landmarks say",)
        pairer = Pairer(WindowAnalyser(self._network, device=self.device))
        findings: dict[Key, ChannelFindings] = {}
        start_s, end_s = self.settings.start_s, self.settings.end_s
        first, last = GRID.index(start_s or 0.0), None if end_s is None else GRID.index_after(end_s)
        if landmarks is None and self._needs_landmarks and recording.video is not None:
            landmarks = find_landmarks(recording, limits=self._limits, frames=(first, last))
        # Without a branch for pictures faces are followed all the same: results tell of them.
        crops = self._network.inputs.get("visual", MOUTH)
        decoder = Decoder(
            recording, crops=crops, limits=self._limits, frames=(first, last), landmarks=landmarks
        )
        with closing(read_ahead(decoder, stop=decoder.kill)) as blocks:
            tracks = Tracks(
                recording,
                blocks,
                channels=self.settings.channels,
                first_frame=first,
                plan=WindowPlan.of(self._network),
            )
            for cut in tracks:
                for paired in pairer(cut):
                    key = Key(paired.channel, paired.lane)
                    findings.setdefault(key, self._no_findings()).add(cut.window, paired)
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
        # What changes the result is written into it, beside the caps that kept something out.
        notes = (*given, *self._unread(recording), *self._unused(recording))
        return self._told(recording, assembler, decoder, notes=notes)

    def _length_s(self, duration_s: float) -> float:
        """Length of the part of a recording that was to be analysed."""
        end_s = duration_s if self.settings.end_s is None else min(duration_s, self.settings.end_s)
        return end_s - (self.settings.start_s or 0.0)

    def _unread(self, recording: Recording) -> tuple[str, ...]:
        """Say which stream the network has no branch for."""
        there = {"audio": recording.audio, "visual": recording.video}
        named = {"audio": "sound", "visual": "picture"}
        lost = [named[k] for k, stream in there.items() if stream and k not in self._network.inputs]
        return tuple(f"these weights do not analyse the {name}" for name in lost)

    def _unused(self, recording: Recording) -> tuple[str, ...]:
        """Say what was asked of channels that are not there."""
        n_channels = recording.audio.n_channels if recording.audio else 0
        chosen = self.settings.channels
        named = [f"channel {n} ({role!r})" for n, role in self.settings.roles.items() if n >= n_channels]
        named += [f"channel {chosen}"] if isinstance(chosen, int) and chosen >= n_channels else []
        return (f"there is no {' and no '.join(named)}",) if named else ()

    def _check_asked(self, recording: Recording) -> None:
        chosen, n_channels = self.settings.channels, recording.audio.n_channels if recording.audio else 0
        if isinstance(chosen, int) and 0 < n_channels <= chosen:
            message = f"channel {chosen} was asked for, and there are {n_channels}, counted from 0"
            raise MissingStreamError(recording.path, message, reason="no_samples")
        start_s, duration_s = self.settings.start_s, recording.duration
        if start_s and duration_s is not None and start_s >= duration_s:
            ends = f"the recording ends at {duration_s:.3f} s and the part begins at {start_s:.3f} s"
            raise MissingStreamError(recording.path, f"{ends}; begin earlier", reason="no_samples")

    def _told(
        self, recording: Recording, assembler: Assembler, decoder: Decoder, *, notes: tuple[str, ...]
    ) -> Prediction:
        stopped = assembler.stop_reason()
        noted = "; ".join((*recording.notes, *decoder.notes, *notes))
        if stopped is None:
            found = assembler.outcome()
            return Prediction(
                recording, Status.ANALYSED, message=noted or None, provenance=self.provenance, **found
            )
        message = noted or assembler.nothing_said()
        return Prediction(
            recording,
            Status.NOT_ANALYSABLE,
            reasons=(stopped,),
            warnings=tuple(w for w in decoder.warnings if w != stopped),
            message=message,
            analysed=assembler.account.analysed(assembler.duration_s),
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
        error: Exception,
    ) -> Prediction:
        """Make the row of a recording that could not be analysed."""
        reason = reason_of(error)
        if opened is None:
            path = os.fsdecode(given)
            opened = Recording(path if id is None else id, path, None, _size(path), None, None, None)
        return Prediction(
            opened,
            status_of(reason),
            reasons=(reason,),
            warnings=tuple(w for w in opened.warnings if w != reason),
            message=message_of(error),
            provenance=self.provenance,
        )


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return None
