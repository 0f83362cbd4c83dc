"""What was found in one channel, or in the mix: from merged windows to segments and curves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol

import numpy as np

from avloc.calibration.abstain import NARROWBAND_HZ
from avloc.decoding.proposals import Proposals, modality_of
from avloc.decoding.select import Selection, rank, suppress
from avloc.features.audio import RATE
from avloc.pipelines.measures import GRID
from avloc.pipelines.tracks import Tracks
from avloc.pipelines.windows import Merger, frame_evidence
from avloc.structures import Curve, Detection, FrameTable, Modality, Segment

CURVES = ("score_audio", "score_visual", "discrepancy", "boundary")


class Thresholds(Protocol):
    """What is needed of the card of a weights file."""

    thresholds: Mapping[str, float]

    def is_calibrated(self, path: str) -> bool:
        """Whether the threshold of a path was measured on data of that path."""


@dataclass(slots=True)
class ChannelFindings:
    """What the windows said of one channel, or of the mix."""

    merger: Merger
    score: float = 0.0
    lag_weights: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ChannelResult:
    """Segments and curves of one channel, or of the mix (None), on the recording's clock.

    ``detections`` best first, all that survived suppression; ``ranked`` the proposals before it; ``curves``
    float32 (n_frames,) by name, NaN where nothing was analysed, and ``face`` with the id of the face.
    """

    channel: int | None
    path: str
    threshold: float
    score: float
    detections: tuple[Detection, ...]
    ranked: Proposals
    curves: dict[str, np.ndarray]

    @property
    def scored(self) -> np.ndarray:
        """Frames where the sound or the picture was analysed, bool (n_frames,)."""
        return ~(np.isnan(self.curves["score_audio"]) & np.isnan(self.curves["score_visual"]))

    def written_curves(self, *, has_audio: bool, has_video: bool) -> Iterator[Curve]:
        """Curves of the document; ``score_visual`` once a face, over the face's extent."""
        shown = {"score_audio": has_audio, "discrepancy": has_audio and has_video, "boundary": True}
        for name in CURVES:
            if name == "score_visual" and has_video:
                yield from _curves_by_face(self)
            elif shown.get(name, False):
                yield _curve(name, self.curves[name], channel=self.channel)


def resolve(
    channel: int | None,
    findings: ChannelFindings,
    tracks: Tracks,
    *,
    end_s: float,
    card: Thresholds,
    threshold: float | None,
    selection: Selection,
) -> ChannelResult:
    """Rescore and suppress what the windows of a channel proposed, once over the recording.

    Parameters
    ----------
    channel : int, optional
        None for the mix.
    findings : ChannelFindings
        Merged windows.
    tracks : Tracks
        Iterated to the end.
    end_s : float [s]
        End of the media; no segment reaches beyond.
    card : Thresholds
        Operating thresholds by path.
    threshold : float, optional
        Overrides the card's.
    selection : Selection
        How segments are chosen.
    """
    curves = {name: findings.merger.curve(name, tracks.n_frames) for name in (*CURVES, "face")}
    path = _path(channel, curves, tracks)
    evidence = frame_evidence(curves["score_audio"], curves["score_visual"])
    ranked = rank(findings.merger.proposals(end_s), evidence, frame_rate=RATE, selection=selection)
    chosen = suppress(ranked, selection=selection)
    rows = zip(chosen.segments.tolist(), chosen.scores.tolist(), chosen.modality.tolist(), strict=True)
    return ChannelResult(
        channel=channel,
        path=path,
        threshold=card.thresholds[path] if threshold is None else threshold,
        score=findings.score,
        detections=tuple(
            _detection(Segment(*segment), min(1.0, score), modality, channel, curves)
            for segment, score, modality in rows
        ),
        ranked=ranked,
        curves=curves,
    )


def frame_table(
    results: Sequence[ChannelResult], listed: Iterable[Detection], source_frames: Sequence[np.ndarray]
) -> FrameTable:
    """Put the scores of every frame side by side, channel after channel.

    Parameters
    ----------
    results : sequence of ChannelResult
        What was found in each channel.
    listed : iterable of Detection
        Segments that count.
    source_frames : sequence of int64 (n,)
        Source frame of each frame of the grid, from the first on; none without a picture.
    """
    parts: list[dict[str, np.ndarray]] = []
    shown = np.concatenate([np.zeros(0, np.int64), *source_frames])
    for result in results:
        audio, visual = result.curves["score_audio"], result.curves["score_visual"]
        n_frames = len(audio)
        source = np.full(n_frames, -1, np.int64)
        source[: len(shown)] = shown[:n_frames]
        time_s = np.array([GRID.time(index) for index in range(n_frames)])
        centre_s = time_s + 0.5 / float(RATE)
        own = [d.segment for d in listed if d.channel == result.channel]
        inside = [(segment.start <= centre_s) & (centre_s < segment.end) for segment in own]
        parts.append(
            {
                "time_s": time_s,
                "source_frame": source,
                "channel": np.full(n_frames, channel_order(result.channel)),
                "face": np.nan_to_num(result.curves["face"], nan=-1.0).astype(np.int64),
                "score_audio": audio,
                "score_visual": visual,
                "score": np.fmax(audio, visual),
                "in_segment": np.logical_or.reduce([np.zeros(n_frames, bool), *inside]),
            }
        )
    if not parts:
        nothing = np.zeros(0)
        return FrameTable(**{field.name: nothing for field in fields(FrameTable)})
    return FrameTable(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def runs(present: np.ndarray, end_s: float) -> list[Segment]:
    """Stretches of true frames of a bool array (n_frames,), cut at ``end_s``."""
    steps = np.diff(np.concatenate(([0], present.astype(np.int8), [0])))
    pairs = zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)
    cut = ((GRID.time(int(a)), min(GRID.time(int(b)), end_s)) for a, b in pairs)
    return [Segment(a, b) for a, b in cut if a < b]


def channel_order(channel: int | None) -> int:
    """Sort key of channels: the mix first."""
    return -1 if channel is None else channel


def _path(channel: int | None, curves: Mapping[str, np.ndarray], tracks: Tracks) -> str:
    """Operating path: by the streams that the network saw, and by the bandwidth of the sound."""
    heard, seen = (not np.isnan(curves[name]).all() for name in ("score_audio", "score_visual"))
    if seen:
        return "audio_visual" if heard else "video_only"
    measures = tracks.mix if channel is None else tracks.channels[channel]
    narrow = (measures.bandwidth_hz or NARROWBAND_HZ) < NARROWBAND_HZ
    return "audio_telephone" if narrow else "audio_wide"


def _detection(
    segment: Segment,
    score: float,
    modality: list[float],
    channel: int | None,
    curves: Mapping[str, np.ndarray],
) -> Detection:
    """Name the modality by what was analysed in the segment, and the face that is there most."""
    frames = slice(max(0, GRID.index(segment.start)), GRID.index(segment.end) + 1)
    heard, seen = (not np.isnan(curves[name][frames]).all() for name in ("score_audio", "score_visual"))
    kind = modality_of(*modality) if heard and seen else Modality.VISUAL if seen else Modality.AUDIO
    faces = curves["face"][frames]
    faces = faces[~np.isnan(faces)].astype(np.int64)
    face = int(np.bincount(faces).argmax()) if len(faces) else None
    return Detection(segment, score, kind, channel=channel, face=face)


def _curves_by_face(result: ChannelResult) -> Iterator[Curve]:
    """One curve a face, over its own extent; one without a face where none was analysed."""
    values, face = result.curves["score_visual"], result.curves["face"]
    identities = np.unique(face[~np.isnan(face)])
    for identity in identities:
        rows = np.flatnonzero(face == identity)
        extent = slice(int(rows[0]), int(rows[-1]) + 1)
        own = np.where(face[extent] == identity, values[extent], np.nan)
        where = {"channel": result.channel, "face": int(identity)}
        yield _curve("score_visual", own, start=extent.start, **where)
    if len(identities) == 0:
        yield _curve("score_visual", values, channel=result.channel)


def _curve(
    name: str, values: np.ndarray, *, start: int = 0, channel: int | None = None, face: int | None = None
) -> Curve:
    told = tuple(None if np.isnan(value) else float(value) for value in values)
    return Curve(name, GRID.time(start), RATE, told, channel=channel, face=face)
