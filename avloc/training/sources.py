"""Where training batches come from: pools of one use, corruptions, constants of the recogniser's stem."""

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch

from avloc.corruptions.audio import augment, telephone
from avloc.datasets.speech_pool import SpeechPool
from avloc.datasets.talking_faces import TalkingFaces
from avloc.media.decode import MOUTH
from avloc.synth.compose import draw_item, lacking
from avloc.synth.compose_picture import draw_picture_item
from avloc.training.batches import BatchSource, DrawItem
from avloc.training.objective import TrainingBatch

STANDARDISING_BATCHES = 24
PRUNING_BATCHES = 30

logger = logging.getLogger(__name__)


def corrupt(
    rng: np.random.Generator, waveform: np.ndarray, *, telephone_share: float, pool: SpeechPool
) -> np.ndarray:
    """Give an item (N,) the sound of some recording chain: a telephone's in ``telephone_share`` of all.

    Babble behind the others comes from ``pool``, which must be of the item's own use.
    """
    if rng.random() < telephone_share:
        return telephone(rng, waveform)
    return augment(rng, waveform, 16000, pool=pool)


def sound_items(settings: Mapping, pool: SpeechPool) -> DrawItem:
    """Give what draws items without a picture, of those families of the configuration that find material."""
    mixture = dict(settings["sound"])
    for family, what in lacking(pool).items():
        if mixture.get(family):
            logger.warning("left out: %s needs %s", family, what)
    return partial(draw_item, pool=pool, mixture=mixture, **_shares(settings))


def picture_items(
    settings: Mapping, media: tuple[str, ...], *, use: str, cache: Path, crops: tuple[str, ...] = MOUTH
) -> DrawItem | None:
    """Give what draws items with ``crops``, or None where the configuration trains on sound alone."""
    if settings["picture_share"] == 0:
        return None
    faces = TalkingFaces.build(media, use=use, cache=cache, crops=crops)
    pool = SpeechPool.build(media, use=use, cache=cache)
    mixture = dict(settings["picture"])
    return partial(draw_picture_item, faces=faces, pool=pool, mixture=mixture, **_shares(settings))


def _shares(settings: Mapping) -> dict[str, float]:
    return {name: settings[name] for name in ("genuine_share", "edit_share")}


def build_source(
    settings: Mapping,
    inputs: Mapping[str, tuple[str, ...]],
    *,
    media: tuple[str, ...],
    cache: Path,
    first: int,
) -> BatchSource:
    """Make the batches of the training split, from batch ``first`` on.

    Parameters
    ----------
    settings : mapping
        The ``train`` key of a configuration.
    inputs : mapping
        The network's inputs by stream.
    media : tuple of str
        ``manifest.json`` files; only entries with ``use: train`` that may train shipped weights are read.
    cache : Path
        Folder for what is decoded.
    first : int
        Batches before it are None.

    Raises
    ------
    AnnotationError
        If a manifest is wrong or holds nothing of the training split.
    """
    pool = SpeechPool.build(media, use="train", cache=cache)
    return BatchSource(
        draw_sound=sound_items(settings, pool),
        draw_picture=picture_items(
            settings, media, use="train", cache=cache, crops=inputs.get("visual", MOUTH)
        ),
        corrupt=partial(corrupt, telephone_share=settings["telephone_share"], pool=pool),
        inputs=inputs,
        picture_share=settings["picture_share"],
        drop_sound=settings["drop_sound"],
        batch_size=settings["batch_size"],
        picture_batch_size=settings["picture_batch_size"],
        window_frames=settings["window_frames"],
        n_batches=settings["iterations"],
        seed=settings["seed"],
        first=first,
    )


def extra_sound(source: BatchSource, n_batches: int) -> Iterator[TrainingBatch]:
    """Give batches of sound that are not trained on: past the end of those that are."""
    for index in range(n_batches):
        yield source.sound_batch(np.random.default_rng([source.seed, source.n_batches + index]))


@torch.inference_mode()
def standardise_recogniser(network: torch.nn.Module, source: BatchSource) -> None:
    """Set mean and scale of each dimension of a recogniser's layers, if there is one, from training sound."""
    encoder = network.audio_encoder
    if not hasattr(encoder, "recogniser"):
        return
    sums, squares, count = 0.0, 0.0, 0
    for batch in extra_sound(source, STANDARDISING_BATCHES):
        pieces = batch.audio[0][:, 0]  # (B, 80, 640)
        hidden = encoder.hidden_states(pieces)[:, batch.audio_mask[:, :160]]  # (layers, n, C)
        sums, squares = sums + hidden.sum(1), squares + hidden.square().sum(1)
        count += hidden.shape[1]
    mean = sums / count
    encoder.state_mean.copy_(mean)
    encoder.state_scale.copy_((squares / count - mean**2).clamp_min(1e-6).rsqrt())
