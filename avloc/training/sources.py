"""Where training batches come from: pools of one use, corruptions, and the constants of the recogniser's
stem."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch

from avloc.corruptions.audio import augment, telephone
from avloc.datasets.speech_pool import SpeechPool
from avloc.synth.compose import draw_item
from avloc.training.batches import BatchSource, DrawItem

STANDARDISING_BATCHES = 24


def corrupt(rng: np.random.Generator, waveform: np.ndarray, *, telephone_share: float) -> np.ndarray:
    """Give a whole item (N,) the sound of some recording chain: a telephone's in ``telephone_share`` of all."""
    if rng.random() < telephone_share:
        return telephone(rng, waveform)
    return augment(rng, waveform, 16000)


def sound_items(settings: Mapping, pool: SpeechPool) -> DrawItem:
    """Items without a picture, drawn as the configuration says."""
    return partial(_draw_sound, pool, dict(settings["sound"]), settings["genuine_share"])


def _draw_sound(
    pool: SpeechPool,
    mixture: Mapping[str, float],
    genuine_share: float,
    rng: np.random.Generator,
    duration_s: float,
) -> object:
    return draw_item(rng, pool, mixture=mixture, genuine_share=genuine_share, duration_s=duration_s)


def picture_items(settings: Mapping, media: tuple[str, ...], *, use: str, cache: Path) -> DrawItem | None:
    """Items with a picture, or None where the configuration trains on sound alone."""
    if settings["picture_share"] == 0:
        return None
    from avloc.datasets.talking_faces import TalkingFaces
    from avloc.synth.compose_picture import draw_picture_item

    faces = TalkingFaces.build(media, use=use, cache=cache)
    pool = SpeechPool.build(media, use=use, cache=cache)
    mixture, share = dict(settings["picture"]), settings["genuine_share"]
    return partial(_draw_picture, draw_picture_item, faces, pool, mixture, share)


def _draw_picture(draw, faces, pool, mixture, genuine_share, rng, duration_s) -> object:  # noqa: ANN001
    return draw(rng, faces, pool, mixture=mixture, genuine_share=genuine_share, duration_s=duration_s)


def build_source(
    settings: Mapping,
    inputs: Mapping[str, tuple[str, ...]],
    *,
    media: tuple[str, ...],
    cache: Path,
    first: int,
) -> BatchSource:
    """Batches of the training split, from batch ``first`` on."""
    pool = SpeechPool.build(media, use="train", cache=cache)
    return BatchSource(
        draw_sound=sound_items(settings, pool),
        draw_picture=picture_items(settings, media, use="train", cache=cache),
        corrupt=partial(corrupt, telephone_share=settings["telephone_share"]),
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


@torch.inference_mode()
def standardise_recogniser(network: torch.nn.Module, source: BatchSource) -> None:
    """Set the mean and scale of each dimension of the recogniser's layers from training sound."""
    encoder = network.audio_encoder
    if encoder is None:
        return
    sums, squares, count = 0.0, 0.0, 0
    for index in range(STANDARDISING_BATCHES):
        # Batches of their own: past the end of those that are trained on.
        rng = np.random.default_rng([source.seed, source.n_batches + index])
        batch = source.sound_batch(rng)
        pieces = batch.audio[0][:, 0]  # (B, 80, 640)
        hidden = encoder.hidden_states(pieces)[:, batch.audio_mask[:, :160]]  # (layers, n, C)
        sums, squares = sums + hidden.sum(1), squares + hidden.square().sum(1)
        count += hidden.shape[1]
    mean = sums / count
    encoder.state_mean.copy_(mean)
    encoder.state_scale.copy_((squares / count - mean**2).clamp_min(1e-6).rsqrt())
