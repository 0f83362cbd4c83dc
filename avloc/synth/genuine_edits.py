"""Edits that are no forgeries, drawn for genuine and forged items alike, so that they tell nothing.

A cut or a cross-fade is made before anything is forged, the others after it. A cut lies in pauses, where an
honest editor cuts; leaving out words of running speech is the family ``word_edit``. A second speaker takes
turns in pauses too, and says whole stretches from one pause of his own to another: a conversation.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from avloc.features.audio import SAMPLE_RATE
from avloc.media.recode import can_recode
from avloc.synth.arrangement import Arrangement, cut_to
from avloc.synth.host import Host
from avloc.synth.mastering import another_coder, denoise, loudness, music_bed
from avloc.synth.matching import Sound
from avloc.synth.spans import HOP, frame_envelope
from avloc.synth.splice import EQUAL_POWER, LINEAR

EDIT_SHARE = 0.3
CUTS = ("jump_cut", "cross_fade", "second_speaker")
SOUND_ALONE = ("second_speaker",)  # whose face is not in the picture
COVER = "b_roll"
MASTERING: dict[str, Callable[[np.random.Generator, np.ndarray], tuple[np.ndarray, dict]]] = {
    "denoise": denoise,
    "music_bed": music_bed,
    "loudness": loudness,
    "recode": another_coder,
}
"""What is done to the whole sound, in this order."""
GENUINE_EDITS = (*CUTS, COVER, *MASTERING)
UNCUT = ("neural_pair", "neural_words", "word_edit", "whole_generated")
"""Families that a cut would rob of their times, or that would leave nothing of it."""
SHORTEST_LEFT_S = 1.5
PAUSE_FRAMES = 6  # of 10 ms, so much quiet around a cut
SHORTEST_TURN, LONGEST_TURN = SAMPLE_RATE // 2, 5 * SAMPLE_RATE  # what a second speaker says at a time
LONGEST_FADE = SAMPLE_RATE // 4
LONGEST_TALK = 20 * SAMPLE_RATE  # of the second speaker's recording, from which turns are taken


def draw_genuine_edits(
    rng: np.random.Generator, share: float, *, family: str, picture: bool
) -> tuple[str, ...]:
    """Draw what an honest editor does to an item whose host is drawn as that of ``family``.

    ``share`` is the probability that anything is done. At most one cut is made, none for a family of
    ``UNCUT``; ``recode`` is drawn where PyAV is installed.
    """
    if rng.random() >= share:
        return ()
    impossible = {*(SOUND_ALONE if picture else (COVER,)), *(() if can_recode() else ("recode",))}
    if family in UNCUT:
        impossible |= set(CUTS)
    names = [n for n in GENUINE_EDITS if n not in impossible]
    drawn = [str(n) for n in rng.choice(names, size=int(rng.choice([1, 1, 2, 3])), replace=False)]
    others = [n for n in drawn if n in CUTS][1:]
    return tuple(name for name in GENUINE_EDITS if name in drawn and name not in others)


def cut_host(
    rng: np.random.Generator, host: Host, names: Sequence[str], *, grid: int = 1, other_takes: bool = True
) -> tuple[Host, Arrangement | None, list[dict]]:
    """Make the jump cut, the cross-fade or the turns of a second speaker that ``names`` asks for.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    host : Host
        What is cut.
    names : sequence of str
        Genuine edits; only those of ``CUTS`` count here.
    grid : int [samples]
        Time jumps by a multiple of this: a frame, where there is a picture.
    other_takes : bool
        A cross-fade may lead into another recording of the same speaker.

    Returns
    -------
    Host, Arrangement or None, list of dict
        The new host; the pieces of ``host.samples`` that it consists of, None if the host was left as it is
        or holds another recording; what was done.
    """
    (name,) = [n for n in names if n in CUTS] or (None,)
    if name is None:
        return host, None, []
    described = {"edit": name, "host_start_s": host.start / SAMPLE_RATE}
    if name == "cross_fade" and other_takes:
        joined = _into_other_take(rng, host)
        if joined is not None:
            samples, other, joint = joined
            described |= {"into": host.pool.entries[other].id, "joints_s": [joint / SAMPLE_RATE]}
            return host.edited(samples, other), None, [described]
    if name == "second_speaker":
        talk = _with_second_speaker(rng, host)
        if talk is None:
            return host, None, []
        samples, other, joints = talk
        described |= {"into": host.pool.entries[other].id, "joints_s": [j / SAMPLE_RATE for j in joints]}
        return host.edited(samples, other), None, [described]
    longest_fade = 320 if name == "jump_cut" else int(0.5 * SAMPLE_RATE)
    fade = int(rng.integers(32 if name == "jump_cut" else longest_fade // 4, longest_fade + 1))
    arrangement = _leave_out(rng, host, fade, grid)
    if arrangement is None:
        return host, None, []
    described["joints_s"] = [joint / SAMPLE_RATE for joint in arrangement.joints]
    return host.edited(arrangement.sound(host.samples)), arrangement, [described]


def _leave_out(rng: np.random.Generator, host: Host, fade: int, grid: int) -> Arrangement | None:
    """Leave 0.2 to 3 s out, from a pause to a pause."""
    n = len(host.samples)
    pauses = _pauses(host.envelope, host.sound.threshold)
    half = fade // 2 + 1
    longest = min(3 * SAMPLE_RATE, n - int(SHORTEST_LEFT_S * SAMPLE_RATE))
    for _ in range(20):
        if len(pauses) < 2:
            break
        first, last = np.sort(rng.choice(pauses, size=2, replace=False)) * HOP + rng.integers(HOP, size=2)
        left_out = round((last - first) / grid) * grid
        first, last = int(first), int(first + left_out)
        if 0.2 * SAMPLE_RATE <= left_out <= longest and first >= half and last <= n - half:
            law = EQUAL_POWER if fade > 2000 else LINEAR
            return Arrangement(((0, first), (last, n)), ((fade, law),))
    return None


def _into_other_take(rng: np.random.Generator, host: Host) -> tuple[np.ndarray, int, int] | None:
    """Cross-fade into another recording of the speaker; the length stays."""
    members = [i for i in host.pool.by_identity.get(host.entry.identity, ()) if i not in host.made_of]
    pauses, n = _pauses(host.envelope, host.sound.threshold), len(host.samples)
    pauses = pauses[(pauses * HOP > 0.5 * SAMPLE_RATE) & (pauses * HOP < n - 0.5 * SAMPLE_RATE)]
    if not members or not len(pauses):
        return None
    other = int(rng.choice(members))
    joint = int(rng.choice(pauses)) * HOP
    fade = int(rng.uniform(0.1, 0.5) * SAMPLE_RATE)
    needed = n - joint
    room = host.pool.n_samples(other) - needed - fade
    if room < 0:
        return None
    begin = int(rng.integers(0, room + 1)) + fade // 2
    level = Sound.of(host.pool.statistics, other).level
    coming = host.pool.read(other, begin - fade // 2, begin + needed) * (host.sound.level / level)
    source = np.concatenate([host.samples[: joint + fade // 2], coming])
    place = joint + fade // 2 + fade // 2
    arrangement = Arrangement(((0, joint), (place, place + needed)), ((fade, EQUAL_POWER),))
    return arrangement.sound(source), other, joint


def _with_second_speaker(
    rng: np.random.Generator, host: Host
) -> tuple[np.ndarray, int, tuple[int, ...]] | None:
    """Let another speaker take one or two turns; the length stays, so the end of the host is cut off.

    Each turn begins and ends in pauses of both, at a level of its own, as parties of a call have.
    """
    pool, n = host.pool, len(host.samples)
    strangers = [i for i in pool.natural if pool.entries[i].one_speaker]
    strangers = [i for i in strangers if pool.entries[i].identity != host.entry.identity]
    pauses = _pauses(host.envelope, host.sound.threshold) * HOP
    pauses = pauses[(pauses > 0.5 * SAMPLE_RATE) & (pauses < n - SAMPLE_RATE)]
    if not strangers or not len(pauses):
        return None
    other = pool.draw(rng, np.array(strangers))
    first = int(rng.integers(max(1, pool.n_samples(other) - LONGEST_TALK)))
    said = pool.read(other, first, min(pool.n_samples(other), first + LONGEST_TALK))
    sound = Sound.of(pool.statistics, other)
    breaks = _pauses(frame_envelope(said), sound.threshold) * HOP
    breaks = breaks[(breaks >= LONGEST_FADE // 2) & (breaks <= len(said) - LONGEST_FADE // 2)]
    gain = host.sound.level / sound.level * 10 ** (rng.normal(0, 4.0) / 20)
    source, pieces = np.concatenate([host.samples, (said - sound.offset) * gain]), []
    begun = 0
    for place in np.sort(rng.choice(pauses, size=min(len(pauses), int(rng.integers(1, 3))), replace=False)):
        turn = _draw_turn(rng, breaks)
        if turn is not None and place - begun >= SHORTEST_TURN:
            pieces += [(begun, int(place)), (n + turn[0], n + turn[1])]
            begun = int(place)
    pieces = cut_to([*pieces, (begun, n)], n)
    if len(pieces) < 2:
        return None
    # A fade is no longer than the pieces that it joins.
    longest = min(last - first for first, last in pieces) // 2
    fades = tuple(
        (int(rng.integers(160, max(161, min(LONGEST_FADE, longest)))), EQUAL_POWER) for _ in pieces[1:]
    )
    talk = Arrangement(pieces, fades)
    return talk.sound(source), int(other), talk.joints


def _draw_turn(rng: np.random.Generator, breaks: np.ndarray) -> tuple[int, int] | None:
    """Choose what is said in one turn, from one of ``breaks`` [samples] to another."""
    for _ in range(12):
        if len(breaks) < 2:
            return None
        first, last = np.sort(rng.choice(breaks, size=2, replace=False))
        if SHORTEST_TURN <= last - first <= LONGEST_TURN:
            return int(first), int(last)
    return None


def _pauses(envelope: np.ndarray, threshold: float) -> np.ndarray:
    """Frames of 10 ms in the middle of quiet stretches; without any, the quietest tenth."""
    loud = envelope > threshold
    near = np.convolve(loud.astype(int), np.ones(PAUSE_FRAMES, dtype=int), mode="same") > 0
    found = np.flatnonzero(~near)
    return found if len(found) >= 8 else np.flatnonzero(envelope <= np.percentile(envelope, 10))


def master(
    rng: np.random.Generator, samples: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, list[dict]]:
    """Do to the whole sound (n,) what ``names`` asks for; nothing moves in time."""
    done = []
    for name in (n for n in MASTERING if n in names):
        samples, parameters = MASTERING[name](rng, samples)
        done.append({"edit": name, **parameters})
    return samples, done


def draw_cover_span(
    rng: np.random.Generator, n_frames: int, spared: Sequence[tuple[int, int]]
) -> tuple[int, int] | None:
    """Choose frames that B-roll covers: 0.6 to 3 s, at most half, none of ``spared``.

    What only the picture betrays is spared: nothing would be left of it to find.
    """
    for _ in range(12):
        length = int(rng.integers(15, 76))
        if length > n_frames // 2:
            continue
        first = int(rng.integers(0, n_frames - length + 1))
        if all(first + length <= start or first >= end for start, end in spared):
            return first, first + length
    return None


def named(done: Sequence[Mapping]) -> list[str]:
    """Names of the edits that were made."""
    return [str(edit["edit"]) for edit in done]
