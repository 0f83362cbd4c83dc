"""Pretrain the eye of a network on genuine talking faces; ``avloc train --init`` starts from the result.

python tools/train_eye.py --init default --media corpus/manifest.json --media media/manifest.json \
    --cache CACHE --out eye.safetensors
avloc train default --init eye.safetensors ...

The ear of ``--init`` is the teacher and stays as it is: all entries but those of the eye and of the alignment
are taken over, where they fit the network of ``--config``. Lips are learnt from MediaPipe's face mesh
(``pip install 'avloc[face]'``); without it that loss is left out, which the card says. Only entries with
``use: train`` whose licence allows shipped weights are read. Everything that is computed once (faces, lips,
what the ear makes of the sounds) is kept in ``--cache``.
"""

import argparse
import ast
import importlib.util
import logging
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import torch

from avloc.cli.train import read_setting
from avloc.config import load_config
from avloc.errors import AvlocError, ConfigError
from avloc.models.weights.card import Card, unmeasured_card
from avloc.models.weights.store import save_weights
from avloc.training.eye import EyeSettings, train_eye
from avloc.training.eye_clips import EyeClips
from avloc.training.runner import build_checked, start_from

MESH = {
    "name": "MediaPipe face mesh with attention, the teacher of the lips (Google)",
    "licence": "Apache 2.0",
}
WITHOUT_LIPS = "MediaPipe was not installed: the eye did not learn from contours of lips."
WITHOUT_RENDERED = (
    "No recording had times of phones: the eye saw no drawn mouths, though they were asked for."
)
ALL_KINDS = {field.name: field.type for field in fields(EyeSettings)}

logger = logging.getLogger("train_eye")


def settings_of(words: Sequence[str]) -> EyeSettings:
    """Read ``KEY=VALUE`` words into the settings.

    Raises
    ------
    ConfigError
        If a key is unknown or its value is no number of the right kind.
    """
    values: dict[str, float] = {}
    for word in words:
        key, _, text = word.partition("=")
        try:
            values[key] = ALL_KINDS[key](ast.literal_eval(text))
        except (KeyError, ValueError, SyntaxError, TypeError) as error:
            known = ", ".join(f"{name}={kind.__name__}" for name, kind in ALL_KINDS.items())
            raise ConfigError(f"--set: expected one of {known}, got {word!r}") from error
    settings = EyeSettings(**values)
    if not 0 <= settings.rendered <= 1:
        raise ConfigError(f"--set: expected rendered, a share, between 0 and 1, got {settings.rendered!r}")
    return settings


def card_of(config: str, settings: EyeSettings, losses: dict[str, float], clips: EyeClips) -> Card:
    """Say how the eye was made; nothing but its losses has been measured."""
    card = unmeasured_card(config)
    taught = clips.has_lips and settings.lips > 0
    lacking = ((settings.lips > 0 and not taught, WITHOUT_LIPS),)
    lacking += ((settings.rendered > 0 and not clips.rendered, WITHOUT_RENDERED),)
    told = shlex.join(["python", "tools/train_eye.py", *(Path(word).name for word in sys.argv[1:])])
    return replace(
        card,
        starting_weights=(MESH,) if taught else (),
        limits=(*card.limits, *(text for lacks, text in lacking if lacks)),
        figures={"losses of the eye's pretraining": losses},
        commands=(told,),
    )


def landmark_model() -> type | None:
    """Give the landmark model's class, or None with a warning where MediaPipe is not installed."""
    from avloc.features.mediapipe import INSTALL, LipLandmarker

    if importlib.util.find_spec("mediapipe") is None:
        logger.warning("MediaPipe is not installed, so only lips in the cache are learnt from; %s", INSTALL)
        return None
    return LipLandmarker


def run(options: argparse.Namespace) -> None:
    """Train and write the weights."""
    of_model = [word for word in options.set if word.startswith("model.")]
    settings = settings_of([word for word in options.set if word not in of_model])
    cfg = load_config(options.config, overrides=dict(read_setting(word) for word in of_model))
    torch.manual_seed(settings.seed)
    network = build_checked(cfg["model"])
    if network.audio_encoder is None or network.visual_encoder is None:
        raise ConfigError(f"{options.config!r}: the eye learns from the ear, so the network needs both")
    start_from(network, recogniser=None, init=options.init)
    finder = landmark_model() if settings.lips > 0 else None
    clips = EyeClips.build(
        network.eval(),
        options.media,
        cache=Path(options.cache),
        make_finder=finder,
        with_rendered=settings.rendered > 0,
    )
    began = time.process_time()
    losses = train_eye(network, clips, settings)
    logger.info("%d steps took %.0f s of processor time", settings.steps, time.process_time() - began)
    card = card_of(options.config, settings, losses, clips)
    digest = save_weights(options.out, network, config=cfg, card=card)
    print(f"{options.out}: {digest}, losses {losses}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="default")
    parser.add_argument("--init", default="default", metavar="NAME|FILE")
    parser.add_argument("--media", action="append", required=True, metavar="MANIFEST")
    parser.add_argument("--cache", required=True, metavar="DIR")
    parser.add_argument("--out", required=True, metavar="FILE")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="as steps=800; model.… overrides --config",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    try:
        run(options)
    except AvlocError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
