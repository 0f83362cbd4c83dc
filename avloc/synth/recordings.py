"""Writing items as recordings with a manifest: evaluation sets that anyone can make again from their seed."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from avloc.datasets.manifest import write_manifest
from avloc.datasets.speech_pool import SpeechPool
from avloc.datasets.talking_faces import TalkingFaces
from avloc.media.encode import write_audio, write_video
from avloc.synth.compose import GENUINE, GENUINE_SHARE, compose
from avloc.synth.compose_picture import compose_picture
from avloc.synth.families import AUDIO_FAMILIES, SOUND_FAMILIES
from avloc.synth.genuine_edits import EDIT_SHARE, draw_genuine_edits, named
from avloc.synth.held_back import HELD_BACK_FAMILIES
from avloc.synth.host import Implementation
from avloc.synth.item import Item
from avloc.synth.picture import show_frames

MANIFEST = "manifest.jsonl"
TRAINING, HELD_BACK = IMPLEMENTATIONS = ("training", "held_back")

Degrade = Callable[[np.random.Generator, np.ndarray], tuple[np.ndarray, Mapping[str, object]]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a set of recordings is made of; the same recipe gives the same bytes.

    Parameters
    ----------
    use : str
        Whose recordings: ``"train"``, ``"dev"`` or ``"test"``.
    families : tuple of str
        Taken in turn, so that each has about the same number of items.
    n_items : int
        Genuine ones included.
    seed : int
        Item ``k`` depends on the seed and on ``k`` alone.
    genuine_share : float [0, 1]
        Probability that an item stays genuine.
    edit_share : float [0, 1]
        Probability of genuine edits, forged item or not.
    duration_s : float [s]
        Longest item.
    implementations : str
        ``"training"`` for what training draws too, ``"held_back"`` for what it never draws.
    """

    use: str
    families: tuple[str, ...]
    n_items: int
    seed: int = 0
    genuine_share: float = GENUINE_SHARE
    edit_share: float = EDIT_SHARE
    duration_s: float = 25.6
    implementations: str = TRAINING


def implementations_of(which: str, *, picture: bool) -> Mapping[str, tuple[Implementation, ...]]:
    """Give what makes the material of each family of sound, ``which`` of ``IMPLEMENTATIONS``.

    Families of the mouth and ``word_edit`` have one implementation, and are not among them.
    """
    trained = SOUND_FAMILIES if picture else AUDIO_FAMILIES
    if which == TRAINING:
        return trained
    return {name: made for name, made in HELD_BACK_FAMILIES.items() if name in trained}


def make_items(recipe: Recipe, pool: SpeechPool, faces: TalkingFaces | None = None) -> Iterator[Item]:
    """Make the items of a recipe in order, with a picture if ``faces`` are given."""
    implementations = implementations_of(recipe.implementations, picture=faces is not None)
    if recipe.implementations == HELD_BACK and not set(recipe.families) <= set(implementations):
        lacking = sorted(set(recipe.families) - set(implementations))
        raise ValueError(f"held back are {sorted(implementations)}, and not {lacking}")
    for k in range(recipe.n_items):
        rng = np.random.default_rng([recipe.seed, k])
        family = recipe.families[k % len(recipe.families)]
        genuine = rng.random() < recipe.genuine_share
        edits = draw_genuine_edits(rng, recipe.edit_share, family=family, picture=faces is not None)
        options = {
            "family": GENUINE if genuine else family,
            "duration_s": recipe.duration_s,
            "host_like": family,
            "genuine_edits": edits,
            "implementations": implementations,
        }
        yield compose(rng, pool, **options) if faces is None else compose_picture(rng, faces, pool, **options)


def write_recordings(
    out: str | Path,
    recipe: Recipe,
    pool: SpeechPool,
    *,
    faces: TalkingFaces | None = None,
    degrade: Degrade | None = None,
    extension: str = ".flac",
    notes: Mapping[str, object] | None = None,
) -> Path:
    """Write the items of ``recipe`` to a folder, with ``manifest.jsonl`` and ``synth.json``.

    Parameters
    ----------
    out : str or Path
        A folder that is empty or not there.
    recipe : Recipe
        What to make.
    pool, faces : SpeechPool, TalkingFaces or None
        Genuine material of the recipe's use; with ``faces`` the recordings are MP4.
    degrade : callable or None
        ``(rng, waveform) -> (waveform, what was drawn)``, applied to the whole sound of every item.
    extension : str
        ``".flac"`` or ``".wav"`` for items without a picture.
    notes : mapping or None
        Written to ``synth.json`` beside the recipe, such as the command.

    Returns
    -------
    Path
        The manifest. File names are numbers and say nothing about the class.

    Raises
    ------
    ValueError
        If the folder holds something.
    """
    out = Path(out)
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{str(out)!r} is not empty; give a new folder")
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for k, item in enumerate(make_items(recipe, pool, faces)):
        waveform, corruptions = item.waveform, {}
        if degrade is not None:
            waveform, corruptions = degrade(np.random.default_rng([recipe.seed, k, 1]), waveform)
        name = f"{k:06d}{'.mp4' if faces is not None else extension}"
        if faces is None:
            write_audio(out / name, waveform, item.sample_rate)
        else:
            frames = picture_of(item, faces)
            write_video(out / name, frames, Fraction(25), waveform, item.sample_rate)
        rows.append(_row(name, item, recipe, k) | {"corruptions": dict(corruptions)})
        logger.info("%s %s %s", name, item.family, [f"{s:.2f}-{e:.2f}" for s, e in rows[-1]["segments"]])
    write_manifest(out / MANIFEST, rows)
    described = {"recipe": asdict(recipe), **(notes or {})}
    (out / "synth.json").write_text(json.dumps(described, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return out / MANIFEST


def picture_of(item: Item, faces: TalkingFaces) -> np.ndarray:
    """Make the colour frames (T, H, W, 3) uint8 of an item, as its crops were made."""
    from avloc.media.whole import read_frames

    picture = item.picture
    frames = read_frames(faces.entries[picture.clip].path)[0]
    boxes, source, source_boxes = faces[picture.clip].boxes, None, None
    if picture.mouth_edit is not None:
        same = picture.source == picture.clip
        source = frames if same else read_frames(faces.entries[picture.source].path)[0]
        source_boxes = boxes if same else faces[picture.source].boxes
    shown = show_frames(picture, frames, boxes, source, source_boxes)
    height, width = shown.shape[1] // 2 * 2, shown.shape[2] // 2 * 2
    return shown[:, :height, :width]


def _row(name: str, item: Item, recipe: Recipe, number: int) -> dict:
    audio, visual = (_pairs(line.segments) for line in (item.audio, item.visual))
    modality = {(1, 0): "audio", (0, 1): "visual", (1, 1): "both", (0, 0): None}[(bool(audio), bool(visual))]
    attributes = dict(item.attributes)
    told = {name: attributes.pop(name) for name in ("implementation", "language", "sex")}
    segments = attributes.get("segments", [])
    sources = [attributes["host"], *(s["source"] for s in segments), attributes.get("source")]
    return {
        "path": name,
        "duration_s": item.duration,
        "segments": sorted({tuple(pair) for pair in (*audio, *visual)}),
        "modality": modality,
        "audio_segments": audio,
        "visual_segments": visual,
        "family": item.family,
        **told,
        "genuine_edits": named(attributes["genuine_edits"]),
        "identity": attributes["identity"],
        "split": recipe.use,
        "sources": list(dict.fromkeys(s for s in sources if s)),
        "seed": recipe.seed,
        "item": number,
        "parameters": attributes,
    }


def _pairs(segments: Sequence) -> list[list[float]]:
    return [[segment.start, segment.end] for segment in segments]
