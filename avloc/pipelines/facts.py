"""How much of a recording there is, how much of it was analysed, and what disturbs it."""

from collections.abc import Iterable, Sequence

import numpy as np

from avloc.calibration.abstain import Facts
from avloc.pipelines.measures import GRID
from avloc.pipelines.results import ChannelResult, runs
from avloc.pipelines.tracks import Tracks
from avloc.structures import Analysed, Reason, Recording, Segment, Timeline

DAMAGE = {Reason.TRUNCATED, Reason.DECODE_ERRORS, Reason.LIMIT_REACHED}


class Account:
    """Sums up a recording: seconds of each stream, coverages, and the facts that abstention rests on.

    Parameters
    ----------
    recording : Recording
        What was opened.
    tracks : Tracks
        Iterated to the end.
    results : sequence of ChannelResult
        What was analysed.
    end_s : float [s]
        End of what was decoded.
    noticed : iterable of Reason
        Warnings of opening and decoding.
    is_part : bool
        Only a part was decoded. Of that, as of a damaged stream, what the headers promise counts as there.
    out_of_domain : bool
        The sound of a channel is too far from what the network was trained on.
    """

    def __init__(
        self,
        recording: Recording,
        tracks: Tracks,
        results: Sequence[ChannelResult],
        *,
        end_s: float,
        noticed: Iterable[Reason],
        is_part: bool,
        out_of_domain: bool,
    ) -> None:
        self._recording, self._tracks, self._results = recording, tracks, results
        self._end_s, self._is_incomplete = end_s, is_part or bool(DAMAGE & set(noticed))
        self._out_of_domain = out_of_domain
        self.facts = self._gather()

    def analysed(self, duration_s: float) -> Analysed:
        """Say it in the words of the result."""
        tracks, facts = self._tracks, self.facts
        return Analysed(
            duration_s=duration_s,
            audio_s=self._heard_s() if tracks.has_audio else None,
            speech_s=facts.speech_s if tracks.has_audio else None,
            video_s=self._video_s() if tracks.has_video else None,
            face_s=facts.face_s if tracks.has_video else None,
            coverage_audio=facts.coverage_audio,
            coverage_visual=facts.coverage_visual,
        )

    @property
    def compared_speech_s(self) -> float:
        """Seconds of speech that were compared with a face."""
        compared = []
        for result in self._results:
            speech = self._tracks.speech(result.channel, self._end_s)
            for span in runs(~np.isnan(result.curves["discrepancy"]), self._end_s):
                compared += speech.crop(span).segments
        return _union_s(compared)

    def off_screen(self, result: ChannelResult) -> list[Segment]:
        """Speech of a channel while faces show and none of them is the one who speaks."""
        shown = runs(result.curves["off_screen"] == 1.0, self._end_s)
        speech = self._tracks.speech(result.channel, self._end_s)
        return [segment for span in shown for segment in speech.crop(span).segments]

    def _gather(self) -> Facts:
        tracks, results = self._tracks, self._results
        spoken = [result for result in results if not result.lane]
        faces = tracks.faces
        measured = [tracks.mix if r.channel is None else tracks.channels[r.channel] for r in spoken]
        seen = [~np.isnan(r.curves["score_visual"]) for r in results]  # of one picture, whatever the channel
        n_seen = int(np.logical_or.reduce(seen).sum()) if seen else 0
        audio_analysed = any(not np.isnan(r.curves["score_audio"]).all() for r in results)
        speech = [s for r in spoken for s in tracks.speech(r.channel, self._end_s).segments]
        return Facts(
            has_audio=tracks.has_audio,
            has_video=tracks.has_video,
            audio_analysed=audio_analysed,
            speech_s=_union_s(speech),
            # With several channels the disturbed speech is weighed against the speech of all.
            low_snr_speech_s=_share(
                sum(m.low_snr_speech_s for m in measured), sum(m.speech_s for m in measured), _union_s(speech)
            ),
            music_s=_union_s(self._music_in_speech(spoken)),
            cross_talk_s=tracks.cross_talk_s(self._end_s),
            bandwidth_hz=max((m.bandwidth_hz or 0.0 for m in measured), default=None),
            coverage_audio=self._coverage_audio(audio_analysed),
            coverage_visual=_ratio(GRID.time(n_seen), self._video_s()) if tracks.has_video else None,
            face_s=GRID.time(faces.usable_frames),
            small_face_s=GRID.time(faces.small_frames),
            static_face_s=GRID.time(faces.static_frames),
            sync_unknown=self._is_sync_unknown(audio_analysed),
            several_faces_s=GRID.time(faces.several_frames),
            out_of_domain=self._out_of_domain,
            off_screen_s=_union_s([segment for r in spoken for segment in self.off_screen(r)]),
        )

    def _is_sync_unknown(self, audio_analysed: bool) -> bool:
        """Whether there is a sound and a face that were not compared."""
        audible = set(self._tracks.relations.relations()) - {"silent"}
        return bool(audible and self._tracks.faces.usable_frames and not audio_analysed)

    def _music_in_speech(self, spoken: Sequence[ChannelResult]) -> list[Segment]:
        tracks, end_s = self._tracks, self._end_s
        return [
            segment
            for result in spoken
            for event in tracks.events(result.channel, end_s)
            if event.code == "music"
            for segment in tracks.speech(result.channel, end_s).crop(event.span).segments
        ]

    def _coverage_audio(self, audio_analysed: bool) -> float | None:
        if not self._tracks.has_audio:
            return None
        if not audio_analysed:
            return 0.0
        return _ratio(min(GRID.time(self._tracks.mix.analysed_frames), self._end_s), self._heard_s())

    def _heard_s(self) -> float:
        """Sound that is there: what was decoded, or what the headers promise of a damaged stream."""
        heard_s = min(GRID.time(self._tracks.mix.heard_frames), self._end_s)
        return max(
            heard_s, self._promised_s(self._recording.audio.duration) if self._recording.audio else 0.0
        )

    def _video_s(self) -> float:
        video = self._recording.video
        shown_s = min(GRID.time(self._tracks.n_video_frames), self._end_s)
        return max(shown_s, self._promised_s(video.duration)) if video else 0.0

    def _promised_s(self, duration_s: float | None) -> float:
        return duration_s if self._is_incomplete and duration_s is not None else 0.0


def _union_s(segments: list[Segment]) -> float:
    return Timeline(tuple(segments)).duration


def _share(part: float, whole: float, total: float) -> float:
    return total * part / whole if whole > 0 else 0.0


def _ratio(part_s: float, whole_s: float) -> float:
    return min(1.0, part_s / whole_s) if whole_s > 0 else 0.0
