"""Settings of a training on features that cannot work are refused before anything is read."""

import math
from collections.abc import Mapping
from numbers import Real

from avloc.config import load_config
from avloc.errors import ConfigError
from avloc.metrics.protocols import PROTOCOLS
from avloc.registry import suggest
from avloc.training.learners import Learner
from avloc.training.parallel import refuse_several

RANGES = {
    **dict.fromkeys(("epochs", "batch_size", "stop_after", "log_every", "checkpoint_every"), (1, math.inf)),
    **dict.fromkeys(("learning_rate", "weight_decay", "patience", "workers", "seed"), (0, math.inf)),
    **dict.fromkeys(("alpha", "rate_factor", "modality_dropout"), (0, 1)),
    "n_frames": (1, math.inf),
}


def check_settings(cfg: Mapping, learner: Learner) -> None:
    """Refuse what would fail, or train something else, only after hours.

    Raises
    ------
    ConfigError
        With the key, what was expected and what came.
    """
    if not learner.in_several:
        refuse_several(f"{type(learner.network).__name__} is trained by one")
    settings, known = cfg["train"], load_config(learner.known_config)["train"]
    _check_keys(settings, known, "train")
    for key, (low, high) in RANGES.items():
        if key in known and not _is_between(settings[key], low, high):
            expected = f"at least {low}" if high == math.inf else f"from {low} to {high}"
            raise ConfigError(f"train.{key} must be {expected}, got {settings[key]!r}")
    if not all(_is_between(beta, 0, 1) and beta < 1 for beta in settings["betas"]):
        raise ConfigError(f"train.betas must be from 0 to below 1, got {settings['betas']}")
    if (clip := settings["clip_norm"]) is not None and not (_is_between(clip, 0, math.inf) and clip > 0):
        raise ConfigError(f"train.clip_norm must be None or above 0, got {clip!r}")
    if not settings["monitor"]:
        raise ConfigError("train.monitor is empty; name the figures whose sum chooses the weights")
    if settings["protocol"] not in PROTOCOLS:
        hint = suggest(settings["protocol"], PROTOCOLS)
        raise ConfigError(f"train.protocol is {settings['protocol']!r}, which there is not; {hint}")
    if "test" in settings["train_split"]:
        raise ConfigError(f"train.train_split must be no test split, got {settings['train_split']!r}")
    if settings["train_split"] == settings["validation_split"] or "test" in settings["validation_split"]:
        raise ConfigError(
            "train.validation_split must be neither what is trained on nor a test split, got "
            f"{settings['validation_split']!r}"
        )


def _check_keys(given: Mapping, known: Mapping, where: str) -> None:
    if unknown := sorted(given.keys() - known.keys()):
        raise ConfigError(f"unknown key '{where}.{unknown[0]}'; {suggest(unknown[0], known)}")
    if missing := sorted(known.keys() - given.keys()):
        raise ConfigError(f"the configuration lacks the keys {missing} of {where}")
    for key, inner in known.items():
        if isinstance(inner, Mapping):
            _check_keys(given[key], inner, f"{where}.{key}")


def _is_between(value: object, low: float, high: float) -> bool:
    return isinstance(value, Real) and low <= value <= high
