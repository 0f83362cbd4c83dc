"""load_localizer(): a weights file and what a user chose, as a Localizer."""

import os
from collections.abc import Mapping
from dataclasses import replace

from avloc.decoding.published import PublishedQuirks
from avloc.decoding.select import Selection
from avloc.media.supervisor import Limits
from avloc.models.encoded import with_encoders
from avloc.models.weights.store import load_weights, read_header
from avloc.pipelines.localize import Localizer
from avloc.pipelines.measures import GRID
from avloc.pipelines.settings import Settings, check_count
from avloc.structures import RawFormat


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
    frames: bool = False,
    channels: str | int | None = None,
    roles: Mapping[int, str] | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    input_format: RawFormat | None = None,
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
    frames : bool
        Add ``Prediction.frames``, the scores of every frame as a table.
    channels : {"each", "mix"} or int, optional
        Analyse each channel by itself, their mean, or one alone; without it each, or with a picture the
        mean.
    roles : mapping of int to str, optional
        Names of channels in the result, by number; ``ch0``, ``ch1``, … without it.
    start_s, end_s : float, optional [s, >= 0]
        Ends of the only part that is analysed, widened to whole frames of 0.04 s; the coverage is that of the
        whole recording.
    input_format : RawFormat, optional
        How to read files that have no header.
    limits : Limits, optional
        Caps on a recording.

    Raises
    ------
    CheckpointError, ConfigError
        If the weights cannot be used, or are of a network whose encoders are missing.
    ValueError
        If an argument is out of range, or there is no such device.
    """
    settings = Settings(
        threshold=threshold,
        min_score=min_score,
        curves=curves,
        all_proposals=all_proposals,
        frames=frames,
        channels=channels,
        roles=roles or {},
        start_s=start_s,
        end_s=end_s,
        input_format=input_format,
    )
    check_count("max_segments", max_segments)
    network, card, sha256 = load_weights(weights)
    config, _ = read_header(weights)
    decoding = dict(config["decoding"])
    quirks = PublishedQuirks.from_mapping(decoding.pop("published", {}))
    network = with_encoders(network, card, quirks=quirks)
    if quirks.truncates:
        settings = _truncated(settings, network.window_frames)
    selection = Selection.from_mapping(decoding)
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


def _truncated(settings: Settings, window_frames: int) -> Settings:
    """End the part that is analysed one window behind its beginning."""
    end_s = GRID.time(GRID.index(settings.start_s or 0.0) + window_frames)
    return replace(settings, end_s=end_s if settings.end_s is None else min(end_s, settings.end_s))
