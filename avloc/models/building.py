"""build_model() and model_class(): a network or an encoder from a configuration, whatever it is."""

from collections.abc import Mapping

from torch import nn

from avloc.models import auvire, dimodif  # noqa: F401 - they register themselves, and so do the encoders
from avloc.models.encoders import auto_avsr, av_hubert  # noqa: F401
from avloc.models.hierarchical import build_network
from avloc.registry import ENCODERS, NETWORKS, build, look_up


def build_model(cfg: Mapping) -> nn.Module:
    """Build what a weights file holds.

    Parameters
    ----------
    cfg : Mapping
        ``type`` names a class of NETWORKS or of ENCODERS; the other keys are its arguments.

    Raises
    ------
    ConfigError
        If the type is not registered.
    """
    name = cfg["type"] if isinstance(cfg["type"], str) else cfg["type"].__name__
    return build(ENCODERS, cfg) if name in ENCODERS.module_dict else build_network(cfg)


def model_class(name: str) -> type:
    """Give the network or the encoder of a name; ConfigError if neither is registered under it."""
    return look_up(ENCODERS if name in ENCODERS.module_dict else NETWORKS, name)
