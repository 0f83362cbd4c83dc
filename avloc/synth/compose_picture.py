"""Items with a talking face: sound moved or replaced under the picture, or the mouth of another time."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from avloc.datasets.speech_pool import SpeechPool
from avloc.datasets.talking_faces import SAMPLES_PER_FRAME, FaceClip, TalkingFaces
from avloc.errors import AnnotationError
from avloc.features.audio import RATE as GRID_RATE
from avloc.features.audio import SAMPLE_RATE
from avloc.structures import Timeline
from avloc.synth.compose import GENUINE, GENUINE_SHARE, Forged, apply_edits, draw_edits, finish_item
from avloc.synth.families import AUDIO_FAMILIES, insert_other, insert_same
from avloc.synth.host import Host, Maker, Material
from avloc.synth.item import Item
from avloc.synth.matching import Sound
from avloc.synth.mouth import MouthEdit, blend_crops, draw_mask, draw_source_frames
from avloc.synth.own_sound import lag_shift
from avloc.synth.spans import EDGE, choose_span, draw_length

RATE = float(GRID_RATE)
MOUTH_BLEND = "mouth_blend"
PICTURE_MIXTURE: dict[str, float] = {
    "lag_shift": 1.0,
    "replace_audio": 1.0,
    "mouth_blend": 1.0,
    "vocoder_griffin_lim": 0.25,
    "vocoder_source_filter": 0.25,
}


def _replace(rng: np.random.Generator, host: Host, first: int, last: int) -> Material | None:
    maker = insert_same if rng.random() < 0.3 else insert_other
    return maker(rng, host, first, last) or insert_other(rng, host, first, last)


SOUND_FAMILIES: dict[str, Maker] = {
    "lag_shift": lag_shift,
    "replace_audio": _replace,
    **{name: maker for name, maker in AUDIO_FAMILIES.items() if not name.startswith("insert")},
}
"""What is done to the sound under an untouched picture; nothing after the span moves."""


def draw_picture_item(
    rng: np.random.Generator,
    faces: TalkingFaces,
    pool: SpeechPool,
    *,
    mixture: Mapping[str, float] | None = None,
    genuine_share: float = GENUINE_SHARE,
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
        None for ``PICTURE_MIXTURE``.
    genuine_share : float [0, 1]
        Probability of an untouched clip.
    duration_s : float [s]
        Longest item.
    """
    mixture = PICTURE_MIXTURE if mixture is None else mixture
    names = sorted(mixture)
    weights = np.array([mixture[name] for name in names], dtype=np.float64)
    family = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    family = GENUINE if rng.random() < genuine_share else family
    return compose_picture(rng, faces, pool, family=family, duration_s=duration_s)


def compose_picture(
    rng: np.random.Generator, faces: TalkingFaces, pool: SpeechPool, *, family: str, duration_s: float = 25.6
) -> Item:
    """Make one item of ``family`` from a random clip of ``faces``.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    faces, pool : TalkingFaces, SpeechPool
        Genuine material of one use.
    family : str
        ``"mouth_blend"`` (truth in ``visual``), one of ``SOUND_FAMILIES`` (in ``audio``), ``"genuine"``.
    duration_s : float [s]
        Longest item.

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
    if family not in SOUND_FAMILIES and family not in (MOUTH_BLEND, GENUINE):
        known = sorted({MOUTH_BLEND, GENUINE, *SOUND_FAMILIES})
        raise ValueError(f"family must be one of {known}, got {family!r}")
    for _ in range(60):
        index = faces.draw(rng)
        clip = faces[index]
        first, last = _cut(rng, clip.n_frames, duration_s)
        host = _host(faces, index, clip, pool, first, last)
        if family == MOUTH_BLEND:
            item = _with_other_mouth(rng, faces, index, clip, host, first, last)
        elif family == GENUINE:
            item = _with_picture(finish_item(host, Forged(host.samples), GENUINE), clip, first, last, index)
        else:
            item = _with_other_sound(rng, host, family, clip, first, last, index)
        if item is not None:
            return item
    raise AnnotationError(f"no item of family {family!r} can be made from {len(faces)} talking faces")


def _cut(rng: np.random.Generator, n_frames: int, duration_s: float) -> tuple[int, int]:
    longest = min(n_frames, int(duration_s * RATE))
    shortest = min(longest, max(int(1.6 * RATE), longest * 2 // 3))
    length = longest if rng.random() < 0.6 else int(rng.integers(shortest, longest + 1))
    first = int(rng.integers(0, n_frames - length + 1))
    return first, first + length


def _host(faces: TalkingFaces, index: int, clip: FaceClip, pool: SpeechPool, first: int, last: int) -> Host:
    start, end = first * SAMPLES_PER_FRAME, last * SAMPLES_PER_FRAME
    return Host.of_clip(pool, clip.entry, clip.samples, start, end, Sound.of(faces.statistics, index))


def _with_picture(item: Item, clip: FaceClip, first: int, last: int, index: int) -> Item:
    return replace(
        item,
        attributes={**item.attributes, "clip": index, "first_frame": first},
        mouth=clip.mouth[first:last],
        present=clip.present[first:last],
    )


def _with_other_sound(
    rng: np.random.Generator, host: Host, family: str, clip: FaceClip, first: int, last: int, index: int
) -> Item | None:
    edits, materials = draw_edits(rng, host, SOUND_FAMILIES[family], len(host.samples), in_time=True)
    if not edits:
        return None
    forged = apply_edits(host, edits, materials, len(host.samples))
    if len(forged.samples) != len(host.samples):
        return None
    return _with_picture(finish_item(host, forged, family), clip, first, last, index)


def _with_other_mouth(
    rng: np.random.Generator,
    faces: TalkingFaces,
    index: int,
    clip: FaceClip,
    host: Host,
    first: int,
    last: int,
) -> Item | None:
    length = max(draw_length(rng, 0.5 * len(host.samples) / SAMPLE_RATE), 8 * SAMPLES_PER_FRAME)
    bounds = (EDGE, len(host.samples) - EDGE)
    span = choose_span(rng, host.envelope, host.sound.threshold, bounds=bounds, length=length)
    if span is None:
        return None
    start, end = (first + round(p / SAMPLES_PER_FRAME) for p in span)
    end = min(max(end, start + 3), last)
    members = faces.by_identity[clip.entry.identity]
    other = int(rng.choice(members)) if len(members) > 1 and rng.random() < 0.6 else index
    source = clip if other == index else faces[other]
    away = (start, end) if other == index else None
    frames = draw_source_frames(rng, source.present, end - start, away)
    if frames is None or clip.present[start:end].mean() < 0.9:
        return None
    edit = MouthEdit(start, end, frames, draw_mask(rng), float(rng.choice([0.0, 0.0, 0.7, 1.2])))
    mouth = blend_crops(clip.mouth, source.mouth, edit)[first:last]
    truth = Timeline.from_pairs([((start - first) / RATE, (end - first) / RATE)])
    made = finish_item(host, Forged(host.samples), MOUTH_BLEND)
    item = _with_picture(made, clip, first, last, index)
    changed = {"source": faces.entries[other].id, "source_clip": other, "source_first_frame": int(frames[0])}
    return replace(
        item, visual=truth, mouth=mouth, mouth_edit=edit, attributes={**item.attributes, **changed}
    )
