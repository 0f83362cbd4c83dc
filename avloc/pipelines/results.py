"""What was found in one channel, or in the mix: from merged windows to segments and curves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple, Protocol

import numpy as np
import torch

from avloc.calibration.abstain import NARROWBAND_HZ
from avloc.calibration.domain import Domain
from avloc.decoding.proposals import Proposals, modality_of
from avloc.decoding.select import Selection, rank, suppress
from avloc.features.audio import RATE
from avloc.pipelines.listening import MOST, explained_frames, explained_share
from avloc.pipelines.measures import GRID
from avloc.pipelines.pairing import Paired
from avloc.pipelines.tracks import Tracks
from avloc.pipelines.windows import Merger, Window, frame_evidence
from avloc.structures import Curve, Detection, FrameTable, Modality, Segment

CURVES = ("score_audio", "score_visual", "discrepancy", "boundary")


class Thresholds(Protocol):
    """What is needed of the card of a weights file: thresholds by path, and the domain of the training."""

    thresholds: Mapping[str, float]
    domain: Mapping | None

    def is_calibrated(self, path: str) -> bool:
        """Whether the threshold of a path was measured on data of that path."""


class Key(NamedTuple):
    """What findings belong to: a channel, None for the mix, and a lane, from 1 on of pictures beside it."""

    channel: int | None
    lane: int

    @property
    def order(self) -> tuple[int, int]:
        """Sort key: the mix first."""
        return channel_order(self.channel), self.lane


@dataclass(slots=True)
class ChannelFindings:
    """What the windows said of one channel, or of the mix, or of a picture beside it."""

    merger: Merger
    score: float = 0.0
    lag_weights: list[np.ndarray] = field(default_factory=list)
    sounds: list[tuple[int, np.ndarray]] = field(default_factory=list)  # frames, and their mean embedding

    def add(self, window: Window, paired: Paired) -> None:
        """Add what was found in a window."""
        found = paired.findings
        face = np.where(np.isnan(found.curves["score_visual"]), np.nan, paired.face)
        curves = found.curves | {"face": face, "off_screen": paired.off_screen}
        self.merger.add(window, found.proposals, curves)
        self.score = max(self.score, found.score)
        if found.lag_weights is not None:
            self.lag_weights.append(found.lag_weights)
        if found.sound is not None:
            n_heard = int((~np.isnan(found.curves["score_audio"])).sum())
            self.sounds.append((n_heard, found.sound))

    def distance(self, domain: Domain | None) -> float:
        """How far the sound is from the domain of the weights, 1 at the limit; 0 where that is not known."""
        weights = [n_frames for n_frames, _ in self.sounds]
        if domain is None or not sum(weights):
            return 0.0
        mean = np.average([sound for _, sound in self.sounds], axis=0, weights=weights)
        return domain.distance(mean) / domain.limit


@dataclass(frozen=True, slots=True)
class ChannelResult:
    """Segments and curves of one channel, of the mix (None), or of a picture beside it (a later lane).

    ``detections`` best first, all that survived suppression; ``ranked`` the proposals before it; ``curves``
    float32 (n_frames,) by name, NaN where nothing was analysed, ``face`` with the id of the face, and
    ``off_screen`` 1 where faces show and none of them speaks. All on the recording's clock; before
    ``first_frame`` there is nothing.
    """

    channel: int | None
    lane: int
    first_frame: int
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

    def listed(self, min_score: float | None) -> tuple[Detection, ...]:
        """Give the detections from ``min_score`` on, by default from the threshold on, best first."""
        least = self.threshold if min_score is None else min_score
        return tuple(detection for detection in self.detections if detection.score >= least)

    def written_curves(self, *, has_audio: bool, has_video: bool) -> Iterator[Curve]:
        """Curves of the document; ``score_visual`` once a face, over the face's extent."""
        if self.lane:
            yield from _curves_by_face(self)
            return
        shown = {"score_audio": has_audio, "discrepancy": has_audio and has_video, "boundary": True}
        for name in CURVES:
            if name == "score_visual" and has_video:
                yield from _curves_by_face(self)
            elif shown.get(name, False):
                values = self.curves[name][self.first_frame :]
                yield _curve(name, values, start=self.first_frame, channel=self.channel)


def resolve(
    key: Key,
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
    key : Key
        Channel and lane.
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
    channel = key.channel
    names = (*CURVES, "face", "off_screen")
    curves = {name: findings.merger.curve(name, tracks.n_frames) for name in names}
    path = _path(channel, curves, tracks)
    evidence = frame_evidence(curves["score_audio"], curves["score_visual"])
    proposals = findings.merger.proposals(tracks.start_s, end_s)
    if not key.lane:
        proposals = _without_events(proposals, channel, tracks, end_s)
    ranked = rank(proposals, evidence, frame_rate=RATE, selection=selection)
    chosen = suppress(ranked, selection=selection, n_windows=findings.merger.n_windows)
    rows = zip(chosen.segments.tolist(), chosen.scores.tolist(), chosen.modality.tolist(), strict=True)
    return ChannelResult(
        channel=channel,
        lane=key.lane,
        first_frame=tracks.first_frame,
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


def _without_events(proposals: Proposals, channel: int | None, tracks: Tracks, end_s: float) -> Proposals:
    """Leave out proposals of sound that events explain for the most part: a beep is no forgery."""
    events = tracks.events(channel, end_s)
    explained = explained_frames(events, tracks.speech(channel, end_s), tracks.n_frames)
    if not explained.any() or not len(proposals):
        return proposals
    share = torch.from_numpy(explained_share(proposals.segments.numpy(), explained))
    of_sound = proposals.modality[:, 0] >= proposals.modality[:, 1]
    return proposals[~(of_sound & (share > MOST))]


def frame_table(
    results: Sequence[ChannelResult], min_score: float | None, source_frames: Sequence[np.ndarray]
) -> FrameTable:
    """Put the scores of every frame side by side, channel after channel.

    Parameters
    ----------
    results : sequence of ChannelResult
        What was found in each channel; of a picture beside one the frames with a face count.
    min_score : float, optional
        As of ``ChannelResult.listed``.
    source_frames : sequence of int64 (n,)
        Source frame of each frame of the grid, from the first analysed on; none without a picture.
    """
    shown = np.concatenate([np.zeros(0, np.int64), *source_frames])
    parts = [_frame_columns(result, min_score, shown) for result in results]
    if not parts:
        return FrameTable(**{field.name: np.zeros(0) for field in fields(FrameTable)})
    return FrameTable(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _frame_columns(
    result: ChannelResult, min_score: float | None, source_frames: np.ndarray
) -> dict[str, np.ndarray]:
    audio, visual = result.curves["score_audio"], result.curves["score_visual"]
    face = np.nan_to_num(result.curves["face"], nan=-1.0).astype(np.int64)
    n_frames, first = len(audio), result.first_frame
    source = np.full(n_frames, -1, np.int64)
    source[first : first + len(source_frames)] = source_frames[: n_frames - first]
    time_s = np.array([GRID.time(index) for index in range(n_frames)])
    centre_s = time_s + 0.5 / float(RATE)
    listed = [detection.segment for detection in result.listed(min_score)]
    inside = [(segment.start <= centre_s) & (centre_s < segment.end) for segment in listed]
    columns = {
        "time_s": time_s,
        "source_frame": source,
        "channel": np.full(n_frames, channel_order(result.channel)),
        "face": face,
        "score_audio": audio,
        "score_visual": visual,
        "score": np.fmax(audio, visual),
        "in_segment": np.logical_or.reduce([np.zeros(n_frames, bool), *inside]),
    }
    rows = face >= 0 if result.lane else slice(first, None)
    return {name: values[rows] for name, values in columns.items()}


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
    known, counts = np.unique(faces, return_counts=True)  # ids may be large
    face = int(known[np.argmax(counts)]) if len(known) else None
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
        first = result.first_frame
        yield _curve("score_visual", values[first:], start=first, channel=result.channel)


def _curve(
    name: str, values: np.ndarray, *, start: int = 0, channel: int | None = None, face: int | None = None
) -> Curve:
    told = tuple(None if np.isnan(value) else float(value) for value in values)
    return Curve(name, GRID.time(start), RATE, told, channel=channel, face=face)
