"""When "nothing found" means nothing: the rules by which a recording without detections is inconclusive.

The constants are first values from the literature on speech quality and face size; measurement may move them.
"""

from dataclasses import dataclass

from avloc.structures import Reason

MIN_DURATION_S = 0.5  # shorter recordings are not analysed at all
MIN_SPEECH_S = 0.5
LOW_SNR_DB = 5.0
MAJORITY = 0.5  # share of the speech or of the face time from which a disturbance counts
MIN_BANDWIDTH_HZ = 3000.0
NARROWBAND_HZ = 4200.0  # below it the recording went through a telephone: another threshold, and a warning
MIN_COVERAGE = 0.5
MIN_FACE_S = 1.0  # a shorter face track gets no visual score
MIN_FACE_AREA = 0.03  # nor does a face that fills less of the frame
MIN_TOLD_S = 1.0  # of several faces, or of off-screen speech, before a warning says so
STATIC_FACE = 0.3  # mean change of the mouth crop between frames, in gray values of 255


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured of one recording; None or 0 where it does not apply.

    Parameters
    ----------
    has_audio, has_video : bool
        Streams that are present.
    audio_analysed : bool
        Any sound went through the network.
    speech_s, low_snr_speech_s, music_s, cross_talk_s : float [s]
        Speech, and how much of it is disturbed in each way.
    bandwidth_hz : float, optional [Hz]
        Of the best analysed channel.
    coverage_audio, coverage_visual : float, optional [0, 1]
        Analysed share of each present stream.
    face_s, small_face_s, static_face_s, several_faces_s : float [s]
        Time with a usable face, with one that is too small, with one that does not move, with two or more.
    off_screen_s : float [s]
        Speech while faces show and none of them is the one who speaks.
    out_of_domain, sync_unknown : bool
        Findings of their own detectors.
    """

    has_audio: bool
    has_video: bool
    audio_analysed: bool
    speech_s: float = 0.0
    low_snr_speech_s: float = 0.0
    music_s: float = 0.0
    cross_talk_s: float = 0.0
    bandwidth_hz: float | None = None
    coverage_audio: float | None = None
    coverage_visual: float | None = None
    face_s: float = 0.0
    small_face_s: float = 0.0
    static_face_s: float = 0.0
    several_faces_s: float = 0.0
    off_screen_s: float = 0.0
    out_of_domain: bool = False
    sync_unknown: bool = False


def abstentions(facts: Facts) -> tuple[Reason, ...]:
    """Rules that hold: with no detection they make the verdict inconclusive, otherwise they warn.

    Returns
    -------
    tuple of Reason
        In the order of the closed list of reasons; empty where a negative answer can be trusted.
    """
    coverages = [c for c in (facts.coverage_audio, facts.coverage_visual) if c is not None]
    usable_face = facts.face_s >= MIN_FACE_S
    speech_s = facts.speech_s
    # Four rules hold only here; speech is off-screen only where it was heard.
    silent_film = facts.has_video and not facts.audio_analysed
    rules = {
        Reason.NO_SPEECH: facts.has_audio and speech_s < MIN_SPEECH_S and not usable_face,
        Reason.NO_FACE: silent_film and facts.face_s == 0.0 and facts.small_face_s == 0.0,
        Reason.FACE_TOO_SMALL: silent_film and facts.small_face_s > facts.face_s,
        Reason.FACE_STATIC: silent_film and usable_face and facts.static_face_s > MAJORITY * facts.face_s,
        Reason.LOW_SNR: _most(facts.low_snr_speech_s, speech_s),
        Reason.MUSIC: _most(facts.music_s, speech_s),
        Reason.CROSS_TALK: _most(facts.cross_talk_s, speech_s),
        Reason.HEAVY_COMPRESSION: facts.audio_analysed and 0 < (facts.bandwidth_hz or 0) < MIN_BANDWIDTH_HZ,
        Reason.SYNC_UNKNOWN: silent_film and facts.sync_unknown,
        Reason.OUT_OF_DOMAIN: facts.out_of_domain,
        Reason.PARTIAL_COVERAGE: bool(coverages) and max(coverages) < MIN_COVERAGE,
    }
    return tuple(reason for reason, holds in rules.items() if holds)


def cautions(facts: Facts) -> tuple[Reason, ...]:
    """Give what only warns: quality and coverage that a reader must know beside any verdict."""
    coverages = [c for c in (facts.coverage_audio, facts.coverage_visual) if c is not None]
    rules = {
        Reason.NO_SPEECH: facts.has_audio and facts.speech_s < MIN_SPEECH_S,
        Reason.NO_FACE: facts.has_video and facts.face_s == 0.0 and facts.small_face_s == 0.0,
        Reason.FACE_TOO_SMALL: facts.has_video and facts.small_face_s > facts.face_s,
        Reason.SEVERAL_FACES: facts.several_faces_s >= MIN_TOLD_S,
        Reason.OFF_SCREEN_SPEECH: facts.off_screen_s >= MIN_TOLD_S,
        Reason.FACE_STATIC: facts.face_s > 0 and facts.static_face_s > MAJORITY * facts.face_s,
        Reason.NARROWBAND: facts.audio_analysed and 0 < (facts.bandwidth_hz or 0) < NARROWBAND_HZ,
        Reason.PARTIAL_COVERAGE: bool(coverages) and min(coverages) < MIN_COVERAGE,
    }
    return tuple(reason for reason, holds in rules.items() if holds)


def _most(part_s: float, whole_s: float) -> bool:
    return whole_s > 0 and part_s > MAJORITY * whole_s
