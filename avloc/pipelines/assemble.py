"""From what was found in a recording to a Prediction: verdict, spans, channels and coverage."""

from collections import Counter

import numpy as np

from avloc.calibration.abstain import MIN_DURATION_S, abstentions, cautions
from avloc.calibration.domain import Domain
from avloc.decoding.select import Selection
from avloc.features.audio import RATE
from avloc.pipelines.facts import Account
from avloc.pipelines.results import (
    ChannelFindings,
    Key,
    Thresholds,
    channel_order,
    frame_table,
    resolve,
    runs,
)
from avloc.pipelines.settings import Settings
from avloc.pipelines.synchrony import measure_offset
from avloc.pipelines.tracks import Tracks
from avloc.structures import (
    Channel,
    Curve,
    Detection,
    FrameTable,
    Reason,
    Recording,
    Span,
    Sync,
    Verdict,
)

CONSTANT_OFFSET_S = 0.12  # three frames; viewers notice it (ITU-R BT.1359-1: 0.125 s)


class Assembler:
    """Puts together what is said about one recording.

    Parameters
    ----------
    recording : Recording
        What was opened.
    tracks : Tracks
        Iterated to the end.
    findings : dict
        By channel and lane; empty where nothing went through the network.
    card : Thresholds
        Operating thresholds.
    selection : Selection
        How segments are chosen.
    settings : Settings
        What the user chose.
    warnings : tuple of Reason
        Noticed while opening and decoding.
    drift_ppm : float, optional
        Drift of the sound's clock.
    """

    def __init__(
        self,
        recording: Recording,
        tracks: Tracks,
        findings: dict[Key, ChannelFindings],
        *,
        card: Thresholds,
        selection: Selection,
        settings: Settings,
        warnings: tuple[Reason, ...] = (),
        drift_ppm: float | None = None,
    ) -> None:
        self._tracks, self._findings = tracks, findings
        self._card, self._settings, self._selection = card, settings, selection
        self._noticed, self._drift_ppm = warnings, drift_ppm
        self._recording = recording
        self._relations = tracks.relations.relations()
        self.end_s, self.duration_s = _lengths(recording, tracks)
        self._results = [
            resolve(
                key,
                findings[key],
                tracks,
                end_s=self.end_s,
                card=card,
                threshold=settings.threshold,
                selection=selection,
            )
            for key in sorted(findings, key=lambda key: key.order)
        ]
        domain = Domain.from_card(card.domain)
        self.account = Account(
            recording,
            tracks,
            self._results,
            end_s=self.end_s,
            noticed=warnings,
            is_part=settings.is_part,
            out_of_domain=any(found.distance(domain) > 1.0 for found in findings.values()),
        )

    def stop_reason(self) -> Reason | None:
        """Why nothing can be said at all, or None."""
        tracks = self._tracks
        if self.end_s - tracks.start_s < MIN_DURATION_S:
            if Reason.TRUNCATED in self._noticed:
                return Reason.TRUNCATED
            return Reason.TOO_SHORT if self.end_s > tracks.start_s else Reason.NO_SAMPLES
        if self._findings or tracks.has_video:
            return None
        if tracks.present_samples == 0:
            return Reason.NO_SAMPLES
        chosen = tracks.chosen_channels
        relations = self._relations[chosen : chosen + 1] if isinstance(chosen, int) else self._relations
        return Reason.SILENT if set(relations) <= {"silent"} else Reason.PARTIAL_COVERAGE

    def nothing_said(self) -> str:
        """Say in words what there was when nothing could be said."""
        start_s = self._tracks.start_s
        where = f" from {start_s:.3f} s on" if start_s else ""
        return f"nothing could be analysed in {max(0.0, self.end_s - start_s):.3f} s of media{where}"

    def outcome(self) -> dict:
        """Fields of the Prediction of an analysed recording."""
        facts = self.account.facts
        rules = abstentions(facts) or (() if self._findings else (Reason.PARTIAL_COVERAGE,))
        found = any(d.score >= r.threshold for r in self._results for d in r.detections)
        if found:
            verdict, reasons = Verdict.FORGED_SEGMENTS_FOUND, ()
        else:
            verdict, reasons = (Verdict.INCONCLUSIVE, rules) if rules else (Verdict.NONE_FOUND, ())
        thresholds = {result.threshold for result in self._results}
        sync = self._sync()
        told = (*self._path_warnings(), *self._silence_warning(), *self._sync_warning(sync))
        warnings = (*self._noticed, *told, *rules, *cautions(facts))
        return {
            "verdict": verdict,
            "reasons": reasons,
            "warnings": tuple(w for w in dict.fromkeys(warnings) if w not in reasons),
            "score": max((result.score for result in self._results), default=None),
            "threshold": thresholds.pop() if len(thresholds) == 1 else None,
            "detections": self._listed(),
            "curves": self._curves() if self._settings.curves else (),
            "spans": self._spans(),
            "channels": self._channels(),
            "faces": self._tracks.faces.faces(self.end_s),
            "sync": sync,
            "analysed": self.account.analysed(self.duration_s),
            "proposals": self._all_proposals(),
            "frames": self._frames() if self._settings.frames else None,
        }

    def _listed(self) -> tuple[Detection, ...]:
        """Keep detections from the chosen score on, best first, then by start."""
        listed = [d for result in self._results for d in result.listed(self._settings.min_score)]
        listed.sort(key=lambda d: (-d.score, d.segment.start))
        counts: Counter[int | None] = Counter()  # the faces beside a mix share its number
        kept = []
        for detection in listed:
            counts[detection.channel] += 1
            if counts[detection.channel] <= self._selection.max_segments:
                kept.append(detection)
        return tuple(kept)

    def _all_proposals(self) -> tuple[tuple[float, float, float], ...] | None:
        if self._settings.all_proposals is None:
            return None
        rows = [
            (score, *segment)
            for r in self._results
            for score, segment in zip(r.ranked.scores.tolist(), r.ranked.segments.tolist(), strict=True)
        ]
        return tuple(sorted(rows, key=lambda row: (-row[0], row[1]))[: self._settings.all_proposals])

    def _path_warnings(self) -> tuple[Reason, ...]:
        if self._settings.threshold is not None:
            return ()
        calibrated = all(self._card.is_calibrated(result.path) for result in self._results)
        return () if calibrated else (Reason.UNCALIBRATED,)

    def _silence_warning(self) -> tuple[Reason, ...]:
        return (Reason.SILENT,) if self._relations and set(self._relations) == {"silent"} else ()

    def _sync(self) -> Sync:
        offset = measure_offset(self._lag_weights(), speech_s=self.account.compared_speech_s)
        return Sync(None if offset is None else offset / float(RATE), self._drift_ppm)

    def _lag_weights(self) -> list[np.ndarray]:
        return [weights for findings in self._findings.values() for weights in findings.lag_weights]

    def _sync_warning(self, sync: Sync) -> tuple[Reason, ...]:
        if sync.offset_s is None:
            return (Reason.SYNC_UNKNOWN,) if self._lag_weights() else ()
        return (Reason.CONSTANT_OFFSET,) if abs(sync.offset_s) >= CONSTANT_OFFSET_S else ()

    def _channels(self) -> tuple[Channel, ...]:
        """One row a source channel; in a mix the distinct ones share what was found in it."""
        results = {result.channel: result for result in self._results if not result.lane}
        is_mixed, roles = self._tracks.chosen_channels == "mix", self._settings.roles
        rows = []
        for index, (measures, relation) in enumerate(
            zip(self._tracks.channels, self._relations, strict=True)
        ):
            mixed = results.get(None) if is_mixed and relation in ("distinct", "inverted") else None
            result = results.get(index) or mixed
            rows.append(
                Channel(
                    index=index,
                    role=roles.get(index, f"ch{index}"),
                    path=result and result.path,
                    relation=relation,
                    bandwidth_hz=measures.bandwidth_hz,
                    snr_db=measures.snr_db,
                    clipping=measures.clipping,
                    threshold=result and result.threshold,
                    score=result and result.score,
                    coverage=measures.coverage if result else None,
                )
            )
        return tuple(rows)

    def _spans(self) -> tuple[Span, ...]:
        spans = [Span("face", segment, face=face) for face, segment in self._tracks.face_spans(self.end_s)]
        spans += [Span("shot", segment) for segment in self._tracks.shots(self.end_s)]
        for result in self._results:
            if result.lane:
                continue
            events = self._tracks.events(result.channel, self.end_s)
            spans += [Span("event", event.span, code=event.code, channel=result.channel) for event in events]
            found = {
                "speech": self._tracks.speech(result.channel, self.end_s).segments,
                "analysed": runs(self._scored(result.channel), self.end_s),
                "off_screen_speech": self.account.off_screen(result),
            }
            for kind, segments in found.items():
                spans += [Span(kind, segment, channel=result.channel) for segment in segments]
        return tuple(sorted(spans, key=lambda s: (s.segment, s.kind, channel_order(s.channel))))

    def _scored(self, channel: int | None) -> np.ndarray:
        """Frames in which a channel, or a face beside it, was analysed."""
        return np.logical_or.reduce([r.scored for r in self._results if r.channel == channel])

    def _frames(self) -> FrameTable:
        return frame_table(self._results, self._settings.min_score, self._tracks.source_frames)

    def _curves(self) -> tuple[Curve, ...]:
        tracks = self._tracks
        return tuple(
            curve
            for result in self._results
            for curve in result.written_curves(has_audio=tracks.has_audio, has_video=tracks.has_video)
        )


def _lengths(recording: Recording, tracks: Tracks) -> tuple[float, float]:
    """Where the decoded media end, and how long the recording is, in seconds.

    The grid rounds the end of a video up to a whole frame: what the headers say is then the truth.
    """
    end_s, told_s = tracks.end_s, recording.duration
    if told_s is not None and 0.0 <= end_s - told_s < 1.0 / float(RATE):
        end_s = told_s
    return end_s, max(end_s, told_s or 0.0)
