"""Items with a talking face: the sound or the mouth of a span forged, or words of both moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from avloc.datasets.speech_pool import SpeechPool
from avloc.datasets.talking_faces import SAMPLES_PER_FRAME, FaceClip, TalkingFaces
from avloc.errors import AnnotationError
from avloc.features.audio import RATE as GRID_RATE
from avloc.features.audio import SAMPLE_RATE
from avloc.structures import Timeline
from avloc.synth.compose import (
    GENUINE,
    GENUINE_SHARE,
    WORD_EDIT,
    describe_own,
    draw_family,
    finish_item,
    lacking,
)
from avloc.synth.edits import Forged, apply_edits, draw_edits
from avloc.synth.families import SOUND_FAMILIES
from avloc.synth.genuine_edits import COVER, EDIT_SHARE, cut_host, draw_cover_span, draw_genuine_edits
from avloc.synth.host import Host, Implementation, draw_implementation
from avloc.synth.item import Item
from avloc.synth.matching import Sound
from avloc.synth.mouth_families import MOUTH_FAMILIES, SHORTEST_FRAMES, Face, MouthChange
from avloc.synth.picture import Picture, show_crops
from avloc.synth.spans import EDGE, choose_span, draw_length
from avloc.synth.words import RESERVE_S, edit_words

RATE = float(GRID_RATE)
RESERVE_FRAMES = round(RESERVE_S * RATE)
PICTURE_MIXTURE: dict[str, float] = {
    "lag_shift": 1.0,
    "replace_audio": 1.0,
    "mouth_blend": 1.0,
    "mouth_freeze": 0.5,
    "mouth_reverse": 0.5,
    "mouth_self_blend": 0.5,
    "self_blend": 0.5,
    "word_edit": 0.5,
    "vocoder_griffin_lim": 0.25,
    "vocoder_source_filter": 0.25,
}


PICTURE_FAMILIES = (*MOUTH_FAMILIES, *SOUND_FAMILIES, WORD_EDIT)
ONLY_SEEN = (*MOUTH_FAMILIES, "lag_shift")  # nothing is left to find where the face is covered


@dataclass(frozen=True, slots=True)
class Shot:
    """What an item is made of: the host of its sound, a clip, and the frames that belong to the sound."""

    host: Host
    clip: FaceClip
    picture: Picture
    cuts: Sequence[Mapping]


def draw_picture_item(
    rng: np.random.Generator,
    faces: TalkingFaces,
    pool: SpeechPool,
    *,
    mixture: Mapping[str, float] | None = None,
    genuine_share: float = GENUINE_SHARE,
    edit_share: float = EDIT_SHARE,
    duration_s: float = 25.6,
) -> Item:
    """Draw one item of a mixture of families and genuine clips.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    faces : TalkingFaces
        Clips of one use.
    pool : SpeechPool
        Speech of the same use, for sound that is put in.
    mixture : mapping of family to weight or None
        None for ``PICTURE_MIXTURE``. What :func:`lacking` names is left out.
    genuine_share : float [0, 1]
        Probability of a clip in which nothing is forged.
    edit_share : float [0, 1]
        Probability of genuine edits, forged item or not.
    duration_s : float [s]
        Longest item.
    """
    family = draw_family(rng, PICTURE_MIXTURE if mixture is None else mixture, without=lacking(pool, faces))
    genuine = bool(rng.random() < genuine_share)
    return compose_picture(
        rng,
        faces,
        pool,
        family=GENUINE if genuine else family,
        duration_s=duration_s,
        host_like=family,
        genuine_edits=draw_genuine_edits(rng, edit_share, family=family, picture=True),
    )


def compose_picture(
    rng: np.random.Generator,
    faces: TalkingFaces,
    pool: SpeechPool,
    *,
    family: str,
    duration_s: float = 25.6,
    host_like: str | None = None,
    genuine_edits: Sequence[str] = (),
    implementations: Mapping[str, tuple[Implementation, ...]] = SOUND_FAMILIES,
) -> Item:
    """Make one item of ``family`` from a random clip of ``faces``.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    faces, pool : TalkingFaces, SpeechPool
        Genuine material of one use.
    family : str
        One of ``MOUTH_FAMILIES`` (truth in ``visual``), of ``SOUND_FAMILIES`` (in ``audio``), ``"word_edit"``
        (in both), ``"genuine"``.
    duration_s : float [s]
        Longest item.
    host_like : str or None
        Family that could have forged the clip of a genuine item.
    genuine_edits : sequence of str
        What an honest editor did, of ``GENUINE_EDITS``; left out where no place for it is found.
    implementations : mapping of family to tuple of Implementation
        What makes the material of a forged sound.

    Returns
    -------
    Item
        Sound, crops and presence begin together, at frame ``first_frame`` of clip ``clip`` (attributes).

    Raises
    ------
    ValueError
        If the family is unknown.
    AnnotationError
        If no clip can serve it.
    """
    if family not in (*PICTURE_FAMILIES, GENUINE):
        raise ValueError(f"family must be one of {sorted((*PICTURE_FAMILIES, GENUINE))}, got {family!r}")
    like = host_like or family
    if like in lacking(pool, faces):
        raise AnnotationError(f"the family {like!r} needs {lacking(pool, faces)[like]}")
    for _ in range(200):
        index = faces.draw(rng)
        if like == WORD_EDIT and not faces.entries[index].words:
            continue
        shot = _shoot(rng, faces, index, pool, like, duration_s, genuine_edits)
        forged = _forge(rng, faces, shot, like, implementations)
        if forged is not None:
            # What could not be forged makes no genuine item either: it has less speech than others.
            forged = _forge(rng, faces, shot, GENUINE, {}) if family == GENUINE else forged
            return _finish(rng, faces, shot, *forged, family, genuine_edits)
    raise AnnotationError(f"no item of family {family!r} can be made from {len(faces)} talking faces")


def _shoot(
    rng: np.random.Generator,
    faces: TalkingFaces,
    index: int,
    pool: SpeechPool,
    family: str,
    duration_s: float,
    genuine_edits: Sequence[str],
) -> Shot:
    clip = faces[index]
    first, last = _cut(rng, clip.n_frames - (RESERVE_FRAMES if family == WORD_EDIT else 0), duration_s)
    start, end = first * SAMPLES_PER_FRAME, last * SAMPLES_PER_FRAME
    sound = Sound.of(faces.statistics, index)
    host = Host.of_clip(pool, clip.entry, clip.samples, start, end, sound)
    picture = Picture(index, np.arange(first, last))
    host, cut, done = cut_host(rng, host, genuine_edits, grid=SAMPLES_PER_FRAME, other_takes=False)
    if cut is not None:
        beneath, weight = cut.dissolves()
        beneath = np.clip(beneath, 0, len(picture.frames) - 1)
        shown = picture.frames
        picture = Picture(index, shown[cut.frames()], shown[beneath], weight)
    return Shot(host, clip, picture, done)


def _cut(rng: np.random.Generator, n_frames: int, duration_s: float) -> tuple[int, int]:
    longest = min(n_frames, int(duration_s * RATE))
    shortest = min(longest, max(int(1.6 * RATE), longest * 2 // 3))
    length = longest if rng.random() < 0.6 else int(rng.integers(shortest, longest + 1))
    first = int(rng.integers(0, n_frames - length + 1))
    return first, first + length


def _forge(
    rng: np.random.Generator,
    faces: TalkingFaces,
    shot: Shot,
    family: str,
    implementations: Mapping[str, tuple[Implementation, ...]],
) -> tuple[Forged, Picture, MouthChange | None] | None:
    host, picture = shot.host, shot.picture
    if family == GENUINE:
        return Forged(host.samples), picture, None
    if family == WORD_EDIT:
        edited = edit_words(rng, host, grid=SAMPLES_PER_FRAME)
        if edited is None:
            return None
        arrangement, spans, parameters = edited
        follows = host.read(host.start, host.start + len(host.samples) + int(RESERVE_S * SAMPLE_RATE))
        forged = Forged(arrangement.sound(follows), spans, [describe_own(host, parameters)], WORD_EDIT)
        return forged, replace(picture, frames=picture.frames[0] + arrangement.frames()), None
    if family in MOUTH_FAMILIES:
        change = _change_mouth(rng, faces, shot, family)
        if change is None:
            return None
        picture = replace(picture, mouth_edit=change.edit, source=change.source)
        return Forged(host.samples, implementation=family), picture, change
    chosen = draw_implementation(rng, implementations[family])
    edits, materials = draw_edits(rng, host, chosen.make, len(host.samples), in_time=True)
    forged = apply_edits(host, edits, materials, len(host.samples), chosen.name) if edits else None
    return None if forged is None or len(forged.samples) != len(host.samples) else (forged, picture, None)


def _change_mouth(
    rng: np.random.Generator, faces: TalkingFaces, shot: Shot, family: str
) -> MouthChange | None:
    host, frames = shot.host, shot.picture.frames
    length = max(draw_length(rng, 0.5 * len(host.samples) / SAMPLE_RATE), 8 * SAMPLES_PER_FRAME)
    bounds = (EDGE, len(host.samples) - EDGE)
    span = choose_span(rng, host.envelope, host.sound.threshold, bounds=bounds, length=length)
    if span is None:
        return None
    first, last = (round(p / SAMPLES_PER_FRAME) for p in span)
    last = min(max(last, first + SHORTEST_FRAMES), len(frames))
    if shot.clip.present[frames[first:last]].mean() < 0.9:
        return None
    face = Face(faces, shot.picture.clip, shot.clip, frames)
    return MOUTH_FAMILIES[family](rng, face, first, last)


def _finish(
    rng: np.random.Generator,
    faces: TalkingFaces,
    shot: Shot,
    forged: Forged,
    picture: Picture,
    change: MouthChange | None,
    family: str,
    genuine_edits: Sequence[str],
) -> Item:
    item = finish_item(rng, shot.host, forged, family, genuine_edits, shot.cuts)
    visual = [(change.first / RATE, change.last / RATE)] if change is not None else []
    if family == WORD_EDIT:  # the picture is cut in the same places, to the nearest frame
        visual = [(segment.start, segment.end) for segment in item.audio.segments]
    attributes = {**item.attributes, "clip": picture.clip, "first_frame": int(picture.frames[0])}
    if change is not None:
        source = {"source": faces.entries[change.source].id, "source_clip": change.source}
        attributes |= {**source, "source_first_frame": int(change.edit.source_frames[0]), **change.parameters}
    if COVER in genuine_edits:
        covered = _cover(rng, picture, item, visual)
        if covered is not None:
            picture = replace(picture, covered=covered, cover_seed=int(rng.integers(1 << 31)))
            attributes["genuine_edits"] = [
                *attributes["genuine_edits"],
                {"edit": COVER, "frames": [*covered]},
            ]
    source = None if change is None else shot.clip if change.source == picture.clip else faces[change.source]
    crops, present = show_crops(picture, shot.clip, source)
    return replace(
        item,
        visual=Timeline.from_pairs(visual),
        attributes=attributes,
        crops=crops,
        present=present,
        picture=picture,
    )


def _cover(
    rng: np.random.Generator, picture: Picture, item: Item, visual: Sequence[tuple[float, float]]
) -> tuple[int, int] | None:
    heard = [(s.start, s.end) for s in item.audio.segments] if item.family in ONLY_SEEN else []
    spared = [(int(start * RATE), int(np.ceil(end * RATE))) for start, end in (*visual, *heard)]
    if picture.mouth_edit is not None:  # with the slopes of a gate
        spared.append((picture.mouth_edit.first, picture.mouth_edit.last))
    return draw_cover_span(rng, len(picture.frames), spared)
